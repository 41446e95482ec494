package gateway

import (
	"errors"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// merged is one problem of what wire found wrong with a message and what check
// did, which sees a member that wire could not read as missing, and says nothing
// of members that wire does not know.
//
// place says where a place of the message stands in the caller's body, of which
// alone wire speaks; nil if they are the same.
func merged(wire *problem.Problem, checked error, place func(string) string) error {
	if checked == nil {
		return wire
	}
	all := problem.New(problem.InvalidMessage, "The message has faults, each listed with its place. Correct all of them and send it again.")
	all.Faults = slices.Clone(wire.Faults)
	if place == nil {
		place = func(ours string) string { return ours }
	}
	for _, f := range problem.Of(checked).Faults {
		if !follows(f, wire.Faults, place) {
			f.Pointer = place(f.Pointer)
			all.Faults = append(all.Faults, f)
		}
	}
	slices.SortStableFunc(all.Faults, func(a, b problem.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return all
}

// follows says whether a fault stands at or under a place that wire has faulted.
// After its first fault wire gives no content on, so that all is missing.
func follows(f problem.Fault, wire []problem.Fault, place func(string) string) bool {
	if strings.HasSuffix(f.Pointer, "/contentInBase64") {
		return true
	}
	theirs := place(f.Pointer)
	return slices.ContainsFunc(wire, func(w problem.Fault) bool {
		return theirs == w.Pointer || strings.HasPrefix(theirs, w.Pointer+"/") ||
			slices.ContainsFunc(oneOf[f.Pointer], func(ours string) bool { return place(ours) == w.Pointer })
	})
}

// placed is a problem with the message as the caller sees it.
func placed(err error, place func(string) string) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || place == nil || len(p.Faults) == 0 {
		return err
	}
	theirs := *p
	theirs.Faults = slices.Clone(p.Faults)
	for i, f := range theirs.Faults {
		theirs.Faults[i].Pointer = place(f.Pointer)
	}
	return &theirs
}

// oneOf are the members of which check wants at least one: where one could not be
// read, that none is there is no news.
var oneOf = map[string][]string{
	"/content":    {"/content/plainText", "/content/html"},
	"/recipients": {"/recipients/to", "/recipients/cc", "/recipients/bcc"},
}
