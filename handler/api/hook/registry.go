package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/roster"
	"github.com/posthorn/posthorn/handler/accept/usage"
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
	used    *usage.Days // nil: no use is noted

	list *roster.Roster[Hook]
}

// NewRegistry reads hooks from t and proves their keys with masters. random is for
// the nonces of sealed secrets, now a local clock.
func NewRegistry(t Table, masters Masters, random io.Reader, now func() time.Time) *Registry {
	r := &Registry{table: t, masters: masters, random: random, now: now}
	r.list = roster.New(now, r.load)
	return r
}

// Find is the live hook of a name. Without one it is a hook that nothing opens, so that
// who has no proof is answered the same. A page may show a form that was just made: where
// the list can be read at once, it is, whatever the name.
func (r *Registry) Find(ctx context.Context, name string, d Delivery) (Hook, error) {
	came := r.list.Moment()
	known, err := r.list.Known(ctx)
	if err != nil {
		return Hook{}, unavailable(err)
	}
	h := live(known, name)
	if !h.IsForm() && d.Header.Get("Origin") != "" && r.list.Rested() {
		if known, err := r.list.Since(ctx, came); err == nil {
			h = live(known, name)
		}
	}
	return h, nil
}

func live(known map[string]Hook, name string) Hook {
	if h := known[name]; len(h.Generations) > 0 {
		return h
	}
	return Hook{Name: name, last: known[name].last}
}

// since is the live hook of a name as it was after a moment.
func (r *Registry) since(ctx context.Context, m roster.Moment, name string) (Hook, error) {
	known, err := r.list.Since(ctx, m)
	if err != nil {
		return Hook{}, unavailable(err)
	}
	return live(known, name), nil
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
	return slices.DeleteFunc(byName(known), func(h Hook) bool { return len(h.Generations) == 0 }), nil
}

func byName(known map[string]Hook) []Hook {
	return slices.SortedFunc(maps.Values(known), func(a, b Hook) int { return strings.Compare(a.Name, b.Name) })
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

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return wrong("%q is no name for a hook: use 1 to 32 of a-z, 0-9 and -, with no - at either end.", name)
	}
	return nil
}

// Add makes a hook. secret is what the sender dictates, as it shows it; empty means
// that the hook's own key is the secret. A name that is taken, and a policy or a
// template that cannot work, are problems of kind InvalidRequest.
func (r *Registry) Add(ctx context.Context, h Hook, secret string) (Hook, error) {
	err := checkName(h.Name)
	if err != nil {
		return Hook{}, err
	}
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
	h.next(r.now())
	h.began = h.last
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
	h.last, h.Generations, h.etag = stored.last, nil, stored.etag
	h.next(r.now())
	h.began = h.last
	return h, r.replace(ctx, h)
}

// SetForm changes what holds for a form. InvalidRequest is for a hook that is none, and for
// what cannot work.
func (r *Registry) SetForm(ctx context.Context, name string, change func(Form) Form) error {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return err
	}
	if !h.IsForm() {
		return problem.New(problem.InvalidRequest, "The hook %q is no form, so it has no limits of a form.", name)
	}
	changed := change(*h.Policy.Form)
	h.Policy.Form = &changed
	if h.Policy, err = h.Policy.normalised(""); err != nil {
		return err
	}
	return r.replace(ctx, h)
}

// Rotate gives a hook a new key. The one before it stays alive until the next
// Rotate.
func (r *Registry) Rotate(ctx context.Context, name string) (Hook, error) {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return Hook{}, err
	}
	h.next(r.now())
	return h, r.replace(ctx, h)
}

// SetSecret gives a hook another secret that its sender dictates. The one before it ends.
// What the hook cannot have is a problem of kind InvalidRequest.
func (r *Registry) SetSecret(ctx context.Context, name, secret string) (Hook, error) {
	h, err := r.Hook(ctx, name)
	if err != nil {
		return Hook{}, err
	}
	if secret == "" {
		return Hook{}, wrong("The secret is empty.")
	}
	if err := h.Policy.Check.allowsSecret(secret); err != nil {
		return Hook{}, err
	}
	if h.sealed, err = r.masters.seal(r.random, name, []byte(secret)); err != nil {
		return Hook{}, fmt.Errorf("seal the secret: %w", err)
	}
	h.wanted = false
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
	case h.Dictated():
		return ""
	case h.Policy.Check == CheckGitHub, h.Policy.Check == CheckGrafana:
		return r.Key(h)
	case h.Policy.Check == CheckStandard:
		return standardSecret(mac(r.masters[0], h.Name, h.Generations[len(h.Generations)-1]))
	}
	return ""
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The list of hooks could not be read or written. Try again shortly.", err)
}
