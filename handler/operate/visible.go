package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// visible writes text that cannot steer a terminal: names, zones and answers of
// others are in it. What would steer is written as JSON writes it, so that JSON stays
// what it is. The colours of this program alone pass, where there are any.
type visible struct {
	to     io.Writer
	colour bool
}

// steering are control characters but line feed and tab, and marks that turn the order
// of letters; first the colours of paint.
var steering = regexp.MustCompile(`\x1b\[(?:0|3[1-3])m|[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)

// Write implements io.Writer.
func (v visible) Write(p []byte) (int, error) {
	text := steering.ReplaceAllStringFunc(strings.ToValidUTF8(string(p), "?"), func(s string) string {
		if len(s) > 3 && v.colour {
			return s
		}
		r := []rune(s)
		return fmt.Sprintf(`\u%04x`, r[0]) + string(r[1:])
	})
	if _, err := io.WriteString(v.to, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// cells are texts that stay in their row and column of a table.
func cells(texts ...string) string {
	one := strings.NewReplacer("\n", " ", "\r", " ", "\t", " ", "\v", " ", "\f", " ")
	for i := range texts {
		texts[i] = one.Replace(texts[i])
	}
	return strings.Join(texts, "\t")
}

// word is a text as one word of a line to be pasted, which sh, zsh and PowerShell read
// alike. What would end the quotes in one of them, or mean something to the batch file
// that az is on Windows, becomes a question mark: such a line fails, and does no harm.
func word(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !bare(r) }) {
		return text
	}
	return "'" + strings.Map(func(r rune) rune {
		if unquotable(r) {
			return '?'
		}
		return r
	}, text) + "'"
}

func words(texts ...string) string {
	for i := range texts {
		texts[i] = word(texts[i])
	}
	return strings.Join(texts, " ")
}

func bare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=", r)
}

// unquotable tells what no quotes can hold. PowerShell takes curved quotes for straight
// ones.
func unquotable(r rune) bool {
	return strings.ContainsRune("'\"‘’‚‛“”„&|<>^\n\t\ufffd", r) || steering.MatchString(string(r))
}
