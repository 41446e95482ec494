package mail

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// What Mailbox and Domain refuse. Each text is a clause for the caller.
var (
	errAddressEmpty   = errors.New("the address is empty")
	errAddressLong    = errors.New("the address is longer than 254 bytes")
	errSpace          = errors.New("the address contains a space, a line break or a control character")
	errNoAt           = errors.New("the address has no @")
	errTwoAts         = errors.New("the address has more than one @")
	errNotBare        = errors.New("the address must stand alone: the name has a member of its own")
	errSemicolon      = errors.New("the address contains a semicolon; several addresses are a list, or have commas between them")
	errComment        = errors.New("the address contains a comment in parentheses")
	errLocalEmpty     = errors.New("the part before the @ is empty")
	errLocalLong      = errors.New("the part before the @ is longer than 64 bytes")
	errLocalUnicode   = errors.New("the part before the @ has characters outside ASCII, which not every mail server accepts")
	errLocalQuoted    = errors.New("the part before the @ is quoted; only the plain form is accepted")
	errLocalDots      = errors.New("the part before the @ starts or ends with a dot or has two dots in a row")
	errLocalChar      = errors.New("the part before the @ has a character that may not stand there")
	errDomainEmpty    = errors.New("the domain is empty")
	errDomainLong     = errors.New("the domain is longer than 253 bytes")
	errDomainLiteral  = errors.New("the domain is an IP address; a name is needed")
	errDomainOneLabel = errors.New("the domain has no dot")
	errDomainDots     = errors.New("the domain starts or ends with a dot or has two dots in a row")
	errDomainHyphen   = errors.New("a label of the domain starts or ends with a hyphen")
	errLabelLong      = errors.New("a label of the domain is longer than 63 bytes")
	errDomainName     = errors.New("the domain is not a valid domain name")
)

const (
	// atext less letters and digits: RFC 5322 section 3.2.3.
	atextMarks = "!#$%&'*+-/=?^_`{|}~"
	// maxLabelBytes: RFC 1035 section 2.3.4.
	maxLabelBytes = 63
	// maxDomainText is what RFC 1035's length bytes leave of MaxDomainBytes
	// when a domain is written with dots.
	maxDomainText = MaxDomainBytes - 2
	// maxRawBytes bounds the work on an address before its domain is an A-label;
	// no character takes more than four bytes.
	maxRawBytes = 4 * MaxAddressBytes
)

// domainNames is IDNA2008 as UTS 46 processes it, non-transitional and strict.
// Symbols that UTS 46 lets through, such as ❤, pass here too.
var domainNames = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

// Mailbox returns the bare address s with its domain as A-labels in lower case;
// the local part stays as it came. It accepts less than RFC 5321 section 4.1.2:
// no quoted local part, no address literal, no domain of one label, and no
// local part outside ASCII (RFC 6531), because receivers differ about them and
// parsers that differ are how a policy is walked around. Angle brackets around
// it are dropped, as ACS does: github.com/Azure/azure-sdk-for-java issue 39910.
// The error is a clause that a caller may read, without any part of s.
//
// RFC 5321 section 2.4 leaves the case of a local part to its host. No host of
// today tells two people apart by it, so compare results with ASCII case
// folded.
func Mailbox(s string) (string, error) {
	switch {
	case s == "":
		return "", errAddressEmpty
	case len(s) > maxRawBytes:
		return "", errAddressLong
	}
	if len(s) > 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = s[1 : len(s)-1]
	}
	switch {
	case strings.ContainsRune(s, ';'):
		return "", errSemicolon
	case strings.HasSuffix(s, ">") && strings.Contains(s, "<"):
		return "", errNotBare
	case strings.ContainsFunc(s, isSpaceOrControl):
		return "", errSpace
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", errNoAt
	}
	if err := checkLocal(s[:at]); err != nil {
		return "", err
	}
	domain, err := Domain(s[at+1:])
	if err != nil {
		return "", err
	}
	normal := s
	if domain != s[at+1:] {
		normal = s[:at+1] + domain
	}
	if len(normal) > MaxAddressBytes {
		return "", errAddressLong
	}
	return normal, nil
}

// Domain returns s as A-labels in lower case, by the same rules as Mailbox.
func Domain(s string) (string, error) {
	switch {
	case s == "":
		return "", errDomainEmpty
	case len(s) > maxRawBytes:
		return "", errDomainLong
	case strings.ContainsAny(s, "()"):
		return "", errComment
	case strings.ContainsAny(s, "<>"):
		return "", errNotBare
	case s[0] == '[':
		return "", errDomainLiteral
	case !utf8.ValidString(s):
		// idna turns bad bytes into U+FFFD and accepts that.
		return "", errDomainName
	case isPlain(s):
		return plain(s)
	}
	return mapped(s)
}

// isPlain says whether idna has nothing to map, to encode or to look up in s: it
// has letters in lower case, digits, dots and hyphens, and no label with hyphens
// where a prefix such as xn-- has them.
func isPlain(s string) bool {
	start := 0 // of the label
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			start = i + 1
		case c == '-':
			if i == start+3 && s[i-1] == '-' {
				return false
			}
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			return false
		}
	}
	return true
}

func plain(s string) (string, error) {
	if err := checkShape(s); err != nil {
		return "", err
	}
	return s, nil
}

// mapped is Domain for whatever passed its first rules.
func mapped(s string) (string, error) {
	ascii, err := domainNames.ToASCII(s)
	if shape := checkShape(ascii); shape != nil {
		return "", shape
	}
	if err != nil {
		return "", errDomainName
	}
	// idna holds the bidi rule against what came, not against what that was
	// mapped to (ℵ, a symbol, becomes a Hebrew letter); so the result must pass.
	if again, err := domainNames.ToASCII(ascii); err != nil || again != ascii {
		return "", errDomainName
	}
	return ascii, nil
}

func checkLocal(local string) error {
	switch {
	case local == "":
		return errLocalEmpty
	case strings.ContainsRune(local, '"'):
		return errLocalQuoted
	case strings.ContainsAny(local, "()"):
		return errComment
	case strings.ContainsAny(local, "<>"):
		return errNotBare
	case strings.ContainsRune(local, '@'):
		return errTwoAts
	case len(local) > MaxLocalPartBytes:
		return errLocalLong
	case strings.ContainsFunc(local, isNotASCII):
		return errLocalUnicode
	case strings.ContainsFunc(local, isNotDotAtom):
		return errLocalChar
	case hasEmptyPart(local):
		return errLocalDots
	}
	return nil
}

// checkShape says what is wrong with the outline of a domain. idna knows most
// of it too, but not in words for a caller.
func checkShape(ascii string) error {
	if len(ascii) > maxDomainText {
		return errDomainLong
	}
	if hasEmptyPart(ascii) {
		return errDomainDots
	}
	var last string
	labels := 0
	for label := range strings.SplitSeq(ascii, ".") {
		if len(label) > maxLabelBytes {
			return errLabelLong
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return errDomainHyphen
		}
		last = label
		labels++
	}
	if labels == 1 {
		return errDomainOneLabel
	}
	// RFC 3696 section 2: no top-level domain is all digits, so that an IPv4
	// address is never a name.
	if strings.Trim(last, "0123456789") == "" {
		return errDomainLiteral
	}
	return nil
}

// hasEmptyPart says whether something is missing before, after or between dots.
func hasEmptyPart(s string) bool {
	return s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..")
}

func isSpaceOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

func isNotASCII(r rune) bool { return r > unicode.MaxASCII }

func isNotDotAtom(r rune) bool {
	return r != '.' && !isLetterOrDigit(r) && !strings.ContainsRune(atextMarks, r)
}

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
