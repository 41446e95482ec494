package hook

import (
	"regexp"
	"strconv"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// fieldsIn makes an object of fields. A field names its charset; else the field _charset_,
// which browsers fill in, names it; else the Content-Type. Without a name a form is UTF-8
// or, if its bytes are not, windows-1252, as browsers read a page without a charset.
// Sources: html.spec.whatwg.org, "Constructing the entry list"; RFC 7578 section 4.6; encoding.spec.whatwg.org, "Names and labels".
func fieldsIn(raw []rawField, charset string) (value, error) {
	whole := charsetOf(charset)
	for _, f := range raw {
		if string(f.name) == charsetField {
			if said := charsetOf(string(f.content)); said != nil {
				whole = said
			}
		}
	}
	if whole == nil {
		whole = unicode.UTF8
		for _, f := range raw {
			if charsetOf(f.own) == nil && !(utf8.Valid(f.name) && utf8.Valid(f.content)) {
				whole = charmap.Windows1252
			}
		}
	}
	v := value{kind: object}
	for _, f := range raw {
		own := charsetOf(f.own)
		if own == nil {
			own = whole
		}
		if err := v.field(decoded(whole, f.name), decoded(own, f.content)); err != nil {
			return value{}, err
		}
	}
	return v, nil
}

// charsetOf is nil for an unknown name, and for UTF-16: browsers send no form in UTF-16.
func charsetOf(label string) encoding.Encoding {
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil
	}
	if name, err := htmlindex.Name(e); err != nil || name == "utf-16le" || name == "utf-16be" || name == "replacement" {
		return nil
	}
	return e
}

// references are what a browser writes for a character that its charset does not have.
// Source: encoding.spec.whatwg.org, error mode "html".
var references = regexp.MustCompile(`&#[0-9]{2,7};`)

func decoded(from encoding.Encoding, text []byte) string {
	if from == unicode.UTF8 {
		return string(text)
	}
	plain, err := from.NewDecoder().Bytes(text)
	if err != nil {
		return string(text)
	}
	return references.ReplaceAllStringFunc(string(plain), func(r string) string {
		n, err := strconv.ParseInt(r[2:len(r)-1], 10, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return r
		}
		return string(rune(n))
	})
}
