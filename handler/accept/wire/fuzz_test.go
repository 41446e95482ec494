package wire_test

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/test/require"
)

// FuzzValid holds Valid against encoding/json/v2, and against itself in other
// chunks.
func FuzzValid(f *testing.F) {
	if require.HasCorpora() {
		files, err := filepath.Glob(filepath.Join(require.Corpus(f, "jsontestsuite", "test_parsing"), "*.json"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil && len(text) < 1000 {
				f.Add(text)
			}
		}
	}
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := wire.Valid(t.Context(), bytes.NewReader(text))
		if want := jsontext.Value(text).IsValid() && withinLimits(text); (err == nil) != want {
			t.Errorf("%v, but encoding/json/v2 says %v", err, want)
		}
		if problem.Is(err, problem.InvalidMessage) != (err != nil && !problem.Is(err, problem.MalformedJSON)) {
			t.Error(err)
		}
		equal(t, wire.Valid(t.Context(), iotest.OneByteReader(bytes.NewReader(text))), err)
	})
}

// withinLimits says whether valid JSON keeps the limits that Valid has beside it.
func withinLimits(text []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.ReadToken()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		kind, n := d.StackIndex(d.StackDepth())
		isName := kind == '{' && n%2 == 1
		if d.StackDepth() > mail.MaxDepth || isName && len(token.String()) > 1024 {
			return false
		}
	}
}

// FuzzMessage holds Message against encoding/json/v2 with the same strictness:
// same verdict, same value. What was accepted is accepted again as encoding/json
// writes it.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(attached(`"QUJD\r\nREVG\/w=="`)))
	for pointer := range members {
		f.Add([]byte(bodyWith(pointer, `"\u00e9\n"`)))
		f.Add([]byte(bodyWith(pointer, `null`)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		contents := keep{}
		m, err := wire.Message(t.Context(), bytes.NewReader(body), contents)
		slow := keep{}
		m1, err1 := wire.Message(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), slow)
		equal(t, err1, err)
		equal(t, m1, m)
		equal(t, slow, contents)

		want, wantContents, wantErr := unmarshal(body)
		if err != nil {
			if !problem.Is(err, problem.MalformedJSON) && !problem.Is(err, problem.InvalidMessage) {
				t.Error(err)
			}
			if wantErr == nil && !slices.ContainsFunc(places(err), isOfOurs) {
				t.Errorf("encoding/json/v2 accepts it: %v", err)
			}
			return
		}
		if errors.Is(wantErr, json.ErrUnknownName) {
			return // of the members that are passed over
		}
		if wantErr != nil {
			t.Fatalf("encoding/json/v2: %v", wantErr)
		}
		equal(t, m, want)
		equal(t, contents, wantContents)
		again, err := stdjson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.Message(t.Context(), bytes.NewReader(again), keep{}); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}

// isOfOurs says whether a fault is one that only Message knows: of a limit, or of a
// name, in which encoding/json/v2 passes over underscores and hyphens too.
func isOfOurs(place string) bool {
	return slices.ContainsFunc([]string{"longer than", "more than", "U+0000", "no such member", "stands twice"}, func(s string) bool { return strings.Contains(place, s) })
}

// looseBase64 is Base64 as Message takes it.
type looseBase64 string

func (b *looseBase64) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var text string
	if err := json.UnmarshalDecode(d, &text); err != nil {
		return err
	}
	content, err := decode(text)
	*b = looseBase64(content)
	return err
}

func decode(text string) ([]byte, error) {
	text = strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "").Replace(text)
	if strings.HasSuffix(text, "=") {
		return base64.StdEncoding.DecodeString(text)
	}
	return base64.RawStdEncoding.DecodeString(text)
}

type looseAttachment struct {
	mail.Attachment
	ContentInBase64 *looseBase64 `json:"contentInBase64"`
}

// unmarshal is Message by encoding/json/v2.
func unmarshal(body []byte) (*mail.Message, keep, error) {
	if bytes.Equal(bytes.Trim(body, " \t\r\n"), []byte("null")) {
		return nil, nil, errNull
	}
	var whole struct {
		mail.Message
		Attachments []looseAttachment `json:"attachments"`
	}
	err := json.Unmarshal(body, &whole, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true), json.WithUnmarshalers(json.JoinUnmarshalers(
		noNull[mail.Address](), noNull[mail.Tag](), noNull[looseAttachment](), json.UnmarshalFromFunc(headers),
		noArray[mail.Content](), noArray[mail.Recipients](), noArray[mail.Delivery]())))
	if err != nil {
		return nil, nil, err
	}
	m, contents := &whole.Message, keep{}
	for i, a := range whole.Attachments {
		if a.ContentInBase64 != nil {
			contents[i] = string(*a.ContentInBase64)
			a.HasContent = true
		}
		m.Attachments = append(m.Attachments, a.Attachment)
	}
	for _, list := range []any{&m.ReplyTo, &m.Recipients.To, &m.Recipients.CC, &m.Recipients.BCC, &m.Delivery.Tags} {
		if v := reflect.ValueOf(list).Elem(); v.Len() == 0 {
			v.SetZero()
		}
	}
	return m, contents, nil
}

var errNull = errors.New("null may not stand here")

// noNull refuses null for an item of a list.
func noNull[T any]() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(d *jsontext.Decoder, _ *T) error {
		if d.PeekKind() == 'n' {
			return errNull
		}
		return json.SkipFunc
	})
}

// noArray passes over an array without items, in place of an object.
func noArray[T any]() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(d *jsontext.Decoder, _ *T) error {
		if d.PeekKind() != '[' {
			return json.SkipFunc
		}
		return emptyArray(d)
	})
}

func emptyArray(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err == nil && strings.Trim(string(value), "[ \t\r\n]") != "" {
		return errors.New("the array has items")
	}
	return err
}

// headers reads an object of strings and other words.
func headers(d *jsontext.Decoder, to *map[string]string) error {
	switch d.PeekKind() {
	case '[':
		return emptyArray(d)
	case '{':
	default:
		return json.SkipFunc
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	*to = map[string]string{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		switch d.PeekKind() {
		case '{', '[':
			return errNull
		}
		value, err := d.ReadToken()
		if err != nil {
			return err
		}
		if value.Kind() != 'n' {
			(*to)[key] = value.String()
		}
	}
	_, err := d.ReadToken()
	return err
}

// FuzzBase64 holds the content of an attachment against encoding/base64. The
// text is repeated, to be long enough for all ways of decoding.
func FuzzBase64(f *testing.F) {
	for _, text := range []string{"QUJD", `+\/+\/`, `QUJD\r\n`, `Q\r\nUJD`, "QQ==", "QUI", `\u0051QU\u003d`, `AB\u002Fd`, "QUJ\n", `\/\/\/`} {
		for _, times := range []uint16{1, 20, 900} {
			f.Add(text, times)
		}
	}
	f.Add(strings.Repeat("QUJD", 19)+`\r\n`, uint16(100))
	f.Add(strings.Repeat("QUJD", 200)+"QQ==", uint16(1))
	f.Fuzz(func(t *testing.T, text string, times uint16) {
		text = strings.Repeat(text, int(times%1000))
		if len(text) > 1<<18 {
			return
		}
		body := attached(`"` + text + `"`)
		contents := keep{}
		_, err := wire.Message(t.Context(), strings.NewReader(body), contents)
		for _, chunked := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader} {
			slow := keep{}
			_, err1 := wire.Message(t.Context(), chunked(strings.NewReader(body)), byBytes{slow})
			equal(t, err1, err)
			equal(t, slow, contents)
		}
		unquoted, bad := jsontext.AppendUnquote(nil, `"`+text+`"`)
		if bad != nil {
			return // it may be other JSON than a string
		}
		want, bad := decode(string(unquoted))
		if bad != nil {
			if !problem.Is(err, problem.InvalidMessage) {
				t.Errorf("encoding/base64: %v, but %v", bad, err)
			}
			want = nil
		} else if err != nil {
			t.Error(err)
		}
		if contents[0] != string(want) {
			t.Error("the content differs")
		}
	})
}

// FuzzMultipart holds Multipart against mime/multipart, which accepts more, and
// against itself in other chunks.
func FuzzMultipart(f *testing.F) {
	f.Add([]byte(wholeParts))
	f.Add([]byte(lines(jsonPart + "--b\nContent-Disposition: attachment; filename*=utf-8''%c3%bc\n\nhi\n--bb\n--b--\n")))
	f.Add([]byte(lines("--b\nContent-Type: application/json\n\n" + attached(`"QUJD"`) + "\n--b\n\r\r\r\n\n\n--b\n--b--")))
	f.Fuzz(func(t *testing.T, body []byte) {
		contents := keep{}
		m, err := wire.Multipart(t.Context(), bytes.NewReader(body), mixedType, contents)
		for _, chunked := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			slow := keep{}
			m1, err1 := wire.Multipart(t.Context(), chunked(bytes.NewReader(body)), mixedType, byBytes{slow})
			equal(t, err1, err)
			equal(t, m1, m)
			equal(t, slow, contents)
		}
		if err != nil {
			if !problem.Is(err, problem.MalformedJSON) && !problem.Is(err, problem.InvalidMessage) {
				t.Error(err)
			}
			return
		}
		if !bytes.HasPrefix(body, []byte("--b\r\n")) {
			return // mime/multipart takes a line break of another kind before the first boundary
		}
		r := multipart.NewReader(bytes.NewReader(bytes.TrimRight(body, " \t\r\n")), "b")
		var files []string
		for {
			p, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("mime/multipart: %v", err)
			}
			content, err := io.ReadAll(p)
			if err != nil {
				t.Fatalf("mime/multipart: %v", err)
			}
			files = append(files, string(content))
		}
		files = files[1:]
		for i, file := range files {
			if at := len(m.Attachments) - len(files) + i; at < 0 || contents[at] != file {
				t.Errorf("mime/multipart has %q for attachment %d", file, at)
			}
		}
	})
}
