package gateway

import (
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// merged is one problem of what wire found wrong with a message and what check
// did, which sees a member that wire could not read as missing, and says nothing
// of members that wire does not know.
func merged(wire *problem.Problem, checked error) error {
	if checked == nil {
		return wire
	}
	all := problem.New(problem.InvalidMessage, "The message has faults, each listed with its place. Correct all of them and send it again.")
	all.Faults = slices.Clone(wire.Faults)
	for _, f := range problem.Of(checked).Faults {
		if !follows(f, wire.Faults) {
			all.Faults = append(all.Faults, f)
		}
	}
	slices.SortStableFunc(all.Faults, func(a, b problem.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return all
}

// follows says whether a fault stands at or under a place that wire has faulted.
// After its first fault wire gives no content on, so that all is missing.
func follows(f problem.Fault, wire []problem.Fault) bool {
	if strings.HasSuffix(f.Pointer, "/contentInBase64") {
		return true
	}
	return slices.ContainsFunc(wire, func(w problem.Fault) bool {
		return f.Pointer == w.Pointer || strings.HasPrefix(f.Pointer, w.Pointer+"/") ||
			slices.Contains(oneOf[f.Pointer], w.Pointer)
	})
}

// oneOf are the members of which check wants at least one: where one could not be
// read, that none is there is no news.
var oneOf = map[string][]string{
	"/content":    {"/content/plainText", "/content/html"},
	"/recipients": {"/recipients/to", "/recipients/cc", "/recipients/bcc"},
}
