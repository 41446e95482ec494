package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/roster"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// CacheLife is how long a hook is believed, as a caller is.
	CacheLife = roster.Life
	// maxGenerations of a key may be alive at once: the old one and the new one.
	maxGenerations = 2

	partition = "hooks"
)

// Table is where hooks are kept. See package store for the errors; a call that
// ends with ErrUnavailable may be repeated.
type Table interface {
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	List(ctx context.Context, partition string) ([]store.Entity, error)
}

// Registry knows the hooks of one deployment. It is safe for concurrent use. The
// row of a hook that was removed stays, without a generation: one made anew under
// its name begins with the next, so that no key ever comes back to life.
type Registry struct {
	table   Table
	masters Masters
	random  io.Reader
	now     func() time.Time

	list *roster.Roster[Hook]
}

// NewRegistry reads hooks from t and proves their keys with masters. random is for
// the nonces of sealed secrets, now a local clock.
func NewRegistry(t Table, masters Masters, random io.Reader, now func() time.Time) *Registry {
	r := &Registry{table: t, masters: masters, random: random, now: now}
	r.list = roster.New(now, r.load)
	return r
}

// Find returns a live hook. A name that is not in the list may just have been made, so the
// list is read anew. Who has no hook is answered as a wrong key is.
func (r *Registry) Find(ctx context.Context, name string) (Hook, error) {
	came := r.list.Moment()
	known, err := r.list.Known(ctx)
	if err != nil {
		return Hook{}, unavailable(err)
	}
	if len(known[name].Generations) == 0 && namePattern.MatchString(name) {
		if known, err = r.list.Since(ctx, came); err != nil {
			return Hook{}, unavailable(err)
		}
	}
	h := known[name]
	if len(h.Generations) == 0 {
		return Hook{}, Refusal()
	}
	return h, nil
}

// Admit is h after Verify or, if d has a key that was made after h was read, h as it is now.
func (r *Registry) Admit(ctx context.Context, h Hook, d Delivery) (Hook, error) {
	came := r.list.Moment()
	err := r.Verify(h, d)
	given, _ := h.given(d)
	if err == nil || h.Policy.Check != CheckKey || !r.masters.opens(h.later(), given) {
		return h, err
	}
	known, err := r.list.Since(ctx, came)
	if err != nil {
		return Hook{}, unavailable(err)
	}
	h = known[h.Name]
	return h, r.Verify(h, d)
}

// later is h with the next generations that it may be given.
func (h Hook) later() Hook {
	h.Generations = nil
	for n := range int64(maxGenerations) {
		h.Generations = append(h.Generations, h.last+1+n)
	}
	return h
}

// Current is a hook that lives and sends for a caller, NotFound if it does not. It is
// Unavailable where the list may have changed since it was read.
func (r *Registry) Current(ctx context.Context, name, caller string) (Hook, error) {
	known, err := r.list.Fresh(ctx)
	if err != nil {
		return Hook{}, unavailable(err)
	}
	h := known[name]
	if len(h.Generations) == 0 || h.Policy.Caller != caller {
		return Hook{}, missing(name)
	}
	return h, nil
}

func missing(name string) error {
	return problem.New(problem.NotFound, "There is no hook %q.", name)
}

func (r *Registry) load(ctx context.Context) (map[string]Hook, error) {
	rows, err := r.table.List(ctx, partition)
	if err != nil {
		return nil, unavailable(fmt.Errorf("list hooks: %w", err))
	}
	known := make(map[string]Hook, len(rows))
	for _, row := range rows {
		h, err := unpack(row)
		if err != nil {
			return nil, unavailable(err)
		}
		known[h.Name] = h
	}
	return known, nil
}

// Hooks lists the live hooks by name, freshly read.
func (r *Registry) Hooks(ctx context.Context) ([]Hook, error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Hook, 0, len(known))
	for _, h := range known {
		if len(h.Generations) > 0 {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b Hook) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Hook is a live hook, freshly read; NotFound without one.
func (r *Registry) Hook(ctx context.Context, name string) (Hook, error) {
	known, err := r.load(ctx)
	if err != nil {
		return Hook{}, err
	}
	h, ok := known[name]
	if !ok || len(h.Generations) == 0 {
		return Hook{}, missing(name)
	}
	return h, nil
}

// Add makes a hook. secret is what the sender dictates, as it shows it; empty means
// that the hook's own key is the secret. A name that is taken, and a policy or a
// template that cannot work, are problems of kind InvalidRequest.
func (r *Registry) Add(ctx context.Context, h Hook, secret string) (Hook, error) {
	if !namePattern.MatchString(h.Name) {
		return Hook{}, problem.New(problem.InvalidRequest, "%q is no name for a hook: use 1 to 32 of a-z, 0-9 and -, with no - at either end.", h.Name)
	}
	var err error
	if h.Policy, err = h.Policy.normalised(secret); err != nil {
		return Hook{}, err
	}
	if err := h.Template.check(); err != nil {
		return Hook{}, err
	}
	if secret != "" {
		if h.sealed, err = r.masters.seal(r.random, h.Name, []byte(secret)); err != nil {
			return Hook{}, fmt.Errorf("seal the secret: %w", err)
		}
	}
	h.Generations, h.last, h.made = []int64{1}, 1, 1
	e, err := pack(h)
	if err != nil {
		return Hook{}, err
	}
	if _, err = r.table.Insert(ctx, e); errors.Is(err, store.ErrExists) {
		return r.revive(ctx, h)
	}
	return h, unavailable(err)
}

// revive makes a hook anew under the name of one that was removed.
func (r *Registry) revive(ctx context.Context, h Hook) (Hook, error) {
	known, err := r.load(ctx)
	if err != nil {
		return Hook{}, err
	}
	stored := known[h.Name]
	if len(stored.Generations) > 0 {
		return Hook{}, problem.New(problem.InvalidRequest, "A hook %q is there already. Remove it first; its address and key then change.", h.Name)
	}
	h.last = stored.last + 1
	h.made = h.last
	h.Generations, h.etag = []int64{h.last}, stored.etag
	return h, r.replace(ctx, h)
}

// Rotate gives a hook a new key. The one before it stays alive until the next
// Rotate.
func (r *Registry) Rotate(ctx context.Context, name string) (Hook, error) {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return Hook{}, err
	}
	h.last++
	h.Generations = append(slices.Clone(h.Generations), h.last)
	if n := len(h.Generations); n > maxGenerations {
		h.Generations = h.Generations[n-maxGenerations:]
	}
	return h, r.replace(ctx, h)
}

// Pause lets what comes by a hook wait or, with refuse, be refused, everywhere within
// CacheLife; what waits already stays where it is. reason is shown to senders, not to
// those of a form. Errors: NotFound, InvalidRequest, Unavailable.
func (r *Registry) Pause(ctx context.Context, name, reason string, refuse bool) error {
	pause, err := problem.NewPause(reason, refuse, r.now())
	if err != nil {
		return err
	}
	h, err := r.Hook(ctx, name)
	if err != nil {
		return err
	}
	h.Pause = pause
	return r.replace(ctx, h)
}

// Suspend pauses a hook for reason, so that what comes by it waits, unless it is paused or
// removed already. Errors: InvalidRequest, Unavailable.
func (r *Registry) Suspend(ctx context.Context, name, reason string) error {
	pause, err := problem.NewPause(reason, false, r.now())
	if err != nil {
		return err
	}
	pause.Auto = true
	h, err := r.Hook(ctx, name)
	if problem.Is(err, problem.NotFound) || err == nil && h.Pause != nil {
		return nil
	}
	if err != nil {
		return err
	}
	h.Pause = pause
	return r.replace(ctx, h)
}

// Resume ends the pause of a hook, if there is one. What waits goes on within twice
// CacheLife. Errors are Pause's.
func (r *Registry) Resume(ctx context.Context, name string) error {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return err
	}
	h.Pause = nil
	return r.replace(ctx, h)
}

// Remove ends a hook, its keys and its secret.
func (r *Registry) Remove(ctx context.Context, name string) error {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return err
	}
	return r.replace(ctx, Hook{Name: name, last: h.last, etag: h.etag})
}

func (r *Registry) replace(ctx context.Context, h Hook) error {
	e, err := pack(h)
	if err != nil {
		return err
	}
	e.ETag = h.etag
	_, err = r.table.Replace(ctx, e)
	if errors.Is(err, store.ErrChanged) {
		return problem.New(problem.InvalidRequest, "The hook %q was changed at the same time. Look at it, then try again.", h.Name)
	}
	return unavailable(err)
}

// Key is the newest key of h, which opens this hook only.
func (r *Registry) Key(h Hook) string {
	return key(r.masters[0], h.Name, h.Generations[len(h.Generations)-1])
}

// Secret is what the sender must sign with, in the form in which it wants it; ""
// where it dictates the secret itself or signs nothing.
func (r *Registry) Secret(h Hook) string {
	switch {
	case h.sealed != nil:
		return ""
	case h.Policy.Check == CheckGitHub, h.Policy.Check == CheckGrafana:
		return r.Key(h)
	case h.Policy.Check == CheckStandard:
		return standardSecret(mac(r.masters[0], h.Name, h.Generations[len(h.Generations)-1]))
	}
	return ""
}

func pack(h Hook) (store.Entity, error) {
	policy, err := json.Marshal(h.Policy)
	if err != nil {
		return store.Entity{}, fmt.Errorf("encode policy: %w", err)
	}
	generations, err := json.Marshal(h.Generations)
	if err != nil {
		return store.Entity{}, fmt.Errorf("encode generations: %w", err)
	}
	e := store.Entity{Partition: partition, Row: h.Name, Values: map[string]any{
		"policy": string(policy), "generations": string(generations), "last": h.last, "made": h.made,
		"subject": h.Template.Subject, "text": h.Template.Text, "html": h.Template.HTML,
	}}
	if h.sealed != nil {
		e.Values["secret"] = h.sealed
	}
	if h.Pause != nil {
		pause, err := json.Marshal(h.Pause)
		if err != nil {
			return store.Entity{}, fmt.Errorf("encode pause: %w", err)
		}
		e.Values["pause"] = string(pause)
	}
	return e, nil
}

func unpack(e store.Entity) (Hook, error) {
	h := Hook{Name: e.Row, etag: e.ETag}
	policy, _ := e.Values["policy"].(string)
	if err := json.Unmarshal([]byte(policy), &h.Policy); err != nil {
		return Hook{}, fmt.Errorf("decode policy of hook %s: %w", e.Row, err)
	}
	generations, _ := e.Values["generations"].(string)
	if err := json.Unmarshal([]byte(generations), &h.Generations); err != nil {
		return Hook{}, fmt.Errorf("decode generations of hook %s: %w", e.Row, err)
	}
	h.last, _ = e.Values["last"].(int64)
	h.made, _ = e.Values["made"].(int64)
	h.Template.Subject, _ = e.Values["subject"].(string)
	h.Template.Text, _ = e.Values["text"].(string)
	h.Template.HTML, _ = e.Values["html"].(string)
	h.sealed, _ = e.Values["secret"].([]byte)
	if pause, ok := e.Values["pause"].(string); ok {
		if err := json.Unmarshal([]byte(pause), &h.Pause); err != nil {
			return Hook{}, fmt.Errorf("decode pause of hook %s: %w", e.Row, err)
		}
	}
	return h, nil
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The list of hooks could not be read or written. Try again shortly.", err)
}
