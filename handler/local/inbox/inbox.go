// Package inbox keeps the messages that an emulator accepted, and shows them:
// as a page for people, as JSON for tests. In comes the body of a send call of
// ACS Email, which was checked before; out come HTML, JSON and server-sent
// events. Messages live in memory, or in a folder so that they outlive the
// process. The oldest make room for new ones.
//
// It does not receive mail, nor judge it: local/emulator does. A message's HTML
// is shown as it is, but in a sandbox that has no scripts and no origin.
//
// All sizes are bytes. Sources: EmailMessage of api-version 2025-09-01 in
// Azure/azure-rest-api-specs; the event stream of the HTML standard, section
// 9.2.
package inbox

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultMaxMessages are kept if Config says nothing else.
	DefaultMaxMessages = 1000
	// DefaultMaxBytes of requests are kept if Config says nothing else: some 25
	// of the largest.
	DefaultMaxBytes = 256 << 20
)

// Config says how an Inbox keeps messages. The zero value keeps them in memory.
type Config struct {
	// Dir is where messages are kept, one file each; it is made if it is
	// missing. Empty means memory.
	Dir string
	// MaxMessages and MaxBytes bound what is kept; 0 means the default. The
	// newest message is kept whatever its size.
	MaxMessages int
	MaxBytes    int64
	// Hint is shown on the empty page: what to do to see a message.
	Hint string
	// Logger tells of files that cannot be used; nil means nobody.
	Logger *slog.Logger
}

// Inbox is an http.Handler. It may be used by many goroutines.
type Inbox struct {
	cfg   Config
	log   *slog.Logger
	page  *template.Template
	mux   http.Handler
	subs  subscribers
	store storage

	mu       sync.RWMutex
	messages []*Summary // oldest first
	bytes    int64
	dropped  int // messages that made room, since all were deleted
}

// New makes an Inbox and reads what Config.Dir holds.
func New(cfg Config) (*Inbox, error) {
	cfg.MaxMessages = cmp.Or(cfg.MaxMessages, DefaultMaxMessages)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, DefaultMaxBytes)
	b := &Inbox{cfg: cfg, log: cfg.Logger, page: parsePage(), store: memory{}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dir != "" {
		if err := b.load(cfg.Dir); err != nil {
			return nil, fmt.Errorf("the inbox cannot use its folder: %w", err)
		}
	}
	b.mux = b.routes()
	return b, nil
}

// Close ends the event streams, which otherwise never end.
func (b *Inbox) Close() { b.subs.close() }

// Add keeps a message. An error means that it was not kept. The request belongs
// to the inbox from now on.
func (b *Inbox) Add(operationID string, at time.Time, request []byte) error {
	s, err := summarize(request)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.ID, s.OperationID, s.At = b.freeID(operationID), operationID, at.UTC()
	if err := b.store.put(s, request); err != nil {
		return fmt.Errorf("the message could not be kept: %w", err)
	}
	b.insert(s)
	b.subs.tell(change{Type: "added", ID: s.ID})
	return nil
}

// freeID is the operation's id, with a number behind it if a message has that
// already: an operation that was sent twice must be seen twice.
func (b *Inbox) freeID(operationID string) string {
	id := operationID
	for n := 2; b.index(id) >= 0; n++ {
		id = fmt.Sprintf("%s.%d", operationID, n)
	}
	return id
}

func (b *Inbox) index(id string) int {
	return slices.IndexFunc(b.messages, func(s *Summary) bool { return s.ID == id })
}

// insert takes s in and makes room. The caller holds mu.
func (b *Inbox) insert(s *Summary) {
	b.messages = append(b.messages, s)
	b.bytes += s.Size
	for len(b.messages) > 1 && (len(b.messages) > b.cfg.MaxMessages || b.bytes > b.cfg.MaxBytes) {
		if b.dropped++; b.dropped == 1 {
			b.log.Warn("the inbox is full: from now on the oldest messages make room", "messages", b.cfg.MaxMessages, "bytes", b.cfg.MaxBytes)
		}
		b.remove(0)
	}
}

// remove drops the message at i. The caller holds mu.
func (b *Inbox) remove(i int) {
	s := b.messages[i]
	if err := b.store.remove(s); err != nil {
		b.log.Warn("a message's file could not be removed", "error", err)
	}
	b.bytes -= s.Size
	b.messages = slices.Delete(b.messages, i, i+1)
	b.subs.tell(change{Type: "deleted", ID: s.ID})
}

// errNoMessage means that there is no message with an id.
var errNoMessage = errors.New("no such message")

// delete removes one message.
func (b *Inbox) delete(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.index(id)
	if i < 0 {
		return errNoMessage
	}
	b.remove(i)
	return nil
}

// clear removes all messages.
func (b *Inbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.messages) > 0 {
		b.remove(len(b.messages) - 1)
	}
	b.dropped = 0
}

// listing is a part of the messages, newest first.
type listing struct {
	Messages []*Summary `json:"messages"`
	Matching int        `json:"matching"` // messages that the query finds
	Total    int        `json:"total"`    // messages there are
	Dropped  int        `json:"dropped"`  // messages that made room for newer ones
}

// list finds at most limit messages.
func (b *Inbox) list(query string, limit int) listing {
	b.mu.RLock()
	defer b.mu.RUnlock()
	l := listing{Messages: []*Summary{}, Total: len(b.messages), Dropped: b.dropped}
	words := searchWords(query)
	for _, s := range slices.Backward(b.messages) {
		if !s.matches(words) {
			continue
		}
		if l.Matching++; len(l.Messages) < limit {
			l.Messages = append(l.Messages, s)
		}
	}
	return l
}

// open reads one message whole.
func (b *Inbox) open(id string) (*Message, []byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i := b.index(id)
	if i < 0 {
		return nil, nil, errNoMessage
	}
	request, err := b.store.read(b.messages[i])
	if err != nil {
		return nil, nil, fmt.Errorf("the message could not be read: %w", err)
	}
	m, err := expand(b.messages[i], request)
	return m, request, err
}
