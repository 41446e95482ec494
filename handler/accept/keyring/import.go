package keyring

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Outcome is what became, or would become, of an entry.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Unchanged Outcome = "unchanged"
	Changed   Outcome = "changed"
	Refused   Outcome = "refused"
)

// Result is what became of one entry, and why, or what is left to do.
type Result struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Note    string  `json:"note"`
}

// Options say how entries are taken over.
type Options struct {
	Replace bool // those that differ from what is there
	DryRun  bool // say what would be done, and do nothing
}

// Import takes entries over, each for itself, and says what became of each. It may be
// repeated. A holder that is there keeps its keys and its secret. The rest is replaced if o
// says so, and otherwise an entry that differs is refused. allowed, if not nil, refuses more.
// An error comes from storage; the entries before it stay taken over.
func (k *Keyring[T, P]) Import(ctx context.Context, entries []T, o Options, allowed func(T) error) (results []Result, err error) {
	known, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range entries {
		result, err := k.importOne(ctx, known, t, o, allowed)
		if err != nil {
			p := problem.Of(err)
			switch p.Kind {
			case problem.InvalidRequest, problem.InvalidMessage, problem.Forbidden, problem.NotFound:
			default:
				return results, err
			}
			said := []string{p.Detail}
			for _, v := range p.Violations {
				said = append(said, v.Pointer+": "+v.Detail)
			}
			result = Result{P(&t).holder().Name, Refused, strings.Join(said, " ")}
		}
		results = append(results, result)
	}
	return results, nil
}

// importOne takes one entry over, and keeps known as the table then is.
func (k *Keyring[T, P]) importOne(ctx context.Context, known map[string]T, t T, o Options, allowed func(T) error) (Result, error) {
	name := P(&t).holder().Name
	t, err := k.checkEntry(known, t)
	if err != nil {
		return Result{}, err
	}
	there, taken := known[name]
	next, result, err := k.merge(there, taken, t, o.Replace)
	if err != nil {
		return result, err
	}
	if k.kind.Todo != nil && P(&next).Alive() {
		if todo := k.kind.Todo(next); todo != "" {
			result.Note = todo
		}
	}
	if result.Outcome == Unchanged {
		return result, nil
	}
	if allowed != nil && P(&next).Alive() {
		if err := allowed(next); err != nil {
			return result, err
		}
	}
	if !o.DryRun {
		_, err = k.put(ctx, next, taken)
	}
	if err == nil {
		known[name] = next
	}
	return result, err
}

// checkEntry is an entry of untrusted origin in its normal form.
func (k *Keyring[T, P]) checkEntry(known map[string]T, t T) (T, error) {
	t = k.public(t)
	h := *P(&t).holder()
	err := k.checkName(h.Name)
	if err == nil {
		err = checkGenerations(h.Generations, h.Last)
	}
	if err == nil {
		h.Pause, err = h.Pause.Checked()
	}
	if err != nil {
		return t, err
	}
	if h.Made = h.made(); h.Alive() {
		t, err = k.kind.Normalise(known, t)
	} else {
		t = *new(T)
	}
	*P(&t).holder() = h
	return t, err
}

// maxGeneration leaves room for rotations: a key's generation is read with 32 bits.
const maxGeneration = 1 << 30

// checkGenerations looks at the generations of an entry. One that has ended has none.
func checkGenerations(all []int64, last int64) error {
	ascending := slices.IsSorted(all) && len(slices.Compact(slices.Clone(all))) == len(all)
	inRange := len(all) == 0 || all[0] >= 1 && all[len(all)-1] <= last
	if len(all) > MaxGenerations || !ascending || !inRange || last < 1 || last > maxGeneration {
		return wrong("Its generations must be at most %d numbers from 1 on, ascending, and none above last.", MaxGenerations)
	}
	return nil
}

// merge is what an entry makes of the holder that is there, if one is.
func (k *Keyring[T, P]) merge(there T, taken bool, comes T, replace bool) (T, Result, error) {
	old, entry := P(&there).holder(), P(&comes).holder()
	result := Result{Name: entry.Name, Outcome: Created}
	ended := "It was " + k.kind.End + "d"
	switch {
	case !taken && !entry.Alive():
		result.Note = ended + "; its keys stay dead."
		return comes, result, nil
	case !taken:
		return comes, result, nil
	case !old.Alive() && entry.Alive():
		return there, result, wrong("%s here. Make it anew with \"posthorn %s add %s\".", ended, k.plural(), entry.Name)
	case old.Alive() && !entry.Alive():
		return there, result, wrong("%s where it comes from, and lives here. If it is to end, run \"posthorn %s %s %s\".", ended, k.plural(), k.kind.End, entry.Name)
	case !old.Alive() && entry.Last > old.Last:
		result.Outcome, result.Note = Changed, ended+"; more of its keys stay dead."
		old.Last = entry.Last
		return there, result, nil
	case !old.Alive() || k.same(there, comes):
		result.Outcome = Unchanged
		if !slices.Equal(old.Generations, entry.Generations) {
			result.Note = "Its keys here are others."
		}
		return there, result, nil
	case !replace:
		return there, result, wrong("It is here with another policy or template. Replace that with --replace.")
	}
	result.Outcome, result.Note = Changed, "Its policy or template is another. Its keys stay."
	if k.kind.Merge != nil {
		comes = k.kind.Merge(there, comes)
	}
	*P(&comes).holder() = *old
	return comes, result, nil
}

// same says whether two holders do the same, whatever their keys.
func (k *Keyring[T, P]) same(a, b T) bool {
	a, b = k.public(a), k.public(b)
	*P(&a).holder(), *P(&b).holder() = Holder{}, Holder{}
	return bytes.Equal(store.JSON(a), store.JSON(b))
}
