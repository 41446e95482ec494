package check

import (
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// violations gathers what is wrong, so that no rule ends the check.
type violations struct{ list []problem.Violation }

// add notes a violation at a JSON pointer of the caller's body. Members stand in args, as
// problem.Name, and never in format.
func (f *violations) add(pointer, format string, args ...any) {
	f.list = append(f.list, problem.NewViolation(pointer, format, args...))
}

// problem is nil if nothing was noted.
func (f *violations) problem() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b problem.Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return problem.Invalid(f.list[:min(len(f.list), problem.MaxViolations)])
}

// escape makes a member's name one token of a pointer: RFC 6901 section 3.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
