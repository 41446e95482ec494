package check

import (
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errUTF8      = errors.New("this is not valid UTF-8")
	errMediaType = errors.New("this is not a media type such as text/plain")
)

var (
	// tokens is RFC 9110 section 5.6.2, which RFC 2045 and RFC 5322 contain.
	tokens = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

func validUTF8(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}

// line refuses what could end a header's line, hide in it or turn it round:
// RFC 5322 section 2.2, Unicode's line and paragraph separators, and the
// directional characters of UAX 9.
func line(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	for _, r := range s {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return fmt.Errorf("this contains %U, a control character or line separator", r)
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("this contains %U, which changes the direction of text", r)
		}
	}
	return nil
}

// mediaType wants type and subtype of RFC 2045 section 5.1; parameters may
// follow.
func mediaType(s string) error {
	if err := line(s); err != nil {
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
