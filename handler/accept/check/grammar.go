package check

import (
	"errors"
	"mime"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
)

var errMediaType = errors.New("this is not a media type such as text/plain")

// tokens is RFC 9110 section 5.6.2, which RFC 2045 and RFC 5322 contain.
var tokens = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func validUTF8(s string) error {
	if !utf8.ValidString(s) {
		return mail.ErrUTF8
	}
	return nil
}

// mediaType wants type and subtype of RFC 2045 section 5.1; parameters may
// follow.
func mediaType(s string) error {
	if err := mail.Line(s); err != nil {
		return err
	}
	essence, _, err := mime.ParseMediaType(s)
	main, sub, slash := strings.Cut(essence, "/")
	if err != nil || !slash || !tokens.MatchString(main) || !tokens.MatchString(sub) ||
		strings.TrimSpace(s) != s || !isASCII(s) {
		return errMediaType
	}
	return nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
