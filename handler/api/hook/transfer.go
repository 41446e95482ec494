package hook

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/accept/transfer"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Entry is a hook on its way to another deployment. One without generations was removed: it
// goes along, so that none of its keys comes back to life under its name.
type Entry struct {
	Name        string              `json:"name"`
	Generations []int64             `json:"generations"`
	Last        int64               `json:"last"`
	Made        map[int64]time.Time `json:"made,omitempty"`
	Policy      Policy              `json:"policy"`
	Template    *Source             `json:"template,omitempty"`
	Pause       *problem.Pause      `json:"pause,omitempty"`
	// Dictated says that the sender dictates the secret, which stays behind.
	Dictated bool `json:"dictatedSecret,omitempty"`
}

// Source is a hook's own template.
type Source struct {
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// EntryName implements transfer.Named.
func (e Entry) EntryName() string { return e.Name }

// Export is all hooks by name, freshly read, those that were removed included.
func (r *Registry) Export(ctx context.Context) ([]Entry, error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(known))
	for _, h := range byName(known) {
		e := Entry{Name: h.Name, Generations: append([]int64{}, h.Generations...), Last: h.last, Made: h.Made, Policy: h.Policy, Dictated: h.Dictated(), Pause: h.Pause}
		if h.Template != (Template{}) {
			e.Template = new(Source(h.Template))
		}
		all = append(all, e)
	}
	return all, nil
}

// Masters are the secrets that the keys of r derive from, the current one first.
func (r *Registry) Masters() [][]byte { return r.masters }

// Import takes entries over, each for itself, and says what became of each. allowed says
// whether the hook's caller may send what the hook would. It may be repeated. A hook that is
// there keeps its keys, and its secret; the rest is replaced if o says so, and an entry that
// differs is refused otherwise. An error is that of storage; what was taken over before it
// stays.
func (r *Registry) Import(ctx context.Context, entries []Entry, o transfer.Options, allowed func(context.Context, Policy) error) (results []transfer.Result, err error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	return transfer.All(entries, func(e Entry) (transfer.Result, error) { return r.importOne(ctx, known, e, o, allowed) })
}

func (r *Registry) importOne(ctx context.Context, known map[string]Hook, e Entry, o transfer.Options, allowed func(context.Context, Policy) error) (transfer.Result, error) {
	h, err := e.hook()
	if err != nil {
		return transfer.Result{}, err
	}
	there, taken := known[e.Name]
	next, result, err := merge(there, taken, h, o.Replace)
	if err != nil || result.Outcome == transfer.Unchanged {
		return result, err
	}
	if len(next.Generations) > 0 {
		if err := allowed(ctx, next.Policy); err != nil {
			return result, err
		}
	}
	if o.DryRun {
		return result, nil
	}
	row, err := pack(next)
	if err != nil {
		return result, err
	}
	put := r.table.Insert
	if row.ETag = next.etag; taken {
		put = r.table.Replace
	}
	switch _, err = put(ctx, row); {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrChanged):
		return result, problem.New(problem.InvalidRequest, "It was changed at the same time. Look at it, then try again.")
	case err != nil:
		return result, unavailable(fmt.Errorf("import hook: %w", err))
	}
	return result, nil
}

// anySecret stands for one that a sender dictates, where its like is to be allowed.
const anySecret = standardPrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// hook is an entry that can be a hook.
func (e Entry) hook() (h Hook, err error) {
	if err := checkName(e.Name); err != nil {
		return Hook{}, err
	}
	if err := transfer.Keys(e.Generations, e.Last, maxGenerations); err != nil {
		return Hook{}, err
	}
	h = Hook{Name: e.Name, Generations: e.Generations, Made: transfer.Made(e.Made, e.Generations), last: e.Last}
	if h.Pause, err = e.Pause.Checked(); err != nil {
		return Hook{}, err
	}
	if len(e.Generations) == 0 {
		return h, nil
	}
	secret := ""
	if h.wanted = e.Dictated; h.wanted {
		secret = anySecret
	}
	if h.Policy, err = e.Policy.normalised(secret); err != nil {
		return Hook{}, err
	}
	if e.Template != nil {
		h.Template = Template(*e.Template)
	}
	return h, h.Template.check()
}

const dictate = "Set its sender's secret with \"posthorn hooks rotate %s --secret-file FILE\"."

// merge is what a hook that comes makes of the one that is there, if one is.
func merge(there Hook, taken bool, comes Hook, replace bool) (Hook, transfer.Result, error) {
	result := transfer.Result{Name: comes.Name, Outcome: transfer.Created}
	lives, came := len(there.Generations) > 0, len(comes.Generations) > 0
	switch {
	case !taken:
		if !came {
			result.Note = "It was removed; its keys stay dead."
		}
		if comes.wanted {
			result.Note = fmt.Sprintf(dictate, comes.Name)
		}
		return comes, result, nil
	case !lives && came:
		return there, result, wrong("It was removed here. Make it anew with \"posthorn hooks add %s\".", comes.Name)
	case lives && !came:
		return there, result, wrong("It was removed where it comes from, and lives here. If it is to end, run \"posthorn hooks remove %s\".", comes.Name)
	case !lives && comes.last > there.last:
		result.Outcome, result.Note = transfer.Changed, "It was removed; more of its keys stay dead."
		there.last = comes.last
		return there, result, nil
	case !lives || sameHook(there, comes):
		result.Outcome = transfer.Unchanged
		if !slices.Equal(there.Generations, comes.Generations) {
			result.Note = "Its keys here are others."
		}
		if there.wanted {
			result.Note = fmt.Sprintf(dictate, comes.Name)
		}
		return there, result, nil
	case !replace:
		return there, result, wrong("It is here with another policy or template. Replace that with --replace.")
	}
	result.Outcome, result.Note = transfer.Changed, "Its policy or template is another. Its keys stay."
	there.Policy, there.Template = comes.Policy, comes.Template
	switch {
	case !comes.wanted:
		there.sealed, there.wanted = nil, false
	case there.sealed == nil:
		there.wanted, result.Note = true, fmt.Sprintf(dictate, comes.Name)
	}
	return there, result, nil
}

// sameHook says whether two hooks do the same, whatever their keys.
func sameHook(a, b Hook) bool {
	return a.Template == b.Template && a.Dictated() == b.Dictated() && reflect.DeepEqual(normal(a.Policy), normal(b.Policy))
}

// normal is a policy in which no list and an empty one are the same.
func normal(p Policy) Policy {
	for _, list := range []*[]string{&p.To, &p.CC, &p.BCC, &p.ReplyTo, &p.Allow} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(p.Tags) == 0 {
		p.Tags = nil
	}
	return p
}
