package offload

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// cloud is storage in memory, what goes wrong with it, and how often each call
// was made: "insert", "delete row", "delete blob" and so on.
type cloud struct {
	container *mem.Container
	table     *mem.Table

	mu    sync.Mutex
	calm  bool // no counting and no faults, for the test's own looking
	calls map[string]int
	fault fault
}

// fault decides on a call, nth counting from 1.
type fault func(call string, nth int) mem.Fault

func newCloud(now func() time.Time) *cloud {
	c := &cloud{calls: map[string]int{}}
	c.container, c.table = mem.NewContainer(now, c.plan), mem.NewTable(now, c.plan)
	return c
}

var rowKey = regexp.MustCompile(`^[0-9]{8}/|^upload-`)

func (c *cloud) plan(op mem.Op, key string) mem.Fault {
	c.mu.Lock()
	if c.calm {
		c.mu.Unlock()
		return mem.Fault{}
	}
	call := string(op)
	if op == mem.Delete {
		call += " blob"
		if rowKey.MatchString(key) {
			call = string(op) + " row"
		}
	}
	c.calls[call]++
	fault, nth := c.fault, c.calls[call]
	c.mu.Unlock()
	if fault == nil {
		return mem.Fault{}
	}
	return fault(call, nth)
}

// calmly runs look without counting and without faults.
func (c *cloud) calmly(look func()) {
	c.setCalm(true)
	defer c.setCalm(false)
	look()
}

func (c *cloud) setCalm(calm bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = calm
}

// failing makes the given call end so at its nth time.
func failing(call string, nth int, o mem.Outcome) fault {
	return func(called string, n int) mem.Fault {
		if called == call && n == nth {
			return mem.Fault{Outcome: o}
		}
		return mem.Fault{}
	}
}

// refusing makes the given call fail every time.
func refusing(call string) fault {
	return func(called string, _ int) mem.Fault {
		if called == call {
			return mem.Fault{Outcome: mem.Refused}
		}
		return mem.Fault{}
	}
}

// names are those of all blobs.
func (c *cloud) names(t testing.TB) (names []string) {
	t.Helper()
	c.calmly(func() {
		found, _, err := c.container.List(context.Background(), "", "", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range found {
			names = append(names, b.Name)
		}
	})
	return names
}

// rows are all there are.
func (c *cloud) rows(t testing.TB) (rows []store.Entity) {
	t.Helper()
	c.calmly(func() {
		var err error
		if rows, err = c.table.ListBefore(context.Background(), store.Key{}, "v", 1<<20); err != nil {
			t.Fatal(err)
		}
	})
	return rows
}

// put uploads data to a signed URL.
func (c *cloud) put(t testing.TB, address string, data []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPut, address, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.container.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("upload: %+v, %v", response, err)
	}
}

// get fetches what a signed URL leads to.
func (c *cloud) get(t testing.TB, address string) *http.Response {
	t.Helper()
	response, err := (&http.Client{Transport: c.container}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// assertEmpty holds that nothing readable is left.
func assertEmpty(t testing.TB, c *cloud) {
	t.Helper()
	if blobs, rows := len(c.names(t)), len(c.rows(t)); blobs != 0 || rows != 0 {
		t.Errorf("%d blobs and %d rows are left", blobs, rows)
	}
}

// setting is an Offload over a cloud, and the clock of both.
type setting struct {
	*Offload
	cloud *cloud
	now   time.Time
}

// noon is when every test begins.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func newSetting(adjust ...func(*Config)) *setting {
	s := &setting{now: noon}
	clock := func() time.Time { return s.now }
	s.cloud = newCloud(clock)
	c := Config{
		Blobs:     s.cloud.container,
		Uploads:   s.cloud.container,
		Links:     s.cloud.table,
		PublicURL: &url.URL{Scheme: "https", Host: "mail.example.com"},
		Now:       clock,
		Rand:      rand.NewChaCha8([32]byte{1}),
	}
	for _, a := range adjust {
		a(&c)
	}
	s.Offload = New(c)
	return s
}

// noise is n bytes that differ from place to place and from seed to seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// attached is an attachment of n bytes.
func attached(name string, n int) mail.Attachment {
	return mail.Attachment{Name: name, ContentType: "application/pdf", Content: noise(byte(len(name)+n), n), Size: int64(n), HasContent: true}
}

func inlineImage(name string, n int) mail.Attachment {
	a := attached(name, n)
	a.ContentType, a.ContentID = "image/png", name
	return a
}

func placed(p mail.Placement, a mail.Attachment) mail.Attachment {
	a.Placement = p
	return a
}

func message(attachments ...mail.Attachment) *mail.Message {
	return &mail.Message{
		Content:     mail.Content{Subject: "Report", PlainText: "Hello", HTML: "<html><body><p>Hello</p></body></html>"},
		Attachments: attachments,
	}
}

// wireSize stands for the exact size of the request: every byte counts.
func wireSize(m *mail.Message) int64 {
	n := 200 + len(m.Content.HTML) + len(m.Content.PlainText)
	for _, a := range m.Attachments {
		if a.Content != nil {
			n += 60 + len(a.Name) + (len(a.Content)+2)/3*4
		}
	}
	return int64(n)
}

// owner is who sends every message.
var owner = Owner{Caller: "shop", Message: "message-1"}

// plan is Plan that must succeed, for the default life.
func (s *setting) plan(t testing.TB, m *mail.Message, limit int64) *Move {
	t.Helper()
	return s.planFor(t, m, mail.DefaultLinkLife, limit)
}

func (s *setting) planFor(t testing.TB, m *mail.Message, life time.Duration, limit int64) *Move {
	t.Helper()
	mv, err := s.Plan(t.Context(), m, s.NewIntake(0, limit), owner, life, limit, wireSize)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	return mv
}

// commit is Stage and Commit that must succeed.
func commit(t testing.TB, mv *Move) *Move {
	t.Helper()
	if err := mv.Stage(t.Context()); err != nil {
		t.Fatalf("Stage: %v", err)
	}
	if err := mv.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return mv
}

// linked commits a message whose only attachment is a link of the given life.
func (s *setting) linked(t testing.TB, life time.Duration) *Move {
	t.Helper()
	m := message(placed(mail.PlacementLink, attached("report.pdf", 10)))
	return commit(t, s.planFor(t, m, life, 1<<20))
}

// CleanUp is Offload.CleanUp, from the beginning.
func (s *setting) CleanUp(ctx context.Context) (deleted int, err error) {
	result, err := s.Offload.CleanUp(ctx, "", 4)
	return result.Removed, err
}

// Open is Offload.Open, and waits for its count.
func (s *setting) Open(ctx context.Context, token string, n int, acceptLanguage string) (Opened, error) {
	opened, err := s.Offload.OpenLink(ctx, token, n, acceptLanguage)
	for range maxCounts {
		s.counts <- struct{}{}
	}
	for range maxCounts {
		<-s.counts
	}
	return opened, err
}

// open is Open of a file, for its location.
func (s *setting) open(ctx context.Context, token string) (string, error) {
	opened, err := s.Open(ctx, token, 0, "")
	return opened.Location, err
}
