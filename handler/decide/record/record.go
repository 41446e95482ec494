// Package record keeps one row a message: who sent it, what became of it, and
// the claim that makes a repeated request harmless.
//
// In: a claim under a caller's id, then the steps of sending. Out: the record, to
// replay or to show. It does not know HTTP or ACS, and it does not decide what a
// step means; gateway does. Time is the table service's clock.
//
// # How a claim is safe
//
// A record's key is a hash of caller and id, so no caller can meet another's. A
// claim is an insert. Every conditional write carries a fresh attempt id: when an
// answer is lost, or storage says "exists" or "changed", the row is read back,
// and our own attempt id in it means that our write had won. The owner of a claim
// has until OwnerUntil. After that anyone may take over what is still Claimed;
// what is Sending may have been sent, so it becomes Unknown and is never sent
// again by guess.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// OwnerLife is how long a claim holds. It is longer than any request may take,
// so that only a dead owner is ever taken over.
const OwnerLife = 4 * time.Minute

// State is how far a message has come.
type State string

// The states. Claimed and Sending are on the way, the others are final.
const (
	Claimed  State = "claimed"  // nothing has left
	Sending  State = "sending"  // ACS may have it from now on
	Accepted State = "accepted" // ACS has taken it over
	Failed   State = "failed"   // ACS refused it for good
	Unknown  State = "unknown"  // ACS may have it, and nobody can tell
)

// Final says whether the state will not change any more.
func (s State) Final() bool { return s == Accepted || s == Failed || s == Unknown }

// Record is one message's row.
type Record struct {
	ID          string // the caller's name for the message, a UUID
	Caller      string
	Fingerprint string // hex SHA-256 of the canonical message
	State       State
	OperationID string // ACS's name for the message, a UUID
	Tags        []mail.Tag
	// Moved are the attachments that became links, without their URLs: a token
	// is a secret of the recipients and is kept nowhere.
	Moved []mail.Link
	// Links names their row, and opens none of them.
	Links   store.Key
	Failure *Failure
	Created time.Time
	Updated time.Time
	// OwnerUntil is when others may take over.
	OwnerUntil time.Time

	etag store.ETag
}

// Failure is why a message failed, as the caller was told.
type Failure struct {
	Kind     string `json:"kind"` // the problem's slug
	Detail   string `json:"detail"`
	Upstream string `json:"upstream,omitempty"` // ACS's error code
}

// Table is where records are kept. See package store for what errors leave
// behind.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	Delete(ctx context.Context, partition, row string, etag store.ETag) error
}

// Book keeps the records of one deployment. It is safe for concurrent use.
type Book struct {
	table Table
	clock serverClock
	newID func() string
}

// NewBook keeps records in t. now is a local clock, of which only differences
// are used; newID makes UUIDs for attempts.
func NewBook(t Table, now func() time.Time, newID func() string) *Book {
	return &Book{table: t, clock: serverClock{local: now}, newID: newID}
}

const row = "m"

// key is the partition of a record: spread evenly, and the same for a repeat.
func key(caller, id string) string {
	h := sha256.Sum256([]byte(caller + "\x00" + id))
	return hex.EncodeToString(h[:16])
}

// Claim makes r the record of its caller and id, in state Claimed. If there is
// one already that has ended with the same fingerprint, that one is returned
// with replay true. A different fingerprint is a problem KeyReused; the same one
// still under way is InProgress; storage out of reach is Unavailable, and then
// nothing may be sent.
func (b *Book) Claim(ctx context.Context, r Record) (claimed *Record, replay bool, err error) {
	now, err := b.now(ctx, r.Caller, r.ID)
	if err != nil {
		return nil, false, err
	}
	r.State, r.Created, r.Updated, r.OwnerUntil = Claimed, now, now, now.Add(OwnerLife)
	attempt := b.newID()
	receipt, err := b.table.Insert(ctx, encode(r, attempt))
	b.clock.observe(receipt)
	if err == nil {
		r.etag = receipt.ETag
		return &r, false, nil
	}
	there, theirs, readErr := b.read(ctx, r.Caller, r.ID)
	switch {
	case readErr != nil:
		return nil, false, unavailable(fmt.Errorf("claim record: %w", errors.Join(err, readErr)))
	case theirs == attempt:
		return there, false, nil
	case there.Fingerprint != r.Fingerprint:
		return nil, false, problem.New(problem.KeyReused, "The Idempotency-Key or Operation-Id was used before for a different message. Use a new one.")
	case there.State.Final():
		return there, true, nil
	case now.Before(there.OwnerUntil):
		p := problem.New(problem.InProgress, "A request with the same Idempotency-Key or Operation-Id is still being worked on. Ask again after Retry-After.")
		p.RetryAfter = time.Second
		return nil, false, p
	case there.State == Sending:
		there.State = Unknown
		return there, true, b.write(ctx, there)
	default:
		r.etag, r.Created, r.OperationID = there.etag, there.Created, there.OperationID
		return &r, false, b.write(ctx, &r)
	}
}

// Sending marks that from now on ACS may have the message. It fails if another
// has taken over.
func (b *Book) Sending(ctx context.Context, r *Record) error {
	r.State = Sending
	return b.write(ctx, r)
}

// Finish writes the final state.
func (b *Book) Finish(ctx context.Context, r *Record, s State, f *Failure) error {
	r.State, r.Failure = s, f
	return b.write(ctx, r)
}

// Release forgets a record of which nothing was sent, so that the same id can be
// used again. A record that is gone, or that another has taken over, is left.
func (b *Book) Release(ctx context.Context, r *Record) error {
	err := b.table.Delete(ctx, key(r.Caller, r.ID), row, r.etag)
	if errors.Is(err, store.ErrMissing) || errors.Is(err, store.ErrChanged) {
		return nil
	}
	return unavailable(err)
}

// Find returns the record of caller and id. A message whose owner has died
// while sending is shown as Unknown.
func (b *Book) Find(ctx context.Context, caller, id string) (*Record, error) {
	r, _, err := b.read(ctx, caller, id)
	if errors.Is(err, store.ErrMissing) {
		return nil, problem.New(problem.NotFound, "This caller has no message with that id.")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if now, _ := b.clock.now(); r.State == Sending && now.After(r.OwnerUntil) {
		r.State = Unknown
	}
	return r, nil
}

func (b *Book) read(ctx context.Context, caller, id string) (*Record, string, error) {
	e, receipt, err := b.table.Get(ctx, key(caller, id), row)
	b.clock.observe(receipt)
	if err != nil {
		return nil, "", fmt.Errorf("read record: %w", err)
	}
	return decode(e)
}

// now is the table service's time. Only before the first answer of the service
// does it cost a read.
func (b *Book) now(ctx context.Context, caller, id string) (time.Time, error) {
	if t, ok := b.clock.now(); ok {
		return t, nil
	}
	if _, _, err := b.read(ctx, caller, id); err != nil && !errors.Is(err, store.ErrMissing) {
		return time.Time{}, unavailable(err)
	}
	t, _ := b.clock.now()
	return t, nil
}

// write replaces the row if it is still the version that r was read or written
// as. Afterwards r is the current version.
func (b *Book) write(ctx context.Context, r *Record) error {
	attempt := b.newID()
	r.Updated, _ = b.clock.now()
	e := encode(*r, attempt)
	e.ETag = r.etag
	receipt, err := b.table.Replace(ctx, e)
	b.clock.observe(receipt)
	if err == nil {
		r.etag = receipt.ETag
		return nil
	}
	there, theirs, readErr := b.read(ctx, r.Caller, r.ID)
	if readErr == nil && theirs == attempt {
		r.etag = there.etag
		return nil
	}
	return unavailable(fmt.Errorf("write record as %s: %w", r.State, errors.Join(err, readErr)))
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The record of the message could not be read or written. Try again after Retry-After.", err)
}

// body is the part of a record that no query needs to see.
type body struct {
	Tags    []mail.Tag  `json:"tags,omitempty"`
	Moved   []mail.Link `json:"moved,omitempty"`
	Links   store.Key   `json:"links,omitzero"`
	Failure *Failure    `json:"failure,omitempty"`
}

func encode(r Record, attempt string) store.Entity {
	for i := range r.Moved {
		r.Moved[i].URL = ""
	}
	// These types hold strings, numbers and times only: Marshal cannot fail.
	text, _ := json.Marshal(body{r.Tags, r.Moved, r.Links, r.Failure})
	return store.Entity{Partition: key(r.Caller, r.ID), Row: row, Values: map[string]any{
		"attempt": attempt, "id": r.ID, "caller": r.Caller, "fingerprint": r.Fingerprint,
		"state": string(r.State), "operation": r.OperationID, "body": text,
		"created": r.Created, "updated": r.Updated, "ownerUntil": r.OwnerUntil,
	}}
}

func decode(e store.Entity) (*Record, string, error) {
	v := e.Values
	r := &Record{etag: e.ETag}
	r.ID, _ = v["id"].(string)
	r.Caller, _ = v["caller"].(string)
	r.Fingerprint, _ = v["fingerprint"].(string)
	state, _ := v["state"].(string)
	r.State = State(state)
	r.OperationID, _ = v["operation"].(string)
	r.Created, _ = v["created"].(time.Time)
	r.Updated, _ = v["updated"].(time.Time)
	r.OwnerUntil, _ = v["ownerUntil"].(time.Time)
	attempt, _ := v["attempt"].(string)
	text, _ := v["body"].([]byte)
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, "", fmt.Errorf("decode record: %w", err)
	}
	r.Tags, r.Moved, r.Links, r.Failure = b.Tags, b.Moved, b.Links, b.Failure
	return r, attempt, nil
}
