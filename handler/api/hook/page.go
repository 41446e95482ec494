package hook

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/posthorn/posthorn/handler/mail"
)

//go:embed preview.html
var previewSource string

// previewHTML shows a message beside its head. What is inside the frame is the
// message's own HTML, without scripts and without the rest of the page.
var previewHTML = template.Must(template.New("preview").Parse(previewSource))

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
