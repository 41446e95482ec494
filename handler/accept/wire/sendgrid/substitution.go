package sendgrid

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
)

const (
	maxSubstitutions     = 1000
	maxSubstitutionBytes = 10_000 // SendGrid's own limit for all of a personalization
	// maxFilledBytes guards memory: it is how long the texts of all messages of a
	// request may be together that substitutions have made.
	maxFilledBytes = 1 << 20
)

// substitution puts the values of a personalization in the place of their tags, as
// they are, in HTML too: that is what SendGrid does.
type substitution struct{ left int }

// message fills the subject, the bodies and the addresses to reply to. It returns
// a violation, if there is one, and then has changed nothing more.
func (s *substitution) message(m *mail.Message, values map[string]string) string {
	if len(values) == 0 {
		return ""
	}
	if _, blank := values[""]; blank {
		return "A tag may not be empty."
	}
	// The longest first, so that it does not depend on the order of a map what
	// becomes of a tag that begins with another.
	tags := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	pairs, size := make([]string, 0, 2*len(tags)), 0
	for _, tag := range tags {
		pairs = append(pairs, tag, values[tag])
		size += len(tag) + len(values[tag])
	}
	if size > maxSubstitutionBytes {
		return fmt.Sprintf("These are longer than %d bytes together.", maxSubstitutionBytes)
	}
	replacer := strings.NewReplacer(pairs...)
	texts := []*string{&m.Content.Subject, &m.Content.PlainText, &m.Content.HTML}
	for i := range m.ReplyTo {
		texts = append(texts, &m.ReplyTo[i].Address, &m.ReplyTo[i].DisplayName)
	}
	for _, text := range texts {
		filled := bounded{left: s.left}
		if _, err := replacer.WriteString(&filled, *text); err != nil {
			return fmt.Sprintf("With substitutions, the texts of all messages may be %d bytes long together.", maxFilledBytes)
		}
		*text, s.left = filled.text.String(), filled.left
	}
	return ""
}

// bounded takes no more than so many bytes.
type bounded struct {
	text strings.Builder
	left int
}

var errFull = errors.New("there is no room left")

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return b.text.Write(p)
}
