package offload

import (
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// maxWrapped is how many filters may have wrapped a link one in another.
const maxWrapped = 4

var (
	// tokenIn finds a token before a character that is no letter or digit.
	tokenIn = regexp.MustCompile(`([0-9]{8}-[a-z2-7]{26})(?:[^a-z0-9]|$)`)
	// hyphened is how Proofpoint's first two forms write other characters than letters and digits.
	hyphened = regexp.MustCompile(`-[0-9A-Fa-f]{2}`)
	// softBreak is a line that quoted-printable has broken.
	softBreak = regexp.MustCompile(`=\r?\n`)
)

// Token finds the token of a link in the form in which a recipient, a mail program or
// a filter hands it on: with the number of a file, a query or brackets, in a line of a
// mail's source, or in the address of a filter, such as Outlook's Safe Links and
// Proofpoint's URL Defense, which carry the link in theirs. A token is unlike anything
// else, so it is looked for and nothing of the address is read. The error is NotFound.
//
// Source of Proofpoint's forms: its "URL Defense Decoder".
func Token(link string) (string, error) {
	text := softBreak.ReplaceAllString(link, "")
	for range maxWrapped {
		switch found := tokens(text); len(found) {
		case 1:
			return found[0], nil
		case 0:
		default:
			return "", problem.New(problem.NotFound, "These are links of several messages. Give one at a time.")
		}
		text = unwrapped(text)
	}
	if strings.Contains(link, "/"+movedFolder) || strings.Contains(link, "/"+uploadFolder) {
		return "", problem.New(problem.NotFound, "This is an address in storage, not a link. Delete its blob in storage.")
	}
	return "", problem.New(problem.NotFound, "This is no link to a file: …/files/ and a token such as 20261231-abcdefghijklmnopqrstuvwxyz are not in it.")
}

// tokens are the tokens in a text, each once, also in Proofpoint's hyphened forms.
func tokens(text string) []string {
	var all []string
	for _, form := range []string{text, hyphened.ReplaceAllStringFunc(text, unhyphen)} {
		for _, found := range tokenIn.FindAllStringSubmatch(strings.ToLower(form), -1) {
			if !slices.Contains(all, found[1]) {
				all = append(all, found[1])
			}
		}
	}
	return all
}

func unhyphen(code string) string {
	of, _ := hex.DecodeString(code[1:]) // hyphened takes two hexadecimal digits
	return string(of)
}

// unwrapped undoes one layer of percent signs.
func unwrapped(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}
