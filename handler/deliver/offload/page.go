package offload

import (
	"bytes"
	"html/template"

	"github.com/posthorn/posthorn/handler/problem"
)

// PageSecurityPolicy is the Content-Security-Policy under which Page looks as it
// should.
const PageSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

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
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
</main>
</body>
</html>
`))

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
	view := struct {
		Language string
		notice
	}{l.tag.String(), said}
	var page bytes.Buffer
	_ = pageHTML.Execute(&page, view) // our own template, strings and buffer: the tests render all there is
	return page.Bytes(), view.Language
}
