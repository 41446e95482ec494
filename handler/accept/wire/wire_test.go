package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// keep is a sink that holds every attachment that came to its end.
type keep map[int]string

func (k keep) Attachment(_ context.Context, i int, _ mail.Attachment, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return fmt.Errorf("keeping: %w", err)
	}
	k[i] = string(b)
	return nil
}

// read reads a message whose attachments are of no interest.
func read(t *testing.T, body io.Reader) (*mail.Message, error) {
	t.Helper()
	m, err := wire.Message(t.Context(), body, keep{})
	if err != nil && m != nil && !problem.Is(err, problem.InvalidMessage) {
		t.Errorf("a message came with the error %v", err)
	}
	return m, err
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// places are the faults of err as "pointer: detail", each.
func places(err error) []string {
	var all []string
	for _, f := range problem.Of(err).Violations {
		all = append(all, f.Pointer+": "+f.Detail)
	}
	return all
}

const whole = ` {"attachments" : [
	{"contentInBase64":"aGVsbG8=","name":"a.txt","contentType":"text/plain","contentId":"i1","placement":"inline"},
	{"name":"b\u00fc\ud83d\udcef.bin","contentType":"application/octet-stream","uploadId":"u1"},
	{"name":"c","contentInBase64":"AP\/\u002b\r\n\/g==","contentType":null}],
	"headers":{"X-Test":"1","":""}, "senderAddress":"DoNotReply@example.com", "senderDisplayName":"Shop",
	"content":{"subject":"Grüße","plainText":"a\tb\r\n","html":"<p>\"Hello\"<\/p>"},
	"recipients":{"to":[{"address":"a@example.com","displayName":"Ann"}],"cc":[{"address":"c@example.com"}],
		"bcc":[{"address":"d@example.com"},{"address":"e@example.com"}]},
	"replyTo":[{"address":"r@example.com"}],"userEngagementTrackingDisabled":true,
	"delivery":{"sendAt":"2027-01-02T03:04:05Z","whenBusy":"refuse","deadline":"2027-01-03T00:00:00Z",
		"priority":"high","linkExpiresAfter":"P7D","tags":[{"name":"k","value":"v"}]}}
`

var (
	wholeContents = keep{0: "hello", 2: "\x00\xff\xfe\xfe"}
	wholeMessage  = &mail.Message{
		SenderAddress: "DoNotReply@example.com", SenderDisplayName: "Shop",
		Content: mail.Content{Subject: "Grüße", PlainText: "a\tb\r\n", HTML: `<p>"Hello"</p>`},
		Recipients: mail.Recipients{
			To:  []mail.Address{{Address: "a@example.com", DisplayName: "Ann"}},
			CC:  []mail.Address{{Address: "c@example.com"}},
			BCC: []mail.Address{{Address: "d@example.com"}, {Address: "e@example.com"}},
		},
		Attachments: []mail.Attachment{
			{Name: "a.txt", ContentType: "text/plain", ContentID: "i1", Placement: mail.PlacementInline, HasContent: true},
			{Name: "bü📯.bin", ContentType: "application/octet-stream", UploadID: "u1"},
			{Name: "c", HasContent: true},
		},
		ReplyTo:                        []mail.Address{{Address: "r@example.com"}},
		Headers:                        map[string]string{"X-Test": "1", "": ""},
		UserEngagementTrackingDisabled: true,
		Delivery: mail.Delivery{SendAt: "2027-01-02T03:04:05Z", WhenBusy: mail.WhenBusyRefuse, Deadline: "2027-01-03T00:00:00Z",
			Priority: "high", LinkExpiresAfter: "P7D", Tags: []mail.Tag{{Name: "k", Value: "v"}}},
	}
)

// chunkings are ways in which a body may come.
func chunkings() map[string]func(io.Reader) io.Reader {
	return map[string]func(io.Reader) io.Reader{
		"at once":                 func(r io.Reader) io.Reader { return r },
		"byte by byte":            iotest.OneByteReader,
		"halves":                  iotest.HalfReader,
		"end with the last bytes": iotest.DataErrReader,
		"byte by byte, end with the last": func(r io.Reader) io.Reader {
			return iotest.DataErrReader(iotest.OneByteReader(r))
		},
		"random, some empty": func(r io.Reader) io.Reader { return &randomReader{r, rand.New(rand.NewPCG(1, 2))} },
	}
}

func TestMessageWithEveryMemberInAnyChunks(t *testing.T) {
	t.Parallel()
	for name, chunked := range chunkings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := keep{}
			m, err := wire.Message(t.Context(), chunked(strings.NewReader(whole)), contents)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, m, wholeMessage)
			equal(t, contents, wholeContents)
		})
	}
}

// randomReader gives 0 to 8 bytes at a time.
type randomReader struct {
	r    io.Reader
	rand *rand.Rand
}

func (r *randomReader) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.rand.IntN(9))]) }

func TestBodyCutOffAnywhere(t *testing.T) {
	t.Parallel()
	bodies := []string{
		whole,
		`{"attachments":[{"contentInBase64":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="}]}`,
		`{"attachments":[{"contentInBase64":"QUJD\r\nREVG\r\nR0g="},{"contentInBase64":""}],"x":[1.5e-3,true,null]}`,
	}
	content := regexp.MustCompile(`"contentInBase64":"[^"]*"`)
	for i, body := range bodies {
		end := strings.LastIndexByte(body, '}')
		for cut := range end + 1 {
			contents := keep{}
			_, err := wire.Message(t.Context(), iotest.HalfReader(strings.NewReader(body[:cut])), contents)
			if !problem.Is(err, problem.MalformedJSON) || len(places(err)) != 1 {
				t.Fatalf("body %d cut off at %d: %v", i, cut, err)
			}
			if p := problem.Of(err); strings.TrimSpace(body[:cut]) != "" &&
				(p.Violations[0].Detail != "The body ended early." || *p.Violations[0].Offset != int64(cut)) {
				t.Fatalf("body %d cut off at %d: %v, %d", i, cut, places(err), *p.Violations[0].Offset)
			}
			if ended := len(content.FindAllString(body[:cut], -1)); len(contents) != ended {
				t.Fatalf("body %d cut off at %d: %d attachments came to their end, want %d", i, cut, len(contents), ended)
			}
		}
	}
}

func TestConnectionLostAnywhere(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	body := `{"attachments":[{"contentInBase64":"QUJD\r\nREVG\u0051w=="}],"replyTo":[{"address":"\ud83d\ude00"}],"x":[-1.5e-3,true,0,1]}`
	for cut := range len(body) + 1 {
		_, err := read(t, io.MultiReader(strings.NewReader(body[:cut]), iotest.ErrReader(lost)))
		if !errors.Is(err, lost) || problem.Of(err).Kind != problem.Internal {
			t.Fatalf("lost at %d: %v", cut, err)
		}
	}
}

func TestBodyThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	refused := problem.New(problem.Unauthenticated, "The body is not the one that was signed.")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	after := func(err error) io.Reader {
		return io.MultiReader(strings.NewReader(whole[:60]), iotest.ErrReader(err))
	}
	tests := map[string]struct {
		ctx   context.Context
		body  io.Reader
		check func(error) bool
	}{
		"connection lost":     {t.Context(), after(broken), func(err error) bool { return errors.Is(err, broken) }},
		"client went away":    {t.Context(), after(io.ErrUnexpectedEOF), func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"hash does not match": {t.Context(), after(refused), func(err error) bool { return problem.Of(err) == refused }},
		"hash, found at the end": {t.Context(), io.MultiReader(strings.NewReader(whole), iotest.ErrReader(refused)),
			func(err error) bool { return problem.Of(err) == refused }},
		"cancelled": {cancelled, strings.NewReader(whole), func(err error) bool { return errors.Is(err, context.Canceled) }},
		"too large": {t.Context(), http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(whole)), 60),
			func(err error) bool {
				_, ok := errors.AsType[*http.MaxBytesError](err)
				return ok && problem.Is(err, problem.TooLarge)
			}},
		"never goes on": {t.Context(), stuck{}, func(err error) bool { return errors.Is(err, io.ErrNoProgress) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := keep{}
			m, err := wire.Message(tt.ctx, tt.body, contents)
			if m != nil || !tt.check(err) || problem.Is(err, problem.MalformedJSON) {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
