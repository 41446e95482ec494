package wire

import (
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Violations are what a dialect finds wrong with the meaning of what was read.
type Violations []problem.Violation

// Add notes a violation at a JSON pointer of the caller's body.
func (f *Violations) Add(pointer, detail string) {
	*f = append(*f, problem.Violation{Pointer: pointer, Detail: detail})
}

// Named is mail.Named for the text at a JSON pointer, with the name as a person reads it.
func (f *Violations) Named(pointer, text string) mail.Address {
	a, err := mail.Named(text)
	if err != nil {
		f.Add(pointer, problem.AsSentence(err))
	}
	a.DisplayName = mail.Decoded(a.DisplayName)
	return a
}

// NamedList is mail.NamedList for the text at a JSON pointer, with the names as Named has
// them.
func (f *Violations) NamedList(pointer, text string) []mail.Address {
	all, err := mail.NamedList(text)
	if err != nil {
		f.Add(pointer, problem.AsSentence(err))
	}
	for i := range all {
		all[i].DisplayName = mail.Decoded(all[i].DisplayName)
	}
	return all
}
