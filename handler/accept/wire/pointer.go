package wire

import "strings"

// PointerPair says for a place of a mail.Message where it stands in the words of
// another API: both are JSON pointers, and * is any one step.
type PointerPair struct{ Ours, Theirs string }

// Pointers are tried in their order. The last is best the whole body, {"", ""}.
type Pointers []PointerPair

// Of is where a place of a message stands: by the first row that begins it, with
// its steps for the asterisks in their order. What follows the row in ours is
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
