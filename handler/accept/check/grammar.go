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

var (
	errFileChar   = errors.New(`a file's name may not contain any of / \ : * ? " < > |`)
	errFileEdge   = errors.New("a file's name may not start or end with a dot or a space")
	errFileDevice = errors.New("this name is that of a device under Windows")
	errMediaType  = errors.New("this is not a media type such as text/plain")
	errContentID  = errors.New("a content id has letters, digits and !#$&'*+-/=?^_{|}~.@ only, without angle brackets")
	errTagName    = errors.New("the name of a tag has letters, digits, dots, hyphens and underscores only")
)

var (
	// devices are names that Windows keeps for itself, with any extension:
	// learn.microsoft.com, "Naming Files, Paths, and Namespaces".
	devices = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)`)
	// contentIDs is narrower than RFC 2392: what a cid: URL can hold as it is.
	// A percent sign would be decoded there.
	contentIDs = regexp.MustCompile(`^[A-Za-z0-9!#$&'*+/=?^_{|}~.@-]+$`)
	tagNames   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	// tokens is RFC 9110 section 5.6.2, which RFC 2045 and RFC 5322 contain.
	tokens = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

func validUTF8(s string) error {
	if !utf8.ValidString(s) {
		return mail.ErrUTF8
	}
	return nil
}

// fileName refuses what some file system cannot hold, or would hold elsewhere.
func fileName(name string) error {
	if err := mail.Line(name); err != nil {
		return err
	}
	first, _ := utf8.DecodeRuneInString(name)
	last, _ := utf8.DecodeLastRuneInString(name)
	switch {
	case strings.ContainsAny(name, `/\:*?"<>|`):
		return errFileChar
	case isDotOrSpace(first), isDotOrSpace(last):
		return errFileEdge
	case devices.MatchString(name):
		return errFileDevice
	}
	return nil
}

func isDotOrSpace(r rune) bool { return r == '.' || unicode.IsSpace(r) }

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

func contentID(s string) error {
	if !contentIDs.MatchString(s) {
		return errContentID
	}
	return nil
}

func tagName(s string) error {
	if !tagNames.MatchString(s) {
		return errTagName
	}
	return nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
