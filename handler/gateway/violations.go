package gateway

import (
	"errors"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// merged is one problem of what wire found wrong with a message and what check
// did, which sees a member that wire could not read as missing, and says nothing
// of members that wire does not know. What wire found comes first: that a message has
// no text often follows from a member that was refused or is not known.
//
// place says where a place of the message stands in the caller's body, of which
// alone wire speaks; nil if they are the same.
func merged(wire *problem.Problem, checked error, place func(string) string) error {
	if checked == nil {
		return wire
	}
	byPlace := func(a, b problem.Violation) int { return strings.Compare(a.Pointer, b.Pointer) }
	all := slices.SortedStableFunc(slices.Values(wire.Violations), byPlace)
	if place == nil {
		place = func(ours string) string { return ours }
	}
	for _, f := range problem.Of(checked).Violations {
		if !follows(f, wire.Violations, place) {
			all = append(all, f.Placed(place))
		}
	}
	return problem.Invalid(all)
}

// follows says whether a fault stands at or under a place that wire has faulted.
// After its first fault wire gives no content on, so that all is missing.
func follows(f problem.Violation, wire []problem.Violation, place func(string) string) bool {
	if strings.HasSuffix(f.Pointer, "/contentInBase64") {
		return true
	}
	theirs := place(f.Pointer)
	return slices.ContainsFunc(wire, func(w problem.Violation) bool {
		return theirs == w.Pointer || strings.HasPrefix(theirs, w.Pointer+"/") ||
			slices.ContainsFunc(oneOf[f.Pointer], func(ours string) bool { return strings.HasPrefix(w.Pointer+"/", place(ours)+"/") })
	})
}

// placed is a problem with the message as the caller sees it.
func placed(err error, place func(string) string) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || place == nil || len(p.Violations) == 0 {
		return err
	}
	return p.Placed(place)
}

// oneOf are the members of which check wants at least one: where one could not be
// read, that none is there is no news.
var oneOf = map[string][]string{
	"/content":    {"/content/plainText", "/content/html"},
	"/recipients": {"/recipients/to", "/recipients/cc", "/recipients/bcc"},
}
