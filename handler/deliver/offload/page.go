package offload

import (
	"bytes"
	"html/template"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// PageSecurityPolicy is the Content-Security-Policy under which our pages look as
// they should.
const PageSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHTML is a notice or a list of files. A button's name is its own word and
// the name of its file, for screen readers.
var pageHTML = template.Must(template.New("page").Parse(
	`<!DOCTYPE html>
<html lang="{{.Language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}</title>
<style>
body { margin: 0; padding: 18vh 24px 24px; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 32rem; margin: 0 auto }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; font-weight: 600 }
p { margin: 0 }
{{- if .Files}}
body { padding-top: 8vh }
ul { margin: 1rem 0 0; padding: 0; list-style: none }
li { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; padding: 1rem 0; border-top: 1px solid }
li div { flex: 1 1 14rem; min-width: 0; overflow-wrap: anywhere }
.name { font-weight: 600 }
.note { font-size: .875rem }
a { flex: 0 0 auto; padding: .625rem 1rem; border: 1px solid; border-radius: .375rem; color: LinkText; text-decoration: none }
a:hover, a:focus { text-decoration: underline }
@media (max-width: 24rem) { a { flex: 1 0 100%; box-sizing: border-box; text-align: center } }
{{- end}}
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{- if .Text}}
<p>{{.Text}}</p>
{{- end}}
{{- if .Files}}
<ul>
{{- range $at, $file := .Files}}
<li><div><p class="name" id="name{{$at}}"><bdi>{{.Name}}</bdi></p><p class="note">{{.Size}}, {{.Until}}</p></div>
<a id="get{{$at}}" href="{{.URL}}" aria-labelledby="get{{$at}} name{{$at}}">{{$.Button}}</a></li>
{{- end}}
</ul>
{{- end}}
</main>
</body>
</html>
`))

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
