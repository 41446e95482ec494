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
	"github.com/posthorn/posthorn/handler/store"
)

const (
	dayForm     = "20060102"
	randomBytes = 16
	tokenChars  = len(dayForm) + len("-") + 26

	// The folders of the container, by which a rule of its lifecycle may tell
	// them apart.
	movedFolder  = "moved/"
	uploadFolder = "upload/"
)

var (
	lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	tokenForm   = regexp.MustCompile(`^[0-9]{8}-[a-z2-7]{26}$`)
)

// random returns 128 bits that cannot be guessed: they keep a link from strangers.
func random(r io.Reader) (string, error) {
	var bits [randomBytes]byte
	if _, err := io.ReadFull(r, bits[:]); err != nil {
		return "", problem.Wrap(problem.Internal, "The system gave no random number.", err)
	}
	return lowerBase32.EncodeToString(bits[:]), nil
}

func blobName(r io.Reader, folder string) (string, error) {
	bits, err := random(r)
	return folder + bits, err
}

// newToken makes the secret part of a link, or the id of a slot, that expires at
// the given time.
func newToken(r io.Reader, expires time.Time) (string, error) {
	bits, err := random(r)
	return day(expires) + "-" + bits, err
}

func day(t time.Time) string { return t.UTC().Format(dayForm) }

// keyOf finds the row of a token or an id. It costs the same for whatever a
// stranger sends: anything of another length or form is not looked at further.
func keyOf(token, partitionPrefix string) (k store.Key, ok bool) {
	if len(token) != tokenChars || !tokenForm.MatchString(token) {
		return store.Key{}, false
	}
	last := token[:len(dayForm)]
	if _, err := time.Parse(dayForm, last); err != nil {
		return store.Key{}, false
	}
	hash := sha256.Sum256([]byte(token))
	return store.Key{Partition: partitionPrefix + last, Row: hex.EncodeToString(hash[:])}, true
}

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
