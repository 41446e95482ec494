package mail

import (
	"mime"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// devices are names that Windows keeps for itself, with any extension:
// learn.microsoft.com, "Naming Files, Paths, and Namespaces".
var devices = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)`)

// fullPath is the folder of a file as old browsers and some clients send it, with
// its drive or from the root.
var fullPath = regexp.MustCompile(`^([A-Za-z]:\\|\\\\).*\\|^/(.*/)?`)

// FileName makes the name of an attachment one that every file system takes, and
// that stands for no other place: names of subjects ("RE: a/b.eml"), paths and
// encoded words of RFC 2047 are what clients send. It is empty if nothing of the
// name is left. The name of a name that it made is the same.
func FileName(name string) string {
	name = strings.TrimSpace(Decoded(name))
	name = name[len(fullPath.FindString(name)):]
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1 // it would show "gpj.exe" as "exe.jpg"
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		}
		return r
	}, name)
	name = strings.TrimFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
	if devices.MatchString(name) {
		name = "_" + name
	}
	return name
}

// Decoded is text without the encoded words of RFC 2047 that some clients write
// into JSON. What cannot be decoded stays.
func Decoded(text string) string {
	if !strings.Contains(text, "=?") {
		return text
	}
	if plain, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
		return plain
	}
	return text
}

// Nameless is the name of the i-th attachment, which came without one: its
// content id, or its place, and what the type says.
func Nameless(i int, contentType, contentID string) string {
	name := FileName(contentID)
	if name == "" {
		name = "attachment-" + strconv.Itoa(i+1)
	}
	if strings.Contains(name, ".") {
		return name
	}
	return name + fileEnd(contentType)
}
