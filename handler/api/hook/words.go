package hook

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// phrase is a name of a program as words: pull_request_review, on-demand.
func phrase(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '_' || r == '-' || unicode.IsSpace(r) }), " ")
}

// capital is s with its first letter large.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// In Markdown, code is as it is; around it, HTML may stand.
var (
	code     = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	comments = regexp.MustCompile(`(?s)<!--.*?-->`)
	anchors  = regexp.MustCompile(`(?is)<a\s[^<>]*?href\s*=\s*["']?(https?://[^"'<>\s]+)["']?[^<>]*>(.*?)</a\s*>`)
	pictures = regexp.MustCompile(`(?i)<img\s[^<>]*?alt\s*=\s*"([^"<>]*)"[^<>]*>`)
	points   = regexp.MustCompile(`(?i)<li(?:\s[^<>]*)?>`)
	ends     = regexp.MustCompile(`(?i)<br\s*/?>|</(?:p|div|li|tr|h[1-6]|ul|ol|table|blockquote|pre|summary|details|title)\s*>`)
	cells    = regexp.MustCompile(`(?i)</t[dh]\s*>`)
	tags     = regexp.MustCompile(`(?i)</?(?:html|head|body|title|meta|style|a|abbr|b|big|blockquote|center|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|input|ins|kbd|li|ol|p|picture|pre|q|s|small|source|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var)(?:\s[^<>]*)?/?>`)
	gaps     = regexp.MustCompile(`\n[ \t]*(?:\n[ \t]*)+\n`)
	// markup is what plain text never has, though it may speak of a <b> or a List<p>.
	markup = regexp.MustCompile(`(?i)<br\s*/?>|</(?:html|body|p|div|a|b|i|em|strong|span|li|ul|ol|td|tr|table|h[1-6]|code|pre|blockquote|u|font)\s*>`)
)

// prose is Markdown, or HTML, as text that a person reads: without tags and comments,
// with the addresses of links. What would leave nothing stays as it is.
func prose(s string) string {
	var out strings.Builder
	at := 0
	for _, of := range code.FindAllStringIndex(s, -1) {
		out.WriteString(withoutTags(s[at:of[0]]))
		out.WriteString(s[of[0]:of[1]])
		at = of[1]
	}
	out.WriteString(withoutTags(s[at:]))
	text := strings.TrimSpace(gaps.ReplaceAllString(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n\n"))
	if text == "" {
		return s
	}
	return text
}

func withoutTags(s string) string {
	s = comments.ReplaceAllString(s, "")
	s = anchors.ReplaceAllStringFunc(s, func(link string) string {
		of := anchors.FindStringSubmatch(link)
		if to, label := of[1], strings.TrimSpace(tags.ReplaceAllString(of[2], "")); label != "" && label != to {
			return label + " (" + to + ")"
		}
		return of[1]
	})
	s = pictures.ReplaceAllString(s, "$1")
	s = points.ReplaceAllString(s, "- ")
	s = cells.ReplaceAllString(s, " ")
	s = ends.ReplaceAllString(s, "\n")
	s = html.UnescapeString(tags.ReplaceAllString(s, ""))
	return visible(strings.ReplaceAll(s, "\u00a0", " "))
}
