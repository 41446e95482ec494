package problem

import (
	"fmt"
	"slices"
	"strings"
)

// spokenViolations are as many violations as a sentence for a client has room for.
const spokenViolations = 5

// Invalid is the problem of a message with at least one violation. The
// first should be the cause of those that follow from it: some clients show no other.
func Invalid(violations []Violation) *Problem {
	p := New(InvalidMessage, "The message has one violation, listed in errors.")
	if len(violations) > 1 {
		p = New(InvalidMessage, "The message has %d violations, listed in errors.", len(violations))
	}
	p.Violations, p.counts = violations, true
	return p
}

// Placed is p in the words of a caller to whom place says where the members of a message
// stand.
func (p *Problem) Placed(place func(pointer string) string) *Problem {
	theirs := *p
	theirs.Violations = slices.Clone(p.Violations)
	for i, f := range p.Violations {
		theirs.Violations[i] = f.Placed(place)
	}
	return &theirs
}

// Sentence is all that a client shows that knows only a message: the detail, unless it only
// counts the violations, and the first violations with their places.
func (p *Problem) Sentence() string {
	var all []string
	for i, f := range p.Violations {
		if i == spokenViolations {
			all = append(all, fmt.Sprintf("And %d more.", len(p.Violations)-i))
			break
		}
		all = append(all, f.Sentence(asPointer))
	}
	if len(all) == 0 {
		return p.Detail
	}
	all[0] = p.Before(all[0])
	return strings.Join(all, " ")
}

// Before puts the detail before the sentence of the first violation, as far as they do not say
// the same.
func (p *Problem) Before(violation string) string {
	switch {
	case p.counts:
		return violation
	case strings.Contains(p.Detail, p.Violations[0].Detail): // JSON that is malformed
		return p.Detail
	}
	return p.Detail + " " + violation
}

// Sentence is the violation with its place before it, where it has one, both written as spell
// does.
func (f Violation) Sentence(spell func(pointer string) string) string {
	if f.Pointer == "" {
		return f.Say(spell)
	}
	return spell(f.Pointer) + ": " + f.Say(spell)
}

// AsSentence makes a sentence of an error's clause.
func AsSentence(clause error) string {
	text := clause.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
