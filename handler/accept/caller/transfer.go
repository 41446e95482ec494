package caller

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

// Entry is a caller on its way to another deployment. One without generations was revoked:
// it goes along, so that none of its keys comes back to life under its name.
type Entry struct {
	Name        string              `json:"name"`
	Generations []int64             `json:"generations"`
	Last        int64               `json:"last"`
	Made        map[int64]time.Time `json:"made,omitempty"`
	Policy      Policy              `json:"policy"`
	Pause       *problem.Pause      `json:"pause,omitempty"`
}

// EntryName implements transfer.Named.
func (e Entry) EntryName() string { return e.Name }

// Export is all callers by name, freshly read, those that were revoked included.
func (r *Registry) Export(ctx context.Context) ([]Entry, error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(known))
	for _, c := range byName(known) {
		all = append(all, Entry{c.Name, append([]int64{}, c.Generations...), c.last, c.Made, c.Policy, c.Pause})
	}
	return all, nil
}

// Masters are the secrets that the keys of r derive from, the current one first.
func (r *Registry) Masters() [][]byte { return r.masters }

// Import takes entries over, each for itself, and says what became of each. It may be
// repeated. A caller that is there keeps its keys; its policy is replaced if o says so, and
// an entry that differs is refused otherwise. An error is that of storage; what was taken
// over before it stays.
func (r *Registry) Import(ctx context.Context, entries []Entry, o transfer.Options) (results []transfer.Result, err error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	return transfer.All(entries, func(e Entry) (transfer.Result, error) { return r.importOne(ctx, known, e, o) })
}

// importOne takes one entry over, and keeps known as the table then is.
func (r *Registry) importOne(ctx context.Context, known map[string]Caller, e Entry, o transfer.Options) (transfer.Result, error) {
	c, err := e.caller()
	if err != nil {
		return transfer.Result{}, err
	}
	there, taken := known[e.Name]
	next, result, err := merge(there, taken, c, o.Replace)
	if err != nil || result.Outcome == transfer.Unchanged {
		return result, err
	}
	if err := free(known, next.Name, next.Policy); err != nil {
		return result, err
	}
	known[next.Name] = next
	if o.DryRun {
		return result, nil
	}
	row, err := encode(next)
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
		return result, unavailable(fmt.Errorf("import caller: %w", err))
	}
	return result, nil
}

// caller is an entry that can be a caller.
func (e Entry) caller() (c Caller, err error) {
	if err := checkName(e.Name); err != nil {
		return Caller{}, err
	}
	if err := transfer.Keys(e.Generations, e.Last, MaxGenerations); err != nil {
		return Caller{}, err
	}
	c = Caller{Name: e.Name, Generations: e.Generations, Made: transfer.Made(e.Made, e.Generations), last: e.Last}
	if c.Pause, err = e.Pause.Checked(); err != nil {
		return Caller{}, err
	}
	if len(e.Generations) > 0 {
		c.Policy, err = e.Policy.normalised()
	}
	return c, err
}

// merge is what a caller that comes makes of the one that is there, if one is.
func merge(there Caller, taken bool, comes Caller, replace bool) (Caller, transfer.Result, error) {
	result := transfer.Result{Name: comes.Name, Outcome: transfer.Created}
	switch {
	case !taken && len(comes.Generations) == 0:
		result.Note = "It was revoked; its keys stay dead."
		return comes, result, nil
	case !taken:
		return comes, result, nil
	case len(there.Generations) == 0 && len(comes.Generations) > 0:
		return there, result, problem.New(problem.InvalidRequest, "It was revoked here. Make it anew with \"posthorn callers add %s\".", comes.Name)
	case len(there.Generations) > 0 && len(comes.Generations) == 0:
		return there, result, problem.New(problem.InvalidRequest, "It was revoked where it comes from, and lives here. If it is to end, run \"posthorn callers revoke %s\".", comes.Name)
	case len(there.Generations) == 0 && comes.last > there.last:
		result.Outcome, result.Note = transfer.Changed, "It was revoked; more of its keys stay dead."
		there.last = comes.last
		return there, result, nil
	case len(there.Generations) == 0 || reflect.DeepEqual(normal(there.Policy), normal(comes.Policy)):
		result.Outcome = transfer.Unchanged
		if !slices.Equal(there.Generations, comes.Generations) {
			result.Note = "Its keys here are others."
		}
		return there, result, nil
	case !replace:
		return there, result, problem.New(problem.InvalidRequest, "It is here with another policy. Replace that with --replace.")
	}
	result.Outcome, result.Note = transfer.Changed, "Its policy is another. Its keys stay."
	there.Policy = comes.Policy
	return there, result, nil
}

// normal is a policy in which no list and an empty one are the same.
func normal(p Policy) Policy {
	for _, list := range []*[]string{&p.Senders, &p.RecipientDomains, &p.EntraApps, &p.EntraObjects} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return p
}
