package offload

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// cloud is a container and a table in memory, and what goes wrong with them.
type cloud struct {
	mu     sync.Mutex
	staged map[string]map[int][]byte
	blobs  map[string]blob
	rows   map[key]store.Entity
	calls  map[string]int // by operation
	// fault is asked at every call, nth counting from 1. With lost, the call
	// happens and its answer is err all the same.
	fault func(op string, nth int) (err error, lost bool)
}

type blob struct {
	content []byte
	headers store.BlobHeaders
}

func newCloud() *cloud {
	return &cloud{
		staged: map[string]map[int][]byte{},
		blobs:  map[string]blob{},
		rows:   map[key]store.Entity{},
		calls:  map[string]int{},
		fault:  func(string, int) (error, bool) { return nil, false },
	}
}

// do runs what op does to the cloud, or its fault.
func (c *cloud) do(ctx context.Context, op string, effect func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, store.ErrUnavailable)
	}
	c.calls[op]++
	err, lost := c.fault(op, c.calls[op])
	if err == nil || lost {
		if effectErr := effect(); err == nil {
			err = effectErr
		}
	}
	return err
}

// failing makes the nth call of op, and with sticky all later ones, fail.
func failing(failed string, first int, sticky bool) func(string, int) (error, bool) {
	return func(op string, nth int) (error, bool) {
		if op == failed && (nth == first || sticky && nth > first) {
			return fmt.Errorf("%s: %w", op, store.ErrUnavailable), false
		}
		return nil, false
	}
}

type container struct{ *cloud }

func (c container) Stage(ctx context.Context, name string, n int, block []byte) error {
	return c.do(ctx, "stage", func() error {
		if c.staged[name] == nil {
			c.staged[name] = map[int][]byte{}
		}
		c.staged[name][n] = bytes.Clone(block)
		return nil
	})
}

func (c container) Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error {
	return c.do(ctx, "commit", func() error {
		if _, ok := c.blobs[name]; ok {
			return store.ErrExists
		}
		content := []byte{}
		for n := range blocks {
			content = append(content, c.staged[name][n]...)
		}
		delete(c.staged, name)
		c.blobs[name] = blob{content: content, headers: h}
		return nil
	})
}

func (c container) Delete(ctx context.Context, name string) error {
	return c.do(ctx, "delete blob", func() error {
		if _, ok := c.blobs[name]; !ok {
			return store.ErrMissing
		}
		delete(c.blobs, name)
		return nil
	})
}

const secretSignature = "c2VjcmV0/+="

func (c container) SignRead(ctx context.Context, name string, from, until time.Time) (string, error) {
	q := url.Values{
		"st": {from.Format(time.RFC3339)}, "se": {until.Format(time.RFC3339)},
		"sp": {"r"}, "spr": {"https"}, "sr": {"b"}, "sig": {secretSignature},
	}
	u := url.URL{Scheme: "https", Host: "account.blob.core.windows.net", Path: "/attachments/" + name, RawQuery: q.Encode()}
	return u.String(), c.do(ctx, "sign", func() error { return nil })
}

func (c container) List(ctx context.Context, prefix string, limit int) ([]store.Blob, error) {
	var found []store.Blob
	err := c.do(ctx, "list blobs", func() error {
		for _, name := range slices.Sorted(maps.Keys(c.blobs)) {
			if strings.HasPrefix(name, prefix) && len(found) < limit {
				found = append(found, store.Blob{Name: name, Size: int64(len(c.blobs[name].content))})
			}
		}
		return nil
	})
	return found, err
}

type table struct{ *cloud }

func (t table) put(e store.Entity) {
	e.ETag = store.ETag(fmt.Sprint(len(t.calls), t.calls))
	e.Values = maps.Clone(e.Values)
	t.rows[key{e.Partition, e.Row}] = e
}

func (t table) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return store.Receipt{}, t.do(ctx, "insert", func() error {
		if _, ok := t.rows[key{e.Partition, e.Row}]; ok {
			return store.ErrExists
		}
		t.put(e)
		return nil
	})
}

func (t table) Get(ctx context.Context, partition, row string) (e store.Entity, r store.Receipt, err error) {
	err = t.do(ctx, "get", func() error {
		found, ok := t.rows[key{partition, row}]
		if !ok {
			return store.ErrMissing
		}
		e = found
		e.Values = maps.Clone(found.Values)
		return nil
	})
	return e, r, err
}

func (t table) Replace(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return store.Receipt{}, t.do(ctx, "replace", func() error {
		old, ok := t.rows[key{e.Partition, e.Row}]
		if !ok {
			return store.ErrMissing
		}
		if e.ETag != "" && e.ETag != old.ETag {
			return store.ErrChanged
		}
		t.put(e)
		return nil
	})
}

func (t table) Delete(ctx context.Context, partition, row string, _ store.ETag) error {
	return t.do(ctx, "delete row", func() error {
		if _, ok := t.rows[key{partition, row}]; !ok {
			return store.ErrMissing
		}
		delete(t.rows, key{partition, row})
		return nil
	})
}

func (t table) List(ctx context.Context, partition string) ([]store.Entity, error) {
	var found []store.Entity
	err := t.do(ctx, "list rows", func() error {
		for k, e := range t.rows {
			if k.partition == partition {
				found = append(found, e)
			}
		}
		return nil
	})
	return found, err
}

// setting is an Offload over a cloud, and the clock that both see.
type setting struct {
	*Offload
	cloud *cloud
	now   time.Time
}

// noon is when every test begins.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func newSetting(adjust ...func(*Config)) *setting {
	s := &setting{cloud: newCloud(), now: noon}
	c := Config{
		Blobs:     container{s.cloud},
		Links:     table{s.cloud},
		PublicURL: &url.URL{Scheme: "https", Host: "mail.example.com"},
		Now:       func() time.Time { return s.now },
		Rand:      rand.NewChaCha8([32]byte{1}),
	}
	for _, a := range adjust {
		a(&c)
	}
	s.Offload = New(c)
	return s
}

func sasInMail(c *Config) { c.SASInMail = true }

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

// plan is Plan that must succeed, for the default life.
func (s *setting) plan(t *testing.T, m *mail.Message, limit int64) *Move {
	t.Helper()
	mv, err := s.Plan(t.Context(), m, mail.DefaultLinkLife, limit, wireSize)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	return mv
}

// linked is a message whose only attachment has been moved, and its token.
func (s *setting) linked(t *testing.T, life time.Duration) (token string) {
	t.Helper()
	mv, err := s.Plan(t.Context(), message(placed(mail.PlacementLink, attached("report.pdf", 10))), life, 1<<20, wireSize)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	if err := mv.Stage(t.Context()); err != nil {
		t.Fatalf("Stage: %v", err)
	}
	if err := mv.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return mv.files[0].token
}
