// Package spool keeps queued messages: the entry of each in the queue as a row, its content
// in a row beside the entry or, if it is large, in a blob, and dead letters in a table of
// their own.
//
// In: a message, its line and its order there. Out: the heads of the lines, and the
// messages. decide/quota says which message goes next, and when. decide/record keeps
// what became of a message. gateway calls all three.
//
// # What stands where
//
// A message has one key for its row and its content. PARTITION is its line: shard, kind of
// the sender's domain, class, caller, and whether the message waits for its time or for
// quota. ROW is the moment since which the message waits, or at which it may go, and a name
// of its own. So a line is one partition, read from its head, and blobs are listed in the
// order of rows.
//
// The row is small and changes (tries, status requests, a pause). The content is written
// once. That of a message up to SmallBytes is the row c-ROW of the same partition: no list
// of entries reads it, and it comes and goes in one transaction with the row. A larger one is
// the blob PARTITION/ROW. The dispatch queue carries wake-up messages alone: each says that a
// shard is worth looking at. A wake-up message may be lost or doubled.
//
// # What a crash leaves behind
//
// The record says that the message waits before the row is written, and the row is before
// the caller has an answer. A small message has no content without a row, and no row
// without content. A blob is written before the record, and deleted before the row. So a
// row without a blob was being deleted. A blob without a row is being written, or was
// promised to no caller: FindOrphans finds it.
//
// Sizes are bytes. Times are of the storage service's clock.
package spool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Blobs is a private container of the spool's own. Every method may be repeated.
// An error wraps one of package store's.
type Blobs interface {
	// Put makes a blob in one request; store.ErrExists for a name that is taken,
	// perhaps by its own first try.
	Put(ctx context.Context, name string, data []byte) error
	Read(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
	// List returns at most n blobs with a prefix behind a marker, in order, and the marker
	// of what follows: empty at the end.
	List(ctx context.Context, prefix, marker string, n int) (found []store.Blob, next string, err error)
}

// Table is a table of the spool's own. An error wraps one of package store's, and
// what it leaves behind is said there.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	// Transact changes rows of one partition, all or none.
	Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error)
	// ListRows returns at most n rows of a partition in the order of their keys, from the
	// first after one to the last before another.
	ListRows(ctx context.Context, partition, after, before string, n int) ([]store.Entity, error)
	// ListBefore returns at most n rows in the order of their keys, from the first
	// after a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Queue is the dispatch queue.
type Queue interface {
	// Send may be repeated: one wake-up message too many does no harm.
	Send(ctx context.Context, text string, delay time.Duration) error
}

// Spool keeps queued messages. It is safe for concurrent use.
type Spool struct {
	blobs   Blobs
	lines   Table
	dead    Table
	wakeUps Queue
	most    int // bytes of a message that stands in a table
}

// New makes a Spool of a container, the table of lines, the table of dead letters, and
// the dispatch queue.
func New(b Blobs, lines, dead Table, wakeUps Queue) *Spool {
	return &Spool{b, lines, dead, wakeUps, SmallBytes}
}

// Line is one queue of messages in their order: of a caller, or of a form.
type Line struct {
	// Domain is the kind of domain from which the messages come. Its ledger has the Shard.
	Domain mail.DomainKind `json:"domain,omitempty"`
	Shard  int             `json:"shard,omitempty"` // 0 to 999
	Class  int             `json:"class"`           // 0 goes first: 0 to 9
	Caller string          `json:"caller"`
	// Form is the hook of a form, which has a line of its own; empty for other lines.
	Form string `json:"form,omitempty"`
	// Later says that messages wait for their time rather than for quota.
	Later bool `json:"later,omitempty"`
}

// partition is the line's partition. Caller names may have characters that keys forbid,
// so they are hashed.
func (l Line) partition() string {
	name := l.Caller
	if l.Form != "" {
		name += "/" + l.Form
	}
	h := sha256.Sum256([]byte(name))
	kind := "now"
	if l.Later {
		kind = "later"
	}
	managed := ""
	if l.Domain == mail.ManagedDomain {
		managed = "m"
	}
	return fmt.Sprintf("%03d%s-%d-%s-%s", l.Shard, managed, l.Class, kind, hex.EncodeToString(h[:8]))
}

// KeyFor is the key of a message that has waited since, or may go at, a moment. name is
// unique: a repeat may store one message twice for a while.
func KeyFor(l Line, order time.Time, name string) store.Key {
	return store.Key{Partition: l.partition(), Row: fmt.Sprintf("%016d-%s", order.UnixMicro(), name)}
}

// InsertEntry writes the row of a message, with the message if it is small. It may be
// repeated.
func (s *Spool) InsertEntry(ctx context.Context, entry *Entry) error {
	return unavailable("insert a queue entry", insertRow(ctx, s.lines, entry.encode(), entry.content))
}

// ReadEntry reads the row under a key. found is false if there is none.
func (s *Spool) ReadEntry(ctx context.Context, k store.Key) (entry Entry, found bool, err error) {
	e, _, err := s.lines.Get(ctx, k.Partition, k.Row)
	if errors.Is(err, store.ErrMissing) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, unavailable("read a queue entry", err)
	}
	entry, err = decodeEntry(e)
	return entry, err == nil, problem.Wrap(problem.Internal, "A line cannot be read.", err)
}

// HasEntry says whether there is a row under a key.
func (s *Spool) HasEntry(ctx context.Context, k store.Key) (bool, error) {
	_, found, err := s.ReadEntry(ctx, k)
	return found, err
}

// UpdateEntry writes an entry that has changed. A deleted entry stays deleted.
func (s *Spool) UpdateEntry(ctx context.Context, entry *Entry) error {
	e := entry.encode()
	e.ETag = entry.etag
	receipt, err := s.lines.Replace(ctx, e)
	if err == nil {
		entry.etag = receipt.ETag
	}
	return unavailable("update a queue entry", unlessMissing(err))
}

// DeleteQueued deletes a message and its row. It may be repeated.
func (s *Spool) DeleteQueued(ctx context.Context, entry *Entry) error {
	if entry.Large || entry.Unreadable {
		if err := s.DeleteBlob(ctx, entry.Key); err != nil {
			return err
		}
	}
	return s.DeleteEntry(ctx, entry)
}

// DeleteEntry deletes a row, and the message if it is small. A blob stays.
func (s *Spool) DeleteEntry(ctx context.Context, entry *Entry) error {
	return unavailable("delete a queue entry", deleteRow(ctx, s.lines, entry.Key, entry.Large))
}

// ListEntries returns the first n entries of a line in their order, behind one of them; nil
// to begin. Some may be Unreadable.
func (s *Spool) ListEntries(ctx context.Context, l Line, behind *Entry, n int) ([]Entry, error) {
	after := ""
	if behind != nil {
		after = behind.Key.Row
	}
	return s.entries(ctx, l.partition(), after, n)
}

func (s *Spool) entries(ctx context.Context, partition, after string, n int) ([]Entry, error) {
	rows, err := s.lines.ListRows(ctx, partition, after, afterEntries, n)
	if err != nil {
		return nil, unavailable("list queue entries", err)
	}
	entries := make([]Entry, 0, len(rows))
	for _, e := range rows {
		entry, _ := decodeEntry(e) // it is marked as unreadable
		entries = append(entries, entry)
	}
	return entries, nil
}

// ListHeads returns the entry at the head of every line that is not empty, and before it the
// entries that are Unreadable. It costs one operation for each.
func (s *Spool) ListHeads(ctx context.Context) (heads []Entry, err error) {
	for after := (store.Key{}); ; {
		head, err := s.firstAfter(ctx, after)
		if err != nil || head == nil {
			return heads, err
		}
		heads = append(heads, *head)
		if after = head.Key; !head.Unreadable {
			after = nextLine(after)
		}
	}
}

// afterDash is greater than nothing and less than all that could follow a partition's name.
// afterDigits is greater than every partition, which begin with a digit.
const afterDash, afterDigits = "!", "a"

// nextLine is behind every key of the line of k, and before every key of the next line.
func nextLine(k store.Key) store.Key { return store.Key{Partition: k.Partition + afterDash} }

// firstAfter is the first entry after a key, of this or another line; nil if there is none.
func (s *Spool) firstAfter(ctx context.Context, after store.Key) (*Entry, error) {
	for {
		rows, err := s.lines.ListBefore(ctx, after, afterDigits, 1)
		if err != nil || len(rows) == 0 {
			return nil, unavailable("list queue entries", err)
		}
		if rows[0].Row < afterEntries {
			entry, _ := decodeEntry(rows[0]) // it is marked as unreadable
			return &entry, nil
		}
		after = nextLine(store.Key{Partition: rows[0].Partition})
	}
}

// allPage is how many rows AllEntries reads at once: as many as a table gives.
const allPage = 1000

// AllEntries goes through all queued messages, line by line, each in its order. It costs one
// operation for every line, and one for every thousand messages of it.
func (s *Spool) AllEntries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for after := (store.Key{}); ; {
			head, err := s.firstAfter(ctx, after)
			if err != nil {
				yield(Entry{}, err)
			}
			if head == nil || !s.line(ctx, head.Key.Partition, yield) {
				return
			}
			after = nextLine(head.Key)
		}
	}
}

// line goes through one line. It says whether to go on.
func (s *Spool) line(ctx context.Context, partition string, yield func(Entry, error) bool) bool {
	for after := ""; ; {
		page, err := s.entries(ctx, partition, after, allPage)
		if err != nil {
			yield(Entry{}, err)
			return false
		}
		for i := range page {
			if !yield(page[i], nil) {
				return false
			}
			after = page[i].Key.Row
		}
		if len(page) < allPage {
			return true
		}
	}
}

// SendWakeUp sends a wake-up message for a shard of a ledger, to be seen after delay.
func (s *Spool) SendWakeUp(ctx context.Context, domain mail.DomainKind, shard int, delay time.Duration) error {
	err := s.wakeUps.Send(ctx, wakeUpText(domain, shard), min(max(delay, 0), longestDelay))
	return unavailable("send a wake-up message", err)
}

// SendCleanUp sends a wake-up message for the clean-up, with what it must know to go on.
func (s *Spool) SendCleanUp(ctx context.Context, mark string) error {
	return unavailable("send a wake-up message", s.wakeUps.Send(ctx, cleanUpPrefix+mark, 0))
}

// longestDelay is less than the 7 days that a message of a queue can stay hidden:
// a wake-up message that comes early is sent on.
const longestDelay = 6 * 24 * time.Hour

const cleanUpPrefix = "cleanup "

// ParseCleanUp reads what SendCleanUp has sent.
func ParseCleanUp(text string) (mark string, is bool) { return strings.CutPrefix(text, cleanUpPrefix) }

func wakeUpText(domain mail.DomainKind, shard int) string {
	return domain.String() + " shard " + strconv.Itoa(shard)
}

// ParseWakeUp reads what SendWakeUp has sent.
func ParseWakeUp(text string) (domain mail.DomainKind, shard int, err error) {
	kind, number, found := strings.Cut(text, " shard ")
	if !found {
		return 0, 0, errors.New("this is no wake-up message")
	}
	if err := domain.UnmarshalText([]byte(kind)); err != nil {
		return 0, 0, fmt.Errorf("this is no wake-up message: %w", err)
	}
	shard, err = strconv.Atoi(number)
	if err != nil || shard < 0 {
		return 0, 0, errors.New("this wake-up message names no shard")
	}
	return domain, shard, nil
}

func unlessMissing(err error) error {
	if errors.Is(err, store.ErrMissing) {
		return nil
	}
	return err
}

func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(problem.Unavailable, "What waits could not be read or written. Try again after Retry-After.", fmt.Errorf("%s: %w", doing, err))
}
