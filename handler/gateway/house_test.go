package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// house is a gateway over storage in memory and an ACS of the test's making. It
// is made inside a synctest bubble, so its clock is the bubble's.
type house struct {
	*gateway.Gateway
	acs   *fakeACS
	files *mem.Container
	log   *bytes.Buffer

	mu    sync.Mutex
	fault func(op mem.Op, key string) mem.Fault
}

// maxRequest is the request that the fake ACS takes.
const maxRequest = 4000

func newHouse(t *testing.T, limits quota.Limits) *house {
	t.Helper()
	h := &house{acs: &fakeACS{known: map[string]string{}}, log: &bytes.Buffer{}}
	plan := func(op mem.Op, key string) mem.Fault {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.fault == nil {
			return mem.Fault{}
		}
		return h.fault(op, key)
	}
	h.files = mem.NewContainer(time.Now, plan)
	table := func() *mem.Table { return mem.NewTable(time.Now, plan) }
	random := rand.NewChaCha8([32]byte{1})
	var ids sync.Mutex
	newID := func() string {
		ids.Lock()
		defer ids.Unlock()
		return fmt.Sprintf("00000000-0000-4000-8000-%012x", random.Uint64()>>16)
	}
	ledgers := table()
	public, _ := url.Parse("https://mail.example.com")
	g, err := gateway.New(gateway.Config{
		Check: check.New(), Records: record.NewBook(table(), time.Now, newID),
		Sends: quota.New(ledgers, "send", limits, time.Now, newID),
		Asks:  quota.New(ledgers, "status", quota.CustomDomainStatus, time.Now, newID),
		Offload: offload.New(offload.Config{
			Blobs: h.files, Links: table(), PublicURL: public, DefaultLanguage: "en", Now: time.Now, Rand: random,
		}),
		ACS: h.acs, MaxACSRequestBytes: maxRequest, RequestTimeout: 100 * time.Second,
		Now: time.Now, NewID: newID, Log: slog.New(slog.NewTextHandler(h.log, nil)),
		Tracer: tracenoop.NewTracerProvider().Tracer(""), Meter: metricnoop.NewMeterProvider().Meter(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Gateway = g
	return h
}

// failing makes calls of op fail, or all calls if op is "".
func (h *house) failing(op mem.Op, o mem.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = func(got mem.Op, _ string) mem.Fault {
		if op == "" || op == got {
			return mem.Fault{Outcome: o}
		}
		return mem.Fault{}
	}
}

func (h *house) working() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = nil
}

// visible are the blobs that can be read.
func (h *house) visible(t *testing.T) int {
	t.Helper()
	h.working()
	list, err := h.files.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// fakeACS keeps when each call came and what is known of each operation.
type fakeACS struct {
	mu       sync.Mutex
	arrivals []time.Time
	sent     []mail.Message
	known    map[string]string // operation -> "", or the code of its failure

	// answer decides on a call; taken says whether the message is then sent.
	answer func(m *mail.Message) (taken bool, err error)
	// fate may say that ACS cannot be asked.
	fate error
}

func (a *fakeACS) Size(m *mail.Message) int64 {
	c := *m
	c.Attachments = going(m)
	n := 0
	for _, at := range c.Attachments {
		n += base64.StdEncoding.EncodedLen(len(at.Content))
	}
	text, _ := json.Marshal(c)
	return int64(len(text) + n)
}

func (a *fakeACS) Send(_ context.Context, id string, m *mail.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrivals = append(a.arrivals, time.Now())
	taken, err := true, error(nil)
	if a.answer != nil {
		taken, err = a.answer(m)
	}
	if taken {
		c := *m
		c.Attachments = going(m)
		a.sent = append(a.sent, c)
		a.known[id] = ""
	}
	return err
}

func (a *fakeACS) Fate(_ context.Context, id string) (bool, *record.Failure, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	code, known := a.known[id]
	if code != "" {
		return known, &record.Failure{Kind: "refused-by-acs", Detail: "gave up", Upstream: code}, a.fate
	}
	return known, nil, a.fate
}

// going are the attachments that have not become links.
func going(m *mail.Message) []mail.Attachment {
	return slices.DeleteFunc(slices.Clone(m.Attachments), func(a mail.Attachment) bool { return a.Content == nil })
}

var errReset = errors.New("connection reset")

var shop = caller.Caller{Name: "shop", Policy: caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}}}

func small(subject string) string {
	return `{"senderAddress":"donotreply@example.com","content":{"subject":"` + subject + `","plainText":"Hello"},"recipients":{"to":[{"address":"ann@example.com"}]}}`
}

// large has an attachment that does not fit.
func large() string {
	content := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("posthorn"), 600))
	return strings.TrimSuffix(small("large"), "}") + `,"attachments":[{"name":"a.bin","contentType":"application/octet-stream","contentInBase64":"` + content + `"}]}`
}

func request(body string) gateway.Request {
	return gateway.Request{Caller: shop, Body: strings.NewReader(body)}
}
