package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// MaxGenerations may be alive at once: the old key and the new one.
const MaxGenerations = 2

// Add makes a holder, or makes an ended one of its name anew. A name that is taken, and what
// cannot work, are problems of kind InvalidRequest.
func (k *Keyring[T, P]) Add(ctx context.Context, t T) (T, error) {
	h := P(&t).holder()
	if err := k.checkName(h.Name); err != nil {
		return *new(T), err
	}
	known, err := k.load(ctx)
	if err != nil {
		return *new(T), err
	}
	if t, err = k.kind.Normalise(known, t); err != nil {
		return *new(T), err
	}
	old, taken := known[h.Name]
	before := P(&old).holder()
	if before.Alive() {
		return *new(T), problem.New(problem.InvalidRequest, "There is a %s %q already. Change it, or run \"posthorn %s %s %s\" first.", k.kind.Noun, h.Name, k.plural(), k.kind.End, h.Name)
	}
	*h = Holder{Name: h.Name, Last: before.Last, etag: before.etag}
	h.next(k.now())
	h.Began = h.Last
	return k.put(ctx, t, taken)
}

func (k *Keyring[T, P]) checkName(name string) error {
	if !IsName(name) {
		return problem.New(problem.InvalidRequest, "%q is no name for a %s: use 1 to 32 of a-z, 0-9 and -, with no - at either end.", name, k.kind.Noun)
	}
	return nil
}

// put writes a row, over the one that is there if taken says so. It returns nothing that
// could be taken for a key where storage has not taken the row.
func (k *Keyring[T, P]) put(ctx context.Context, t T, taken bool) (T, error) {
	put := k.table.Insert
	if taken {
		put = k.table.Replace
	}
	_, err := put(ctx, k.encode(t))
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrChanged):
		return *new(T), problem.New(problem.InvalidRequest, "The %s %q was changed at the same time. Look at it, then try again.", k.kind.Noun, P(&t).holder().Name)
	case err != nil:
		return *new(T), k.unavailable(fmt.Errorf("write %s: %w", k.kind.Noun, err))
	}
	return t, nil
}

// Change rewrites the row of a holder that is alive; NotFound without one. An error of f
// changes nothing. Of two who change a row at once the later one gets InvalidRequest.
func (k *Keyring[T, P]) Change(ctx context.Context, name string, f func(known map[string]T, t *T) error) (T, error) {
	known, err := k.load(ctx)
	t, err := k.alive(known, name, err)
	if err == nil {
		err = f(known, &t)
	}
	if err != nil {
		return *new(T), err
	}
	return k.put(ctx, t, true)
}

// edit is Change for what a holder has beside its policy.
func (k *Keyring[T, P]) edit(ctx context.Context, name string, f func(*Holder)) (T, error) {
	return k.Change(ctx, name, func(_ map[string]T, t *T) error { f(P(t).holder()); return nil })
}

// next gives h another key.
func (h *Holder) next(now time.Time) {
	h.Last++
	h.Generations = append([]int64{}, append(h.Generations, h.Last)...)
	if n := len(h.Generations); n > MaxGenerations {
		h.Generations = h.Generations[n-MaxGenerations:]
	}
	made := h.made()
	made[h.Last] = now.UTC().Truncate(time.Second)
	h.Made = made
}

// made is when the keys that are alive were made: a row has no room for any number of others.
func (h *Holder) made() map[int64]time.Time {
	alive := map[int64]time.Time{}
	for _, g := range h.Generations {
		if at, known := h.Made[g]; known {
			alive[g] = at
		}
	}
	return alive
}

// Rotate gives a holder a new key. The one before it stays alive until the next Rotate, or
// until Retire.
func (k *Keyring[T, P]) Rotate(ctx context.Context, name string) (T, error) {
	return k.edit(ctx, name, func(h *Holder) { h.next(k.now()) })
}

// Retire ends all keys of a holder but the newest.
func (k *Keyring[T, P]) Retire(ctx context.Context, name string) error {
	_, err := k.edit(ctx, name, func(h *Holder) { h.Generations = h.Generations[len(h.Generations)-1:] })
	return err
}

// End ends a holder with all its keys, its policy and its secrets.
func (k *Keyring[T, P]) End(ctx context.Context, name string) error {
	_, err := k.Change(ctx, name, func(_ map[string]T, t *T) error {
		h := *P(t).holder()
		*t = *new(T)
		*P(t).holder() = Holder{Name: h.Name, Generations: []int64{}, Last: h.Last, etag: h.etag}
		return nil
	})
	return err
}

// Pause lets what a holder sent stay where it is, everywhere within CacheLife. Its new
// messages wait too or, with refuse, are refused. reason is shown to the sender, not to that
// of a form. A holder that is paused already gets the new reason. Errors: NotFound,
// InvalidRequest, Unavailable.
func (k *Keyring[T, P]) Pause(ctx context.Context, name, reason string, refuse bool) error {
	pause, err := problem.NewPause(reason, refuse, k.now())
	if err == nil {
		_, err = k.edit(ctx, name, func(h *Holder) { h.Pause = pause })
	}
	return err
}

// Suspend pauses a holder for reason, unless it is paused or has ended already. Errors:
// InvalidRequest, Unavailable.
func (k *Keyring[T, P]) Suspend(ctx context.Context, name, reason string) error {
	pause, err := problem.NewPause(reason, k.kind.Refuses, k.now())
	if err != nil {
		return err
	}
	pause.Auto = true
	_, err = k.edit(ctx, name, func(h *Holder) {
		if h.Pause == nil {
			h.Pause = pause
		}
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// Resume ends the pause of a holder, if there is one. What waits goes on within twice
// CacheLife. Errors are Pause's.
func (k *Keyring[T, P]) Resume(ctx context.Context, name string) error {
	_, err := k.edit(ctx, name, func(h *Holder) { h.Pause = nil })
	return err
}
