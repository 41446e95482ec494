package hook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// maxFields bounds a form; forms on the web have a dozen.
const maxFields = 200

// payload reads the body by its Content-Type. A form becomes an object of strings,
// in its order; a field that stands several times, a list.
func (d Delivery) payload(ctx context.Context) (value, error) {
	media, parameters, err := mime.ParseMediaType(d.Header.Get("Content-Type"))
	if charset, ok := parameters["charset"]; err != nil || ok && !strings.EqualFold(charset, "utf-8") {
		return value{}, unreadable()
	}
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return decode(ctx, d.Body)
	case media == "application/x-www-form-urlencoded":
		return urlencoded(string(d.Body))
	case media == "multipart/form-data":
		return multipartForm(d.Body, parameters["boundary"])
	}
	return value{}, unreadable()
}

func unreadable() error {
	return problem.New(problem.UnsupportedMediaType, "A hook takes JSON, application/x-www-form-urlencoded or multipart/form-data, in UTF-8. Set Content-Type accordingly.")
}

// urlencoded keeps the order of fields, which url.ParseQuery does not.
func urlencoded(body string) (value, error) {
	v := value{kind: object}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, of, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		of, valueErr := url.QueryUnescape(of)
		if errors.Join(err, valueErr) != nil {
			return value{}, problem.New(problem.InvalidRequest, "The form is not application/x-www-form-urlencoded: a percent sign has no two hex digits after it.")
		}
		if err := v.field(name, of); err != nil {
			return value{}, err
		}
	}
	return v, nil
}

// multipartForm takes no files: a message to fixed people is no place for the
// files of strangers.
func multipartForm(body []byte, boundary string) (value, error) {
	v := value{kind: object}
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := r.NextRawPart()
		// A body that was cut off within a part's head ends with io.EOF too.
		if errors.Is(err, io.EOF) && bytes.Contains(body, []byte("--"+boundary+"--")) {
			return v, nil
		}
		if err != nil {
			return value{}, problem.New(problem.InvalidRequest, "The body is not multipart/form-data.")
		}
		of, err := io.ReadAll(part) // of a body that is bounded
		if err != nil {
			return value{}, problem.New(problem.InvalidRequest, "The body is not multipart/form-data: it ended early.")
		}
		if _, file := disposition(part.Header.Get("Content-Disposition")); file {
			if len(of) > 0 {
				return value{}, problem.New(problem.InvalidRequest, "The field %q is a file, and a hook takes none.", part.FormName())
			}
			continue // a file that nobody chose
		}
		if err := v.field(part.FormName(), string(of)); err != nil {
			return value{}, err
		}
	}
}

func disposition(header string) (name string, file bool) {
	_, parameters, _ := mime.ParseMediaType(header)
	_, file = parameters["filename"]
	return parameters["name"], file
}

// field adds one field of a form.
func (v *value) field(name, content string) error {
	if len(v.members) == maxFields {
		return problem.New(problem.InvalidRequest, "The form has more than %d fields.", maxFields)
	}
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
	v.members = append(v.members, member{name, of})
	return nil
}

// header is a value of h that may stand in a message.
func header(h http.Header, name string) string { return visible(h.Get(name)) }
