package gateway

import (
	"errors"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/problem"
)

// vet says all that is wrong with any of the messages.
func (g *Gateway) vet(req Request, parsed []wire.Parsed, violations error) ([]check.Terms, error) {
	terms := make([]check.Terms, len(parsed))
	var all *problem.Problem
	for i, l := range parsed {
		var err error
		terms[i], err = g.Check.Message(l.Message, g.Now())
		switch {
		case violations != nil:
			err = merged(problem.Of(violations), err, l.Pointer)
		case err != nil:
			err = placed(err, l.Pointer)
		default:
			err = placed(req.Caller.Accept(l.Message), l.Pointer)
		}
		if err != nil {
			all = joined(all, problem.Of(err))
		}
	}
	if all != nil {
		return nil, all
	}
	return terms, nil
}

// joined is the problem of several messages. What is not a message at all comes
// before what may not be sent, and what they have in common is told once.
func joined(all, one *problem.Problem) *problem.Problem {
	switch {
	case all == nil || all.Kind == problem.Forbidden && one.Kind != problem.Forbidden:
		return one
	case one.Kind != all.Kind:
		return all
	}
	violations := slices.Clone(all.Violations)
	for _, f := range one.Violations {
		known := slices.ContainsFunc(violations, func(k problem.Violation) bool { return k.Pointer == f.Pointer && k.Detail == f.Detail })
		if !known && len(violations) < problem.MaxViolations {
			violations = append(violations, f)
		}
	}
	if all.Kind == problem.InvalidMessage && len(violations) > len(all.Violations) {
		return problem.Invalid(violations)
	}
	both := *all
	both.Violations = violations
	return &both
}

// merged is one problem of the violations that wire found and those that check found. To
// check, a member that wire could not read is missing. Violations of wire come first: that a
// message has no text often follows from a member that was refused or is not known.
//
// pointer gives the JSON pointer in the caller's body for a JSON pointer of the message; nil
// if they are the same. wire speaks of the body alone.
func merged(wire *problem.Problem, checked error, pointer func(string) string) error {
	if checked == nil {
		return wire
	}
	byPointer := func(a, b problem.Violation) int { return strings.Compare(a.Pointer, b.Pointer) }
	all := slices.SortedStableFunc(slices.Values(wire.Violations), byPointer)
	if pointer == nil {
		pointer = func(ours string) string { return ours }
	}
	for _, f := range problem.Of(checked).Violations {
		if !follows(f, wire.Violations, pointer) {
			all = append(all, f.Placed(pointer))
		}
	}
	return problem.Invalid(all)
}

// follows says whether a violation stands at or under a JSON pointer of wire's violations.
// After its first violation wire gives no content on, so that all content is missing.
func follows(f problem.Violation, wire []problem.Violation, pointer func(string) string) bool {
	if strings.HasSuffix(f.Pointer, "/contentInBase64") {
		return true
	}
	theirs := pointer(f.Pointer)
	return slices.ContainsFunc(wire, func(w problem.Violation) bool {
		return theirs == w.Pointer || strings.HasPrefix(theirs, w.Pointer+"/") ||
			slices.ContainsFunc(oneOf[f.Pointer], func(ours string) bool { return strings.HasPrefix(w.Pointer+"/", pointer(ours)+"/") })
	})
}

// placed is a problem with the message as the caller sees it.
func placed(err error, pointer func(string) string) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || pointer == nil || len(p.Violations) == 0 {
		return err
	}
	return p.Placed(pointer)
}

// oneOf are members where check wants at least one. If one could not be read, it is no
// news that none is there.
var oneOf = map[string][]string{
	"/content":    {"/content/plainText", "/content/html"},
	"/recipients": {"/recipients/to", "/recipients/cc", "/recipients/bcc"},
}
