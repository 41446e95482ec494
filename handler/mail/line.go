package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// ErrUTF8 is of text that no program could show.
var ErrUTF8 = errors.New("this is not valid UTF-8")

var (
	errCharset   = errors.New("this has an encoded word of RFC 2047 in a charset that is not known; write the text itself")
	errLanguage  = errors.New("this is no tag of a language, such as de or pt-BR")
	errInvisible = errors.New("this has no character that can be seen")
)

var (
	// encodedWords are those of RFC 2047 section 2, with the language of RFC 2231
	// section 5 after the charset, wherever they stand and whatever is in them: mail
	// programs are no stricter.
	encodedWords = regexp.MustCompile(`=\?([^?*]*)(?:\*[^?]*)?\?([bBqQ])\?([^?]*)\?=`)
	// flags are the only use of tag characters: those of parts of countries, such as
	// Scotland's. Source: UTS 51, annex C, "Valid Emoji Tag Sequences".
	flags = regexp.MustCompile(`\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{3,6}\x{E007F}`)
)

// Line refuses what could end a header's line, hide in it or turn it round: RFC 5322
// section 2.2, Unicode's line and paragraph separators, the directional characters of
// UAX 9, the tag characters, which nothing shows, and each of them in an encoded word,
// which a mail program decodes. The error is a clause that a caller may read.
func Line(s string) error {
	if !utf8.ValidString(s) {
		return ErrUTF8
	}
	if err := hidden(s); err != nil {
		return err
	}
	if !strings.Contains(s, "=?") {
		return nil
	}
	together := map[string]string{} // by charset: a character may go over two words
	for _, word := range encodedWords.FindAllStringSubmatch(s, -1) {
		charset, bytes := strings.ToLower(word[1]), decodedWord(word[2], word[3])
		together[charset] += bytes
		if err := encodedLine(charset, bytes); err != nil {
			return err
		}
	}
	for charset, bytes := range together {
		if err := encodedLine(charset, bytes); err != nil {
			return err
		}
	}
	return nil
}

func hidden(s string) error {
	for _, r := range s {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return fmt.Errorf("this contains %U, a control character or line separator", r)
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("this contains %U, which changes the direction of text", r)
		case isTag(r) && strings.ContainsFunc(flags.ReplaceAllLiteralString(s, ""), isTag):
			return fmt.Errorf("this contains %U, which no program shows", r)
		}
	}
	return nil
}

func isTag(r rune) bool { return r >= 0xE0000 && r <= 0xE007F }

func encodedLine(charset, bytes string) error {
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return errCharset
	}
	text, err := encoding.NewDecoder().String(bytes)
	if err != nil {
		return errCharset
	}
	if err := hidden(text); err != nil {
		return fmt.Errorf("%w, in an encoded word of RFC 2047", err)
	}
	return nil
}

// decodedWord are the bytes of an encoded word, as far as it can be read.
func decodedWord(encoding, text string) string {
	if strings.EqualFold(encoding, "b") {
		bytes, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(text), ""), "="))
		return string(bytes)
	}
	bytes, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(strings.ReplaceAll(text, "_", " "))))
	return string(bytes)
}

// languages is the form of tags, RFC 5646 section 2.1, less its private ones.
var languages = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$`)

// Languages refuses what is no list of tags of BCP 47, which RFC 3282 has for
// Content-Language. The error is a clause that a caller may read.
func Languages(list string) error {
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimSpace(tag); len(tag) > MaxLanguageBytes || !languages.MatchString(tag) {
			return errLanguage
		}
	}
	return nil
}

// Seen refuses what shows nothing: spaces, and what Unicode lets a program ignore.
// U+2800 is a Braille cell without dots.
func Seen(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsPrint(r) && r != ' ' && r != '\u2800' && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	}) {
		return nil
	}
	return errInvisible
}
