package hook

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// maxFields bounds a form; forms on the web have a dozen.
	maxFields = 200
	// maxPairs bounds what is held of one whose fields stand many times.
	maxPairs = 4000
)

// payload reads the body by its Content-Type. A form becomes an object of strings,
// in its order; a field that stands several times, a list. JSON is read as JSON whatever
// it is called: curl calls it a form, fetch text, and some senders call it nothing. No
// form begins as JSON does, since browsers write a brace as %7B.
func (h Hook) payload(ctx context.Context, d Delivery) (value, error) {
	media, parameters, err := mime.ParseMediaType(d.Header.Get("Content-Type"))
	if d.Header.Get("Content-Type") == "" {
		media, err = "text/plain", nil
	}
	charset := parameters["charset"]
	switch {
	case err != nil:
		return value{}, unreadable()
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return decodeIn(ctx, charset, d.Body)
	case media == "multipart/form-data":
		return multipartForm(d.Body, parameters["boundary"], charset)
	case media != "application/x-www-form-urlencoded" && media != "text/plain":
		return value{}, unreadable()
	case looksLikeJSON(d.Body):
		v, err := decodeIn(ctx, charset, d.Body)
		if err == nil || media != "text/plain" || !h.IsForm() {
			return v, err
		}
	}
	switch {
	case media != "text/plain":
		return urlencoded(d.Body, charset)
	case h.IsForm():
		return plainForm(d.Body, charset)
	}
	return value{}, unreadable()
}

func unreadable() error {
	return problem.New(problem.UnsupportedMediaType, "A hook takes JSON in UTF-8, application/x-www-form-urlencoded or multipart/form-data. Set Content-Type accordingly.")
}

func decodeIn(ctx context.Context, charset string, body []byte) (value, error) {
	if charset != "" && !strings.EqualFold(charset, "utf-8") {
		return value{}, unreadable()
	}
	return decode(ctx, body)
}

func looksLikeJSON(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\uFEFF")), " \t\r\n")
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// rawField is a field of a form before its charset is known; own is what it says itself.
type rawField struct {
	name, content []byte
	own           string
}

// urlencoded keeps the order of fields, which url.ParseQuery does not, and takes a percent
// sign without two hex digits as it is. Source: url.spec.whatwg.org, section 5.1.
func urlencoded(body []byte, charset string) (value, error) {
	var raw []rawField
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		if len(pair) == 0 {
			continue
		}
		if len(raw) > maxPairs {
			return value{}, tooManyFields()
		}
		name, content, _ := bytes.Cut(bytes.ReplaceAll(pair, []byte("+"), []byte(" ")), []byte("="))
		raw = append(raw, rawField{name: unescaped(name), content: unescaped(content)})
	}
	return fieldsIn(raw, charset)
}

func unescaped(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if more, err := hex.AppendDecode(plain, text[i+1:i+3]); err == nil {
				plain, i = more, i+2
				continue
			}
		}
		plain = append(plain, text[i])
	}
	return plain
}

// plainForm reads what browsers make of enctype text/plain: a line for each field, with
// the lines of its content as they are. Source: html.spec.whatwg.org, "Plain text form
// data".
func plainForm(body []byte, charset string) (value, error) {
	var raw []rawField
	for line := range bytes.SplitSeq(bytes.TrimRight(body, "\r\n"), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		name, content, ok := bytes.Cut(line, []byte("="))
		switch {
		case len(raw) > maxPairs:
			return value{}, tooManyFields()
		case ok:
			raw = append(raw, rawField{name: name, content: content})
		case len(raw) > 0:
			last := &raw[len(raw)-1]
			last.content = append(append(bytes.Clone(last.content), '\n'), line...)
		case len(line) > 0:
			return value{}, problem.New(problem.InvalidRequest, "The form is not text/plain of a browser: its first line has no name and no equals sign.")
		}
	}
	return fieldsIn(raw, charset)
}

// multipartForm takes no files: a message to fixed people is no place for the
// files of strangers.
func multipartForm(body []byte, boundary, charset string) (value, error) {
	if boundary == "" {
		return value{}, problem.New(problem.InvalidRequest, "The Content-Type is multipart/form-data without a boundary. Let the browser set it.")
	}
	var raw []rawField
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := r.NextRawPart()
		// A body that was cut off within a part's head ends with io.EOF too.
		if errors.Is(err, io.EOF) && bytes.Contains(body, []byte("--"+boundary+"--")) {
			return fieldsIn(raw, charset)
		}
		if err != nil {
			return value{}, problem.New(problem.InvalidRequest, "The body is not multipart/form-data.")
		}
		content, err := io.ReadAll(part) // of a body that is bounded
		if err != nil {
			return value{}, problem.New(problem.InvalidRequest, "The body is not multipart/form-data: it ended early.")
		}
		_, parameters, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if _, file := parameters["filename"]; file {
			if len(content) > 0 {
				return value{}, problem.New(problem.InvalidRequest, "The field %q is a file, and no files are taken here. Send it without the file.", visible(part.FormName()))
			}
			continue // a file field left empty
		}
		_, own, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if raw = append(raw, rawField{[]byte(part.FormName()), content, own["charset"]}); len(raw) > maxPairs {
			return value{}, tooManyFields()
		}
	}
}

func tooManyFields() error {
	return problem.New(problem.InvalidRequest, "The form has more than %d fields.", maxFields)
}

// field adds one field of a form.
func (v *value) field(name, content string) error {
	name = visible(name)
	of := value{kind: text, text: visible(strings.ReplaceAll(content, "\r\n", "\n"))}
	for i, known := range v.members {
		if known.name != name {
			continue
		}
		if known.value.kind != array {
			known.value = value{kind: array, items: []value{known.value}}
		}
		if len(known.value.items) == maxFields {
			return problem.New(problem.InvalidRequest, "The field %q stands more than %d times.", name, maxFields)
		}
		known.value.items = append(known.value.items, of)
		v.members[i] = known
		return nil
	}
	if len(v.members) == maxFields {
		return tooManyFields()
	}
	v.members = append(v.members, member{name, of})
	return nil
}

// header is a value of h that may stand in a message.
func header(h http.Header, name string) string { return visible(h.Get(name)) }
