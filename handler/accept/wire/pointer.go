package wire

import (
	"cmp"
	"slices"
	"strings"
)

// PointerPair says which JSON pointer another API has for one of a mail.Message. In both,
// * is any one step.
type PointerPair struct{ Ours, Theirs string }

// Pointers are tried in their order. The last is best the whole body, {"", ""}.
type Pointers []PointerPair

// Pointers are what As says of the members of o, and of objects within it: the finest first.
func (o Object[T]) Pointers() Pointers {
	all := Pointers{{"", ""}}
	for _, row := range o.Rows() {
		theirs := "/" + strings.NewReplacer("[].", "/*/", ".", "/").Replace(row.Name)
		for _, ours := range row.ours {
			plain := strings.TrimRight(ours, "/*")
			all = append(all, PointerPair{ours, theirs + ours[len(plain):]}, PointerPair{plain, theirs})
		}
	}
	slices.SortStableFunc(all, func(a, b PointerPair) int { return cmp.Compare(len(b.Ours), len(a.Ours)) })
	return all
}

// Of is the other API's pointer for one of a message: by the first row that begins it, with
// the steps of ours for the asterisks in their order. What follows the row in ours is
// dropped, since the other API has nothing so fine; without a row it is ours.
func (p Pointers) Of(ours string) string {
	steps := strings.Split(ours, "/")
	for _, row := range p {
		if bound, ok := row.match(steps); ok {
			return row.fill(bound)
		}
	}
	return ours
}

// match returns the steps that the asterisks stand for.
func (p PointerPair) match(steps []string) (bound []string, ok bool) {
	want := strings.Split(p.Ours, "/")
	if len(want) > len(steps) {
		return nil, false
	}
	for i, w := range want {
		if w == "*" {
			bound = append(bound, steps[i])
		} else if w != steps[i] {
			return nil, false
		}
	}
	return bound, true
}

func (p PointerPair) fill(bound []string) string {
	theirs := strings.Split(p.Theirs, "/")
	for i, step := range theirs {
		if step == "*" {
			theirs[i], bound = bound[0], bound[1:]
		}
	}
	return strings.Join(theirs, "/")
}
