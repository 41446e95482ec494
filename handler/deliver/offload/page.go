package offload

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

//go:embed page.html
var pageSource string

// PageSecurityPolicy is the Content-Security-Policy under which our pages look as
// they should.
const PageSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHTML is a notice or a list of files. A button's name is its own word and
// the name of its file, for screen readers.
var pageHTML = template.Must(template.New("page").Parse(pageSource))

type pageView struct {
	Language, Title, Text, Button string
	Files                         []fileView
}

// html never fails: template, strings and buffer are our own, and the tests
// render all there is.
func (v pageView) html() []byte {
	var page bytes.Buffer
	_ = pageHTML.Execute(&page, v)
	return page.Bytes()
}

// Page is what a recipient sees whose link cannot be opened, in the language
// that the browser asks for or else the deployment's: for Gone and NotFound as
// they are, for any other kind as if storage were Unavailable. language is for
// Content-Language. The page has no script and loads nothing.
func Page(kind problem.Kind, acceptLanguage, defaultLanguage string) (html []byte, language string) {
	l := localeFor(acceptLanguage, defaultLanguage)
	said, ok := l.pages[kind]
	if !ok {
		said = l.pages[problem.Unavailable]
	}
	v := pageView{Language: l.tag.String(), Title: said.Title, Text: said.Text}
	return v.html(), v.Language
}

// Note is the page that a visitor sees after a form was sent.
func Note(title, text string) []byte {
	return pageView{Language: "en", Title: title, Text: strings.TrimSpace(text)}.html()
}

// list is the page of a link to several files.
func (o *Offload) list(token string, all []linked, expires time.Time, l locale) Opened {
	v := pageView{Language: l.tag.String(), Title: l.heading, Button: l.button}
	for at, f := range all {
		v.Files = append(v.Files, l.view(f.Name, f.Size, o.linkURL(token, at+1), expires))
	}
	return Opened{Page: v.html(), Language: v.Language}
}
