// Package spool keeps what must wait: each message whole in a blob, its place in
// a line of others as a row, and what could not be sent in a list for the
// operator.
//
// In: a letter, the line it stands in and its order there. Out: the heads of a
// line in that order, and the letters. Whose turn it is and when, decide/quota
// says; what became of a message, decide/record keeps; gateway calls all three.
//
// # What stands where
//
// A letter's key names its blob and its row alike: PARTITION is its line (shard,
// class, caller, and whether it waits for its time or for quota), ROW the moment
// since which it waits, or at which it may go, and a name of its own. So a
// line is one partition, read from its head, and blobs are listed in the same
// order as rows.
//
// The row is small and changes (tries, questions to ACS, a pause); the blob is
// written once. The queue carries ticks, not messages: a tick says that a shard
// is worth looking at. It may be lost or doubled.
//
// # What a crash leaves behind
//
// A letter is put down before its record says that it waits, and its row is
// entered after that, before the caller hears of it. It is taken away when its
// message has ended: the blob first, then the row. So a row without a blob is one
// that was being taken away, and a blob without a row is either just being put
// down or was never promised to anyone: Strays finds those.
//
// Sizes are bytes, times those of the storage service's clock.
package spool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

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
	// List returns at most n blobs with a prefix after a name, in order.
	List(ctx context.Context, prefix, after string, n int) ([]store.Blob, error)
}

// Table is a table of the spool's own. An error wraps one of package store's, and
// what it leaves behind is said there.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	Delete(ctx context.Context, partition, row string, etag store.ETag) error
	// ListBefore returns at most n rows in the order of their keys, from the first
	// after a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Queue carries ticks.
type Queue interface {
	// Send may be repeated: a tick too many does no harm.
	Send(ctx context.Context, text string, delay time.Duration) error
}

// Spool keeps letters. It is safe for concurrent use.
type Spool struct {
	blobs Blobs
	lines Table
	dead  Table
	ticks Queue
}

// New makes a Spool of a container, the table of lines, that of what could not be
// sent, and the queue of ticks.
func New(b Blobs, lines, dead Table, ticks Queue) *Spool {
	return &Spool{b, lines, dead, ticks}
}

// Line is what a letter stands in, behind others.
type Line struct {
	Shard  int // of the quota's ledger: 0 to 999
	Class  int // 0 goes first: 0 to 9
	Caller string
	// Form is the hook of a line that its caller's form has for itself; empty for others.
	Form string
	// Later says that letters wait for their time rather than for quota.
	Later bool
}

// partition is a line's in the table. Names of callers are not for keys.
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
	return fmt.Sprintf("%03d-%d-%s-%s", l.Shard, l.Class, kind, hex.EncodeToString(h[:8]))
}

// KeyFor is where a letter stands that has waited since, or may go at, a moment.
// name is its own: two letters of one message, which a repeat may make for a
// while, must not share it.
func KeyFor(l Line, order time.Time, name string) store.Key {
	return store.Key{Partition: l.partition(), Row: fmt.Sprintf("%016d-%s", order.UnixMicro(), name)}
}

func blobName(k store.Key) string { return k.Partition + "/" + k.Row }

// PutMessage keeps a letter under a key. It may be repeated. An error is Unavailable, and
// the letter may then be there.
func (s *Spool) PutMessage(ctx context.Context, k store.Key, l Message) error {
	err := s.blobs.Put(ctx, blobName(k), encodeLetter(l))
	if errors.Is(err, store.ErrExists) {
		err = nil // nobody else has this key
	}
	return unavailable("keep a letter", err)
}

// ReadMessage reads a letter. found is false if it is gone. An error is Unavailable, or
// Internal for a letter that nobody can read.
func (s *Spool) ReadMessage(ctx context.Context, k store.Key) (l Message, found bool, err error) {
	data, err := s.blobs.Read(ctx, blobName(k))
	if errors.Is(err, store.ErrMissing) {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, unavailable("read a letter", err)
	}
	l, err = decodeLetter(data)
	return l, err == nil, problem.Wrap(problem.Internal, "A message that waits cannot be read.", err)
}

// DeleteMessage deletes a letter that has no row. It may be repeated.
func (s *Spool) DeleteMessage(ctx context.Context, k store.Key) error {
	return unavailable("delete a letter", unlessMissing(s.blobs.Delete(ctx, blobName(k))))
}

// InsertEntry puts a letter's row into its line. It may be repeated.
func (s *Spool) InsertEntry(ctx context.Context, slip *Entry) error {
	receipt, err := s.lines.Insert(ctx, slip.encode())
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	slip.etag = receipt.ETag
	return unavailable("enter a line", err)
}

// ReadEntry reads the row under a key. found is false if there is none.
func (s *Spool) ReadEntry(ctx context.Context, k store.Key) (slip Entry, found bool, err error) {
	e, _, err := s.lines.Get(ctx, k.Partition, k.Row)
	if errors.Is(err, store.ErrMissing) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, unavailable("read a place in line", err)
	}
	slip, err = decodeSlip(e)
	return slip, err == nil, problem.Wrap(problem.Internal, "A line cannot be read.", err)
}

// HasEntry says whether there is a row under a key.
func (s *Spool) HasEntry(ctx context.Context, k store.Key) (bool, error) {
	_, found, err := s.ReadEntry(ctx, k)
	return found, err
}

// UpdateEntry writes what has changed of a slip. A slip that has gone stays gone.
func (s *Spool) UpdateEntry(ctx context.Context, slip *Entry) error {
	e := slip.encode()
	e.ETag = slip.etag
	receipt, err := s.lines.Replace(ctx, e)
	if err == nil {
		slip.etag = receipt.ETag
	}
	return unavailable("change a place in line", unlessMissing(err))
}

// DeleteQueued takes a letter and its row away. It may be repeated.
func (s *Spool) DeleteQueued(ctx context.Context, slip *Entry) error {
	if err := s.DeleteMessage(ctx, slip.Key); err != nil {
		return err
	}
	return s.DeleteEntry(ctx, slip)
}

// DeleteEntry takes a row away and leaves the letter, if there is one.
func (s *Spool) DeleteEntry(ctx context.Context, slip *Entry) error {
	err := s.lines.Delete(ctx, slip.Key.Partition, slip.Key.Row, "")
	return unavailable("leave a line", unlessMissing(err))
}

// ListEntries returns the first n slips of a line in their order, behind one of them; nil
// to begin. Some may be Unreadable.
func (s *Spool) ListEntries(ctx context.Context, l Line, behind *Entry, n int) ([]Entry, error) {
	after := store.Key{Partition: l.partition()}
	if behind != nil {
		after = behind.Key
	}
	return s.slips(ctx, after, l.partition()+afterDash, n)
}

// afterDash is greater than nothing and less than all that could follow a
// partition's name.
const afterDash = "!"

// afterDigits is greater than every partition, which begin with a digit.
const afterDigits = "a"

func (s *Spool) slips(ctx context.Context, after store.Key, before string, n int) ([]Entry, error) {
	rows, err := s.lines.ListBefore(ctx, after, before, n)
	if err != nil {
		return nil, unavailable("read a line", err)
	}
	slips := make([]Entry, 0, len(rows))
	for _, e := range rows {
		slip, _ := decodeSlip(e) // an unreadable one says so
		slips = append(slips, slip)
	}
	return slips, nil
}

// ListHeads returns the slip at the head of every line that is not empty, and before it those
// that are Unreadable. It costs one operation for each.
func (s *Spool) ListHeads(ctx context.Context) (heads []Entry, err error) {
	after := store.Key{}
	for {
		head, err := s.slips(ctx, after, afterDigits, 1)
		if err != nil || len(head) == 0 {
			return heads, err
		}
		heads = append(heads, head[0])
		if after = head[0].Key; !head[0].Unreadable {
			after = store.Key{Partition: after.Partition + afterDash}
		}
	}
}

// allPage is how many rows All reads at once: as many as a table gives.
const allPage = 1000

// AllEntries goes through all that waits, line by line, each in its order. It costs one
// operation for every thousand.
func (s *Spool) AllEntries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for after := (store.Key{}); ; {
			page, err := s.slips(ctx, after, afterDigits, allPage)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
				after = page[i].Key
			}
			if len(page) < allPage {
				return
			}
		}
	}
}

// SendWakeUp sends a tick for a shard, to be seen after delay.
func (s *Spool) SendWakeUp(ctx context.Context, shard int, delay time.Duration) error {
	err := s.ticks.Send(ctx, tick(shard), min(max(delay, 0), longestDelay))
	return unavailable("send a tick", err)
}

// longestDelay is less than the 7 days that a message of a queue can stay hidden:
// a tick that comes early is sent on.
const longestDelay = 6 * 24 * time.Hour

const tickPrefix = "shard "

func tick(shard int) string { return tickPrefix + strconv.Itoa(shard) }

// ParseWakeUp reads what Wake has sent.
func ParseWakeUp(text string) (shard int, err error) {
	if len(text) <= len(tickPrefix) || text[:len(tickPrefix)] != tickPrefix {
		return 0, errors.New("this is no tick")
	}
	shard, err = strconv.Atoi(text[len(tickPrefix):])
	if err != nil || shard < 0 {
		return 0, errors.New("this tick names no shard")
	}
	return shard, nil
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

func isThere(err error) bool { return errors.Is(err, store.ErrExists) }
