package offload

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"io"
	"mime"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	blobDay     = "2006-01-02"
	linkDay     = "20060102"
	randomBytes = 16
	tokenChars  = len(linkDay) + len("-") + 26
)

var (
	lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	tokenForm   = regexp.MustCompile(`^[0-9]{8}-[a-z2-7]{26}$`)
)

// random returns 128 bits that nobody can guess: what keeps a link from whoever
// was not sent it.
func random(r io.Reader) (string, error) {
	var bits [randomBytes]byte
	if _, err := io.ReadFull(r, bits[:]); err != nil {
		return "", problem.Wrap(problem.Internal, "No random number could be had.", err)
	}
	return lowerBase32.EncodeToString(bits[:]), nil
}

// blobName names a blob that may go on the day after expires.
func blobName(r io.Reader, expires time.Time) (string, error) {
	bits, err := random(r)
	return expires.UTC().AddDate(0, 0, 1).Format(blobDay) + "/" + bits, err
}

// blobMayGo returns the first instant at which the blob may be deleted; ok is
// false for a name that is not of blobName's making.
func blobMayGo(name string) (at time.Time, ok bool) {
	day, _, found := strings.Cut(name, "/")
	at, err := time.Parse(blobDay, day)
	return at, found && err == nil
}

// newToken makes the secret part of a link that expires at the given time.
func newToken(r io.Reader, expires time.Time) (string, error) {
	bits, err := random(r)
	return expires.UTC().Format(linkDay) + "-" + bits, err
}

// key is where the row of a link stands.
type key struct{ partition, row string }

// keyOf finds the row of a token. It costs the same for whatever a stranger
// sends: anything of another length or form is not looked at further.
func keyOf(token string) (k key, ok bool) {
	if len(token) != tokenChars || !tokenForm.MatchString(token) {
		return key{}, false
	}
	day := token[:len(linkDay)]
	if _, err := time.Parse(linkDay, day); err != nil {
		return key{}, false
	}
	hash := sha256.Sum256([]byte(token))
	return key{partition: day, row: hex.EncodeToString(hash[:])}, true
}

// over says whether the day of the key's link has passed.
func (k key) over(now time.Time) bool { return now.UTC().Format(linkDay) > k.partition }

// disposition makes a browser save the blob under its name and never show it:
// RFC 6266, the name by RFC 8187 where ASCII does not do.
func disposition(name string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": plainName(name)})
}

// plainName is a name that cannot break out of its line or turn the text around
// it. accept/check refuses such names; this holds for those that came another way.
func plainName(name string) string {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d' // spelling, in Persian and in emoji
	plain := strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || r == zeroWidthNonJoiner || r == zeroWidthJoiner {
			return r
		}
		return '_'
	}, name)
	if strings.TrimSpace(plain) == "" {
		return "_"
	}
	return plain
}
