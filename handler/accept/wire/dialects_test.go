package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/test/require"
)

// refusing is a sink that has no room.
type refusing struct{}

func (refusing) Attachment(context.Context, int, mail.Attachment, io.Reader) error {
	return errors.New("no room")
}

// dialect is one of the other APIs.
type dialect struct {
	source wire.Source
	// whole has every text that a message may have, TEXT, and short words, WORD.
	whole string
	texts func(m *mail.Message) []string
	rows  []wire.Row
}

func bodies(m *mail.Message) []string {
	return []string{m.Content.Subject, m.Content.PlainText, m.Content.HTML}
}

var dialects = map[string]dialect{
	"resend": {resend.Source(), `{"from":TEXT,"to":[TEXT],"cc":TEXT,"bcc":TEXT,"reply_to":[TEXT],"subject":TEXT,"text":TEXT,"html":TEXT,"headers":{NAME:TEXT},
		"attachments":[{"filename":TEXT,"content_type":TEXT,"content_id":TEXT,"content":"aGk="}],"tags":[{"name":TEXT,"value":TEXT}],"scheduled_at":WORD,
		"delivery":{"deadline":WORD,"priority":WORD,"linkExpiresAfter":WORD,"whenBusy":WORD}}`, bodies, resend.Rows()},
	"sendgrid": {sendgrid.Source(), `{"from":{"email":TEXT,"name":TEXT},"reply_to":{"email":TEXT,"name":TEXT},"reply_to_list":[{"email":TEXT,"name":TEXT}],"subject":TEXT,
		"personalizations":[{"to":[{"email":TEXT,"name":TEXT}],"cc":[{"email":TEXT}],"bcc":[{"email":TEXT}],"subject":TEXT,"headers":{NAME:TEXT},"custom_args":{NAME:TEXT},"from":{"email":TEXT}}],
		"content":[{"type":"text/plain","value":TEXT},{"type":"text/html","value":TEXT}],"headers":{NAME:TEXT},"categories":[TEXT],"custom_args":{NAME:TEXT},"send_at":1900000000,
		"attachments":[{"content":"aGk=","filename":TEXT,"type":TEXT,"disposition":"inline","content_id":TEXT,"name":TEXT}]}`, bodies, sendgrid.Rows()},
	"postmark": {postmark.Source(), `{"From":TEXT,"To":TEXT,"Cc":TEXT,"Bcc":TEXT,"ReplyTo":TEXT,"Subject":TEXT,"TextBody":TEXT,"HtmlBody":TEXT,"Tag":TEXT,"MessageStream":WORD,
		"Metadata":{NAME:TEXT},"Headers":[{"Name":TEXT,"Value":TEXT}],"Attachments":[{"Name":TEXT,"Content":"aGk=","ContentType":TEXT,"ContentID":TEXT}]}`, bodies, postmark.Rows()},
}

// filled puts a text into all members of a dialect.
func (d dialect) filled(text string) string {
	word := strings.ToValidUTF8(text[:min(len(text), 200)], "")
	quoted := func(s string) string {
		b, _ := json.Marshal(s) // a string always encodes
		return string(b)
	}
	name := text
	if name == "" {
		name = "X"
	}
	return strings.NewReplacer("TEXT", quoted(text), "WORD", quoted(word), "NAME", quoted(name)).Replace(d.whole)
}

// Whatever is wrong with a message, its place is told by members that the caller's API has,
// also of a body that has none of them.
func TestPlacesHaveTheNamesOfTheirAPI(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`[^.\[\]]+`)
	for of, d := range dialects {
		known := map[string]bool{}
		for _, r := range d.rows {
			for _, name := range names.FindAllString(r.Name, -1) {
				known[name] = true
			}
		}
		for _, body := range []string{d.filled("a@example.com"), `{"personalizations":[{}]}`} {
			parsed, _ := d.source.Read(t.Context(), strings.NewReader(body), keep{})
			for _, row := range wire.Rows() {
				ours := "/" + strings.NewReplacer("[].", "/0/", ".", "/").Replace(row.Name)
				for step := range strings.SplitSeq(strings.TrimPrefix(parsed[0].Pointer(ours), "/"), "/") {
					if _, err := strconv.Atoi(step); err != nil && step != "" && !known[step] && step != "a@example.com" {
						t.Errorf("%s: %s is at %s", of, ours, parsed[0].Pointer(ours))
					}
				}
			}
		}
	}
}

// Files that are no JSON are refused by every dialect as malformed, those that are
// never so; nothing is ever another problem than the caller's.
func TestJSONTestSuiteInEveryDialect(t *testing.T) {
	t.Parallel()
	dir := require.Corpus(t, "jsontestsuite", "test_parsing")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := f.Name()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		accept := name[0] == 'y'
		if name[0] == 'i' {
			accept = verdicts[name].accepted
		}
		for of, d := range dialects {
			for as, body := range map[string][]byte{
				"itself": text, "an unknown member": []byte(`{"?":` + string(text) + `}`), "a subject": []byte(`{"subject":` + string(text) + `}`),
			} {
				if as != "itself" && strings.Contains(name, "BOM") {
					continue // a mark within a text is another thing
				}
				_, err := d.source.Read(t.Context(), bytes.NewReader(body), keep{})
				malformed := problem.Is(err, problem.MalformedJSON)
				if malformed == accept || err != nil && !malformed && !problem.Is(err, problem.InvalidMessage) {
					t.Errorf("%s, %s as %s: %v", of, name, as, err)
				}
			}
		}
	}
}

func TestNaughtyStringsInEveryDialect(t *testing.T) {
	t.Parallel()
	for _, s := range require.NaughtyStrings(t) {
		for of, d := range dialects {
			parsed, err := d.source.Read(t.Context(), strings.NewReader(d.filled(s)), keep{})
			if err != nil && !problem.Is(err, problem.InvalidMessage) {
				t.Errorf("%s, %q: %v", of, s, err)
			}
			if len(parsed) != 1 {
				t.Errorf("%s, %q: %d messages", of, s, len(parsed))
				continue
			}
			for _, got := range d.texts(parsed[0].Message) {
				if got != s && !strings.Contains(s, "\x00") {
					t.Errorf("%s, %q is read as %q", of, s, got)
				}
			}
		}
	}
}

func TestBatchesThatEndEarly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body  string
		read  int
		kind  problem.Kind
		fault string
	}{
		"no array":                     {`{"subject":"a"}`, 0, problem.InvalidMessage, ": It must be an array, not an object."},
		"null":                         {`null`, 0, problem.InvalidMessage, ": It must be an array, not null."},
		"nothing":                      {``, 0, problem.MalformedJSON, ": The body is empty."},
		"after the first":              {`[{},`, 1, problem.MalformedJSON, ": The body ended early."},
		"within the second":            {`[{},{"subject":"`, 1, problem.MalformedJSON, "/subject: The body ended early."},
		"no comma":                     {`[{}{}]`, 1, problem.MalformedJSON, ": Expected a comma or ]."},
		"something after":              {`[{}] x`, 1, problem.MalformedJSON, ": There is something after the value."},
		"an array in the array":        {`[{},[]]`, 1, problem.InvalidMessage, ": It must be an object, not an array."},
		"null in the array":            {`[{},null]`, 1, problem.InvalidMessage, ": It must be an object, not null."},
		"a fault that is not the last": {`[{"x":1},{}]`, 0, problem.InvalidMessage, "/x: There is no such member."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			err := resend.Source().Each(t.Context(), strings.NewReader(tt.body), func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
				if _, err := read(keep{}); err != nil {
					return err
				}
				if n++; i != n-1 {
					t.Errorf("the %d. has index %d", n, i)
				}
				return nil
			})
			if n != tt.read || !problem.Is(err, tt.kind) {
				t.Fatalf("%d messages, %v", n, err)
			}
			equal(t, places(err), []string{tt.fault})
		})
	}
}

// FuzzDialects reads any body as each dialect does, in any chunks: the same comes
// of it, and nothing that is not the caller's fault.
func FuzzDialects(f *testing.F) {
	for _, d := range dialects {
		f.Add([]byte(d.filled("a@example.com")))
		f.Add([]byte("[" + d.filled(`"ü, \"x\"" <a@example.com>`) + ",{}]"))
	}
	f.Add([]byte(`{"attachments":[{"content":[1,2,300,{"a":[]}]}],"to":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for of, d := range dialects {
			kept, slow := keep{}, keep{}
			parsed, err := d.source.Read(t.Context(), bytes.NewReader(body), kept)
			again, err1 := d.source.Read(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), slow)
			equal(t, err1, err)
			equal(t, slow, kept)
			if err != nil && !problem.Is(err, problem.MalformedJSON) && !problem.Is(err, problem.InvalidMessage) {
				t.Errorf("%s: %v", of, err)
			}
			if len(again) != len(parsed) {
				t.Fatalf("%s: %d messages, then %d", of, len(parsed), len(again))
			}
			for i, l := range parsed {
				equal(t, again[i].Message, l.Message)
				for _, ours := range []string{"", "/senderAddress", "/recipients/to/0/address", "/headers/X", "/delivery/tags/0/name", "/replyTo/9/address"} {
					if p := l.Pointer(ours); p != "" && p[0] != '/' {
						t.Errorf("%s: %s is at %q", of, ours, p)
					}
				}
			}
			_ = d.source.Each(t.Context(), bytes.NewReader(body), func(_ int, read func(wire.Sink) ([]wire.Parsed, error)) error {
				_, err := read(keep{})
				if problem.Is(err, problem.InvalidMessage) {
					return nil
				}
				return err
			})
		}
	})
}
