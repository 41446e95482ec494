package dns

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	miekg "github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// maxShown is how much of a value a sentence or an evidence shows, in characters.
const maxShown = 400

// Name makes of what a person types the name that DNS knows: small letters, Punycode,
// no last dot. It fails if that is no domain.
func Name(typed string) (string, bool) {
	name, err := idna.Lookup.ToASCII(canonical(strings.TrimSpace(typed)))
	if err != nil || !strings.Contains(name, ".") || len(name) > 253 {
		return "", false
	}
	_, ok := miekg.IsDomainName(name)
	return name, ok
}

// shown is text of a zone, made safe for a terminal: others wrote it.
func shown(text string) string { return safe(text, maxShown) }

// safe is shown, up to a number of characters.
func safe(text string, most int) string {
	var b strings.Builder
	n := 0
	for i, r := range text {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16))
		case r != ' ' && !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ':
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// listed is a list in a sentence, of at most eight.
func listed(all []string) string {
	const most = 8
	rest := ""
	if len(all) > most {
		rest = " and " + strconv.Itoa(len(all)-most) + " more"
		all = all[:most]
	}
	safe := make([]string, len(all))
	for i, one := range all {
		safe[i] = shown(one)
	}
	return strings.Join(safe, ", ") + rest
}

// pasted are characters that come with a value that was pasted: quotes of any kind,
// backslashes, blanks of any kind, line breaks, marks without a width.
func pasted(r rune) bool {
	return strings.ContainsRune(`"'\`+"`“”„‟‘’‚‛«»‹›＂＇", r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r)
}

// clean is a value without what pasting leaves around it or breaks into it.
func clean(text string) string {
	text = strings.TrimFunc(text, pasted)
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r != '\'' && pasted(r) }), " ")
}

// begins says whether a value starts with a word, whatever the letters.
func begins(text, word string) bool {
	return len(text) >= len(word) && strings.EqualFold(text[:len(word)], word)
}
