package problem

import "strings"

// spokenFaults are as many faults as a sentence for a client has room for.
const spokenFaults = 5

// Sentence is all that a client shows that knows only a message: the detail, and
// the first faults with their places.
func (p *Problem) Sentence() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for i, fault := range p.Faults {
		if i == spokenFaults {
			b.WriteString(" And more.")
			break
		}
		if fault.Pointer != "" {
			b.WriteString(" " + fault.Pointer + ": " + fault.Detail)
		}
	}
	return b.String()
}

// AsSentence makes a sentence of an error's clause.
func AsSentence(clause error) string {
	text := clause.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
