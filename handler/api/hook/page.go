package hook

import (
	"bytes"
	"html/template"

	"github.com/posthorn/posthorn/handler/mail"
)

// previewHTML shows a message beside its head. What is inside the frame is the
// message's own HTML, without scripts and without the rest of the page.
var previewHTML = template.Must(template.New("preview").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the hook sends</title>
<style>
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: #f4f5f7; color: #1c2430 }
header { padding: 1rem 1.5rem; background: #fff; border-bottom: 1px solid #d9dde3 }
h1 { margin: 0 0 .5rem; font-size: 1.25rem }
dl { margin: 0; display: grid; grid-template-columns: 6rem 1fr; gap: .125rem 1rem; font-size: .9rem }
dt { color: #5b6472 } dd { margin: 0 }
iframe { display: block; width: 100%; height: 70vh; border: 0; background: #fff }
pre { margin: 0; padding: 1rem 1.5rem; background: #fff; border-top: 1px solid #d9dde3; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
</head>
<body>
{{- range .}}
<header>
<h1>{{.Content.Subject}}</h1>
<dl>
<dt>From</dt><dd>{{.SenderAddress}}</dd>
<dt>To</dt><dd>{{range $i, $a := .Recipients.All}}{{if $i}}, {{end}}{{$a.Address}}{{end}}</dd>
{{- if .ReplyTo}}<dt>Answer to</dt><dd>{{range $i, $a := .ReplyTo}}{{if $i}}, {{end}}{{$a.Address}}{{end}}</dd>{{end}}
</dl>
</header>
{{- if .Content.HTML}}
<iframe sandbox srcdoc="{{.Content.HTML}}" title="HTML"></iframe>
{{- end}}
{{- if .Content.PlainText}}
<pre>{{.Content.PlainText}}</pre>
{{- end}}
{{- end}}
</body>
</html>
`))

// Preview is a page that shows messages to the operator.
func Preview(messages []Message) ([]byte, error) {
	var page bytes.Buffer
	all := make([]mail.Message, len(messages))
	for i, m := range messages {
		all[i] = m.Message
	}
	err := previewHTML.Execute(&page, all)
	return page.Bytes(), err
}
