package check

import (
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// faults gathers what is wrong, so that no rule ends the check.
type faults struct{ list []problem.Violation }

// add notes a fault at a place in the caller's JSON. Members stand in args, as
// problem.Name, and never in format.
func (f *faults) add(pointer, format string, args ...any) {
	f.list = append(f.list, problem.NewViolation(pointer, format, args...))
}

// maxFaults is how many are told at once.
const maxFaults = 50

// problem is nil if nothing was noted.
func (f *faults) problem() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b problem.Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return problem.Invalid(f.list[:min(len(f.list), maxFaults)])
}

// escape makes a member's name one token of a pointer: RFC 6901 section 3.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
