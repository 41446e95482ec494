package hook

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// Registry is the keyring of hooks, and the secrets of their senders. It is safe for
// concurrent use.
type Registry struct {
	*keyring.Keyring[Hook, *Hook]

	masters keyring.Masters
	random  io.Reader
}

// NewRegistry reads hooks from t and proves their keys with masters. random is for
// the nonces of sealed secrets, now a local clock.
func NewRegistry(t keyring.Table, masters keyring.Masters, random io.Reader, now func() time.Time) *Registry {
	return &Registry{masters: masters, random: random, Keyring: keyring.New(keyring.Kind[Hook]{
		Noun: "hook", Prefix: KeyPrefix, End: "remove", Normalise: normalise,
		Public: func(h Hook) Hook { h.Sealed = nil; return h },
		Merge: func(there, comes Hook) Hook {
			if comes.Dictated {
				comes.Sealed = there.Sealed
			}
			return comes
		},
		Todo: func(h Hook) string {
			if !h.lacksSecret() {
				return ""
			}
			return fmt.Sprintf("Set its sender's secret with \"posthorn hooks rotate %s --secret-file FILE\".", h.Name)
		},
	}, t, masters, now)}
}

func normalise(_ map[string]Hook, h Hook) (_ Hook, err error) {
	if h.Policy, err = h.Policy.normalised(); err == nil {
		err = cmp.Or(h.Policy.Check.allows(h.Dictated), h.Template.check())
	}
	return h, err
}

// Find is the live hook of a name. Without one it is a hook that nothing opens, so that a
// sender without proof is answered the same. A page may show a form that was just made: where
// the list can be read at once, it is, whatever the name.
func (r *Registry) Find(ctx context.Context, name string, d Delivery) (Hook, error) {
	came := r.Moment()
	known, err := r.Known(ctx)
	if err != nil {
		return Hook{}, err
	}
	h := live(known, name)
	if !h.IsForm() && d.Header.Get("Origin") != "" && r.CanReadNow() {
		if known, err := r.Since(ctx, came); err == nil {
			h = live(known, name)
		}
	}
	return h, nil
}

func live(known map[string]Hook, name string) Hook {
	h := known[name]
	if !h.Alive() {
		h = Hook{Holder: keyring.Holder{Name: name, Last: h.Last}}
	}
	return h
}

// since is the live hook of a name as it was after a moment.
func (r *Registry) since(ctx context.Context, m keyring.Moment, name string) (Hook, error) {
	known, err := r.Since(ctx, m)
	if err != nil {
		return Hook{}, err
	}
	return live(known, name), nil
}

// Current is a hook that is alive and sends for a caller, NotFound if it does not. It is
// Unavailable where the list may have changed since it was read.
func (r *Registry) Current(ctx context.Context, name, caller string) (Hook, error) {
	h, err := r.Keyring.Current(ctx, name)
	if err == nil && h.Policy.Caller != caller {
		return Hook{}, problem.New(problem.NotFound, "There is no hook %q.", name)
	}
	return h, err
}

// Add makes a hook. secret is what the sender dictates, as it shows it; empty means
// that the hook's own key is the secret. A name that is taken, and a policy or a
// template that cannot work, are problems of kind InvalidRequest.
func (r *Registry) Add(ctx context.Context, h Hook, secret string) (Hook, error) {
	var err error
	if h.Policy, err = h.Policy.normalised(); err != nil { // the check says what a secret is
		return Hook{}, err
	}
	if secret != "" {
		if h, err = r.dictate(h, secret); err != nil {
			return Hook{}, err
		}
	}
	return r.Keyring.Add(ctx, h)
}

// dictate returns h with the secret that its sender dictates.
func (r *Registry) dictate(h Hook, secret string) (_ Hook, err error) {
	h.Dictated = true
	if err = cmp.Or(h.Policy.Check.allows(true), h.Policy.Check.allowsSecret(secret)); err != nil {
		return h, err
	}
	if h.Sealed, err = r.seal(h.Name, []byte(secret)); err != nil {
		return h, fmt.Errorf("seal the secret: %w", err)
	}
	return h, nil
}

// SetForm changes what holds for a form. A hook that is no form, and
// what cannot work, are problems of kind InvalidRequest.
func (r *Registry) SetForm(ctx context.Context, name string, change func(Form) Form) error {
	_, err := r.Change(ctx, name, func(_ map[string]Hook, h *Hook) (err error) {
		if !h.IsForm() {
			return wrong("The hook %q is no form, so it has no limits of a form.", name)
		}
		h.Policy.Form = new(change(*h.Policy.Form))
		h.Policy, err = h.Policy.normalised()
		return err
	})
	return err
}

// SetSecret gives a hook another secret that its sender dictates. The one before it ends.
// What the hook cannot have is a problem of kind InvalidRequest.
func (r *Registry) SetSecret(ctx context.Context, name, secret string) (Hook, error) {
	return r.Change(ctx, name, func(_ map[string]Hook, h *Hook) (err error) {
		*h, err = r.dictate(*h, secret)
		return err
	})
}

// Secret is what the sender must sign with, in the form in which it wants it; ""
// where it dictates the secret itself or signs nothing.
func (r *Registry) Secret(h Hook) string {
	if h.Dictated || !h.Policy.Check.Signs() {
		return ""
	}
	if h.Policy.Check == CheckStandard {
		return standardSecret(r.MACs(h.Name, h.Generations[len(h.Generations)-1])[0])
	}
	return r.Key(h)
}

// Used notes that h has taken d, which has proved where it comes from: by a key of the
// hook's own or, as generation 0, by a sender's secret or a form's site.
func (r *Registry) Used(ctx context.Context, h Hook, d Delivery) {
	if h.Dictated || h.Policy.Check == CheckOrigin {
		r.NoteUse(ctx, keyring.KeyID{Name: h.Name})
		return
	}
	for _, generation := range h.Generations {
		one := h
		if one.Generations = []int64{generation}; len(h.Generations) == 1 || r.provenBy(one, d) {
			r.NoteUse(ctx, keyring.KeyID{Name: h.Name, Generation: generation})
		}
	}
}

// provenBy says whether d, which is read whole, is opened or signed by a key of h.
func (r *Registry) provenBy(h Hook, d Delivery) bool {
	if h.Policy.Check == CheckKey {
		return r.hasLiveKey(h, d)
	}
	d.Pieces = [][]byte{d.Body}
	return r.signed(h, d) == nil
}

// hasLiveKey says whether d has a key of h that is alive.
func (r *Registry) hasLiveKey(h Hook, d Delivery) bool {
	given, _ := h.givenKey(d)
	id, ok := r.Issued(given)
	return ok && id.Name == h.Name && slices.Contains(h.Generations, id.Generation)
}

// hasNewerKey says whether d has, in any header, a key of h that was made after h was read.
func (r *Registry) hasNewerKey(h Hook, d Delivery) bool {
	given, _ := h.givenKey(d)
	all := []string{given}
	for _, values := range d.Header { // which of them h takes a key from is not known yet
		all = append(all, values...)
	}
	return slices.ContainsFunc(all, func(given string) bool {
		id, ok := r.Issued(given)
		return ok && id.Name == h.Name && id.Generation > h.Last
	})
}
