package offload

import (
	"bytes"
	"html/template"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// blockHTML is laid out by a table and styled in place, which is what mail
// clients keep. It sets no colours, so that it is legible on the sender's own.
var blockHTML = template.Must(template.New("block").Parse(
	`<table role="presentation" lang="{{.Language}}" cellpadding="0" cellspacing="0" border="0" style="margin-top:24px;border-top:1px solid #9aa0a6;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px">
<tr><td style="padding:12px 0 4px"><strong>{{.Heading}}</strong></td></tr>
{{range .Files}}<tr><td style="padding:4px 0"><a href="{{.URL}}" style="word-break:break-word">{{.Name}}</a><br><small>{{.Size}}, {{.Until}}</small></td></tr>
{{end}}</table>
`))

// linkBlock is the same list of links for either body.
type linkBlock struct{ html, text string }

type blockView struct {
	Language, Heading string
	Files             []fileView
}

type fileView struct{ Name, URL, Size, Until string }

func newBlock(l locale, files []file) (linkBlock, error) {
	v := blockView{Language: l.tag.String(), Heading: l.heading}
	for _, f := range files {
		v.Files = append(v.Files, l.view(f.link.Name, f.link.Size, f.link.URL, f.link.Expires))
	}
	var h strings.Builder
	if err := blockHTML.Execute(&h, v); err != nil {
		return linkBlock{}, problem.Wrap(problem.Internal, "The list of links could not be written.", err)
	}
	return linkBlock{html: h.String(), text: v.text()}, nil
}

// view is a file as a recipient sees it.
func (l locale) view(name string, size int64, address string, expires time.Time) fileView {
	return fileView{Name: plainName(name), URL: address, Size: l.size(size), Until: l.availableUntil(expires)}
}

// addTo appends the block to both bodies; end is where the block belongs in the HTML.
func (b linkBlock) addTo(c *mail.Content, end func() int) {
	if c.HTML != "" {
		c.HTML = c.HTML[:end()] + b.html + c.HTML[end():]
	}
	if c.PlainText != "" {
		c.PlainText += b.text
	}
}

// text puts each address on a line of its own, which mail clients make a link.
func (v blockView) text() string {
	var t strings.Builder
	t.WriteString("\n\n" + v.Heading + "\n")
	for _, f := range v.Files {
		t.WriteString("\n" + f.Name + " (" + f.Size + "), " + f.Until + "\n" + f.URL + "\n")
	}
	return t.String()
}

// endOfBody is the offset of the last </body> that a browser would take for one
// (not in a comment, an attribute or a script), or the end of the document less
// a tag or comment that is never closed and would swallow the block.
func endOfBody(document string) int {
	end, at, found := 0, 0, false
	z := html.NewTokenizer(strings.NewReader(document))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return end
		}
		from := at
		at += len(z.Raw())
		switch kind {
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "body" {
				end, found = from, true
			}
		case html.CommentToken:
			if !bytes.HasSuffix(z.Raw(), []byte(">")) {
				continue
			}
		}
		if !found {
			end = at
		}
	}
}
