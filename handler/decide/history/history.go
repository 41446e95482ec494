// Package history is the index of messages: which ones a caller sent in a time, and
// which ones went to a recipient on a day.
//
// In: a message that has a record. Out: the operation ids of messages, by which
// decide/record finds them. It holds no content, no subject and no address in clear.
//
// # What stands where
//
// A message has a row of its caller, and one for each recipient, in the table of the day
// (UTC) on which it came. The table is dropped whole when the records of its messages are
// gone.
//
//	            PARTITION                 ROW
//	caller      c-HASH OF CALLER-HOUR     TIME-OPERATION
//	recipient   r-FIRST DIGIT OF HASH     HASH OF ADDRESS-TIME-OPERATION
//
// HOUR and TIME count down, so that a table lists the newest first. HASH is SHA-256, cut to
// 16 bytes. The hash keeps addresses out of lists; it is no secret, since an address can
// be guessed.
//
// # When rows are written
//
// Rows are written after the answer, in transactions: all that this process has noted within
// GatherTime shares them. So a process that dies loses the rows of that time, and no more:
// its messages have records, and their callers know their ids. An index out of reach stops
// no message.
package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
)

// Message is what the index knows of a message.
type Message struct {
	OperationID string // the key of its record
	ID          string // its caller's name for it
	Caller      string
	At          time.Time // when it came, by storage's clock, in microseconds
}

// Table is a table of a day. See package store for what errors leave behind.
type Table interface {
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	// Transact changes at most 100 rows of one partition, all or none.
	Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error)
	// ListBefore returns at most n rows in the order of their keys, from the first after
	// a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Tables are where the index stands.
type Tables struct {
	Days expire.Days
	// Day opens the table of a day. An insert makes it; to all other calls one that does
	// not exist is empty.
	Day func(date string) Table
}

// hash is the name of a caller or an address in a key.
func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:16])
}

func addressHash(address string) string { return hash(strings.ToLower(address)) }

// end is later than every message: times count down from it.
var end = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func countdown(t time.Time) string { return fmt.Sprintf("%016d", end.Sub(t).Microseconds()) }

func callerPartition(caller string, hour int) string {
	return fmt.Sprintf("c-%s-%02d", hash(caller), 23-hour)
}

func recipientPartition(hash string) string { return "r-" + hash[:1] }

// rows are the rows of a message.
func rows(m Message, to []string) []store.Entity {
	at := m.At.UTC()
	tail := countdown(at) + "-" + m.OperationID
	values := map[string]any{"id": m.ID, "caller": m.Caller}
	all := make([]store.Entity, 0, 1+len(to))
	all = append(all, store.Entity{Partition: callerPartition(m.Caller, at.Hour()), Row: tail, Values: values})
	for _, address := range to {
		h := addressHash(address)
		all = append(all, store.Entity{Partition: recipientPartition(h), Row: h + "-" + tail, Values: values})
	}
	return all
}

func decode(e store.Entity) (Message, error) {
	tail := e.Row
	if strings.HasPrefix(e.Partition, "r-") {
		_, tail, _ = strings.Cut(tail, "-")
	}
	text, operation, _ := strings.Cut(tail, "-")
	us, err := strconv.ParseInt(text, 10, 64)
	if err != nil || operation == "" {
		return Message{}, fmt.Errorf("the index row %s cannot be read", e.Row)
	}
	m := Message{OperationID: operation, At: end.Add(-time.Duration(us) * time.Microsecond)}
	m.ID, _ = e.Values["id"].(string)
	m.Caller, _ = e.Values["caller"].(string)
	return m, nil
}

// OfCaller returns at most n messages that a caller sent on a day (UTC), newest first, those
// before a message; nil begins with the last of the day. An error is Unavailable.
func (x *Index) OfCaller(ctx context.Context, caller string, day time.Time, before *Message, n int) ([]Message, error) {
	first := "c-" + hash(caller) + "-"
	after := store.Key{Partition: first}
	if before != nil {
		after = store.Key{Partition: callerPartition(caller, before.At.UTC().Hour()), Row: countdown(before.At) + "-" + before.OperationID}
	}
	return x.list(ctx, day, after, first+afterDigits, first, "", n)
}

// OfRecipient returns at most n messages that were sent to an address on a day (UTC), newest
// first, those before a message; nil begins with the last of the day. Letters of an address
// are compared without their case. An error is Unavailable.
func (x *Index) OfRecipient(ctx context.Context, address string, day time.Time, before *Message, n int) ([]Message, error) {
	h := addressHash(address)
	partition := recipientPartition(h)
	after := store.Key{Partition: partition, Row: h + "-"}
	if before != nil {
		after.Row += countdown(before.At) + "-" + before.OperationID
	}
	return x.list(ctx, day, after, partition+afterDigits, partition, h+"-", n)
}

// afterDigits is greater than all that could follow a dash or a digit in a partition.
const afterDigits = "~"

func (x *Index) list(ctx context.Context, day time.Time, after store.Key, partition, within, row string, n int) ([]Message, error) {
	found, err := x.tables.Day(date(day)).ListBefore(ctx, after, partition, n)
	if err != nil {
		return nil, unavailable("list messages", err)
	}
	messages := make([]Message, 0, len(found))
	for _, e := range found {
		if !strings.HasPrefix(e.Partition, within) || !strings.HasPrefix(e.Row, row) {
			break
		}
		if m, err := decode(e); err == nil {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// CleanUp drops the tables of days on which no message has a record any more, and makes
// that of the next day. It may be repeated. An error is Unavailable.
func (x *Index) CleanUp(ctx context.Context, now time.Time) (expire.Result, error) {
	all, dates, err := expire.DropDays(ctx, x.tables.Days, x.life, now)
	if next := date(now.Add(24 * time.Hour)); dates != nil && !slices.Contains(dates, next) {
		err = errors.Join(err, x.tables.Days.Create(ctx, next))
	}
	return all, unavailable("clean up", err)
}

func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(problem.Unavailable, "The index of messages could not be read or written. Try again after Retry-After.", fmt.Errorf("%s: %w", doing, err))
}
