// Package record keeps one row a message: who sent it, what became of it, and
// the claim that makes a repeated request harmless.
//
// In: a claim under a caller's id, then the steps of sending. Out: the record, to
// replay or to show. It does not know HTTP or ACS, and it does not decide what a
// step means; gateway does. Time is the table service's clock.
//
// # How a claim is safe
//
// A record's key is the operation id that ACS is told, a hash of caller and id: no caller
// can meet another's, and what ACS reports finds its record with one read. A claim is an
// insert. Every conditional write carries a fresh attempt id: when an answer is lost, or
// storage says "exists" or "changed", the row is read back, and our own attempt id in it
// means that our write had won.
//
// A request or a dispatcher that works on a message owns its record until OwnerUntil.
// Every write renews OwnerUntil. After it another may take over. A Claimed record is taken
// over as a new one. A Sending one may have been sent: the new owner asks ACS first, and a
// reader may ask ACS at any time. A refused record is free: its row has the reason for
// polls, and a new claim takes it over. A queued message has a copy in the spool and no
// owner. The dispatcher takes it by writing Sending over the version in its queue entry.
//
// A message with an id that Posthorn made needs no claim: the first step that is written
// makes its record.
//
// A process notes its work in a row of its own, with BeginWork, before a record says more than
// a claim. VisitAbandoned finds there what a dead process has left.
//
// # The states
//
//	Claimed ─┬─> Sending ─┬─> Accepted | Failed
//	         └─> Waiting ─┤
//	      Cancelled <──┘  └─> Unknown, resolving or for good
//
// # How long a record lives
//
// The history is how long a record lives after its last change or, if that is later, after
// the last moment at which its message may still be sent. The records of named messages
// stand in one lasting table, of which CleanUp looks at a part at a time. An id that
// Posthorn made carries the day after which nobody needs the record. These records stand in
// a table a day, which is dropped whole: no list, no delete. A named message with such an
// id, and a dead letter that has outlived its table, have their record in the lasting one.
package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/clock"
	"github.com/posthorn/posthorn/handler/store/expire"
)

const (
	// OwnerLife is how long a claim holds, unless Holding says otherwise. It is longer
	// than a request may take to the fence, so that only a dead owner is ever taken over.
	OwnerLife = 140 * time.Second
	// FenceLife is the same from the fence on.
	FenceLife = 2 * time.Minute
	// DefaultHistory is how long a record can at least be asked for, and a repeat is known,
	// once its message has ended, unless Keeping says otherwise.
	DefaultHistory = 30 * day
)

// State is how far a message has come.
type State string

// The states.
const (
	Claimed   State = "claimed"   // nothing has left
	Waiting   State = "waiting"   // in the spool, for its time or for quota
	Sending   State = "sending"   // ACS may have it from now on
	Accepted  State = "accepted"  // ACS has taken it over
	Failed    State = "failed"    // it will not be sent
	Cancelled State = "cancelled" // by its caller, before it was sent
	Unknown   State = "unknown"   // ACS may have it, and it is not known, or not yet
)

// Record is one message's row. It is kept as JSON, in which most messages have few members.
type Record struct {
	ID          string `json:"id"` // the caller's name for the message, a UUID
	Caller      string `json:"caller"`
	Hook        string `json:"hook,omitempty"` // by which the message came; empty: its caller sent it
	Fingerprint string `json:"fingerprint"`    // hex SHA-256 of the canonical message
	State       State  `json:"state"`
	OperationID string `json:"operation"` // ACS's name for the message, a UUID, and the key of the record
	// Lasting says that the record stands in the lasting table though its id carries a day.
	Lasting bool       `json:"lasting,omitempty"`
	Tags    []mail.Tag `json:"tags,omitempty"`
	// Moved are the attachments that became links, without their URLs: a token
	// is a secret of the recipients and is kept nowhere.
	Moved []mail.Link `json:"moved,omitempty"`
	// Links names their row, and opens no link. Shared says that other
	// messages have the same links, so that they do not end with this one.
	Links   store.Key `json:"links,omitzero"`
	Shared  bool      `json:"shared,omitempty"`
	Failure *Failure  `json:"failure,omitempty"`
	// Spooled is where the message stands in the spool; zero if it never waited.
	Spooled store.Key `json:"spooled,omitzero"`
	// Expected is when a message that waits will probably be sent.
	Expected time.Time `json:"expected,omitzero"`
	// Deadline is the last moment at which the message may be sent; zero if it
	// never waited.
	Deadline time.Time `json:"deadline,omitzero"`
	// Resolving says of Unknown that ACS is still being asked. Repeatable says of Unknown
	// that ACS did not know the message long after its owner had died, so that a repeat
	// sends it; and of Failed that nothing was sent, so that its id is free.
	Resolving  bool `json:"resolving,omitempty"`
	Repeatable bool `json:"repeatable,omitempty"`
	// Ended says of Accepted that ACS was asked and is done with it, or need not be
	// asked any more.
	Ended bool `json:"ended,omitempty"`
	// Sandbox says of Accepted that the message was only checked: it was not sent.
	Sandbox bool `json:"sandbox,omitempty"`
	// Redirected says that the message went to its caller's one mailbox for tests.
	Redirected bool      `json:"redirected,omitempty"`
	Created    time.Time `json:"created,omitzero"`
	Updated    time.Time `json:"updated,omitzero"`
	// OwnerUntil is when others may take over.
	OwnerUntil time.Time `json:"ownerUntil,omitzero"`

	etag    store.ETag
	attempt string // of the last write that failed, which may be there all the same
}

// Final says whether the record will not change any more by itself.
func (r *Record) Final() bool {
	switch r.State {
	case Accepted, Failed, Cancelled:
		return true
	case Unknown:
		return !r.Resolving
	}
	return false
}

// Version names what the row was when r was read or written.
func (r *Record) Version() store.ETag { return r.etag }

// inSpool says whether the message is kept by the spool until it ends.
func (r *Record) inSpool() bool { return r.Spooled != store.Key{} }

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
	// Transact carries out all actions on rows of one partition, or none.
	Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error)
	// ListBefore returns at most n rows in the order of their keys, from the first
	// after a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Tables are where records stand.
type Tables struct {
	Lasting Table
	Days    expire.Days
	// Day opens the table of a day. An insert makes it; to all other calls one that does
	// not exist is empty.
	Day func(date string) Table
}

// Store keeps the records of one deployment. It is safe for concurrent use.
type Store struct {
	tables  Tables
	clock   *clock.Clock
	newID   func() string
	life    time.Duration // of an owner
	fence   time.Duration // the same from the fence on
	history time.Duration
	works   works
}

// New keeps records in t. now is a local clock: only its differences are used. newID makes
// UUIDs for attempts.
func New(t Tables, now func() time.Time, newID func() string) *Store {
	return &Store{tables: t, clock: clock.New(now), newID: newID, life: OwnerLife, fence: FenceLife, history: DefaultHistory}
}

// Keeping makes records live for a history: whole days.
func (b *Store) Keeping(history time.Duration) *Store {
	b.history = history
	return b
}

// Holding makes the claims and the writes of b hold for life, and Sending for fence.
// They must be longer than b's users ever work on a message without a write.
func (b *Store) Holding(life, fence time.Duration) *Store {
	b.life, b.fence = life, fence
	return b
}

// Sharing makes c tell b the time, and b's answers tell c.
func (b *Store) Sharing(c *clock.Clock) *Store {
	b.clock = c
	return b
}

// row is that of a record. Its partition is the operation id.
const row = "m"

// Claim makes r the record of its caller and id, in state Claimed. If there is one
// already for the same message that has ended, waits, or is under way, that one is
// returned with replay true. A different fingerprint is a problem KeyReused; storage out
// of reach is Unavailable, and then nothing may be sent.
//
// A claim that was taken over from an owner who died while sending comes back as
// Unknown, resolving: ACS must be asked for its operation before anything is sent.
func (b *Store) Claim(ctx context.Context, r Record) (claimed *Record, replay bool, err error) {
	for range claimTries {
		claimed, replay, err = b.claim(ctx, r)
		if !errors.Is(err, errReleased) {
			break
		}
	}
	return claimed, replay, err
}

// claimTries is how often a claim may meet one that is released just then.
const claimTries = 5

var errReleased = errors.New("the record was released meanwhile")

func (b *Store) claim(ctx context.Context, r Record) (claimed *Record, replay bool, err error) {
	now, err := b.now(ctx)
	if err != nil {
		return nil, false, err
	}
	r.State, r.Created, r.Updated, r.OwnerUntil = Claimed, now, now, now.Add(b.life)
	attempt := b.newID()
	if err = b.insertClaim(ctx, &r, attempt); err == nil {
		return &r, false, nil
	}
	there, theirs, readErr := b.read(ctx, r.Caller, r.ID)
	switch {
	case errors.Is(err, store.ErrExists) && errors.Is(readErr, store.ErrMissing):
		return nil, false, unavailable(errReleased)
	case readErr != nil:
		return nil, false, unavailable(fmt.Errorf("claim record: %w", errors.Join(err, readErr)))
	case theirs == attempt, theirs == r.attempt && r.attempt != "":
		return there, false, nil
	case there.State == Failed && there.Repeatable:
	case there.Fingerprint != r.Fingerprint:
		return nil, false, problem.New(problem.KeyReused, "The Idempotency-Key or Operation-Id was used before for a different message. Use a new one.")
	case there.Repeatable:
	case there.Final() || there.inSpool() || now.Before(there.OwnerUntil):
		return there, true, nil
	}
	if until, sure := there.Until(); sure && r.Deadline.After(until) {
		return nil, false, problem.New(problem.KeyReused, "The Operation-Id is one that Posthorn made, and its record ends before the message does. Use a new one.")
	}
	claimed, err = b.TakeOver(ctx, r, there)
	return claimed, false, err
}

// insertClaim makes r's record, in the lasting table. Where the id is one that Posthorn made,
// a record of the message may stand in the table of a day.
func (b *Store) insertClaim(ctx context.Context, r *Record, attempt string) error {
	r.OperationID = OperationID(r.Caller, r.ID)
	if _, made := dayOf(r.OperationID); made {
		r.Lasting = true
		if _, _, err := b.read(ctx, r.Caller, r.ID); !errors.Is(err, store.ErrMissing) {
			return cmp.Or(err, store.ErrExists)
		}
	}
	asked := b.clock.Local()
	receipt, err := b.tables.Lasting.Insert(ctx, encode(r, attempt))
	b.clock.Observe(receipt.Time, asked)
	r.etag = receipt.ETag
	return err
}

// UnderWay says whether a message is being worked on, and may still be refused.
func (r *Record) UnderWay() bool { return r.State == Claimed || r.State == Sending }

// InProgress is the problem of a repeat that comes while its first request is at
// work, for callers who would take any other answer for the end.
func InProgress() error {
	p := problem.New(problem.InProgress, "A request with the same Idempotency-Key or Operation-Id is still being worked on. Ask again after Retry-After.")
	p.RetryAfter = time.Second
	return p
}

// TakeOver makes r the record of what another has left behind, if that has not
// changed. It comes back as Claimed, or as Unknown if the other may have sent.
func (b *Store) TakeOver(ctx context.Context, r Record, there *Record) (*Record, error) {
	r.etag, r.Created, r.OperationID, r.Lasting = there.etag, there.Created, there.OperationID, there.Lasting
	r.State = Claimed
	if there.State == Sending || there.State == Unknown {
		r.State, r.Resolving = Unknown, true
	}
	return &r, b.write(ctx, &r)
}

// Abandoned says whether a message has been as it is for longer than anyone works
// on one.
func (b *Store) Abandoned(r *Record) bool {
	now, ok := b.clock.Now()
	return ok && now.After(r.OwnerUntil)
}

// Find returns the record of caller and id. A message whose owner has died while
// sending, and which is in no spool, is shown as Unknown, resolving.
func (b *Store) Find(ctx context.Context, caller, id string) (*Record, error) {
	r, err := b.Read(ctx, caller, id)
	if err == nil && b.Stale(r) && !r.inSpool() {
		r.State, r.Resolving = Unknown, true
	}
	return r, err
}

// Read returns the record of caller and id as it stands.
func (b *Store) Read(ctx context.Context, caller, id string) (*Record, error) {
	r, _, err := b.read(ctx, caller, id)
	if errors.Is(err, store.ErrMissing) {
		return nil, problem.New(problem.NotFound, "This caller has no message with that id.")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return r, nil
}

// Stale says whether the owner of a message that is being sent has died.
func (b *Store) Stale(r *Record) bool { return r.State == Sending && b.Abandoned(r) }

// Time is the table service's clock, as well as it is known here. Only before the
// first answer of the service does it cost a read.
func (b *Store) Time(ctx context.Context) (time.Time, error) { return b.now(ctx) }

func (b *Store) read(ctx context.Context, caller, id string) (*Record, string, error) {
	return b.readOperation(ctx, OperationID(caller, id))
}

// readOperation costs one read, and another if the table of a day does not have the record.
func (b *Store) readOperation(ctx context.Context, operation string) (*Record, string, error) {
	r, attempt, err := b.readIn(ctx, b.table(operation, false), operation)
	if _, made := dayOf(operation); made && errors.Is(err, store.ErrMissing) {
		return b.readIn(ctx, b.tables.Lasting, operation)
	}
	return r, attempt, err
}

func (b *Store) readIn(ctx context.Context, t Table, operation string) (*Record, string, error) {
	asked := b.clock.Local()
	e, receipt, err := t.Get(ctx, operation, row)
	b.clock.Observe(receipt.Time, asked)
	if err != nil {
		return nil, "", fmt.Errorf("read record: %w", err)
	}
	return decode(e)
}

// now is the table service's time. Only before the first answer of the service
// does it cost a read.
func (b *Store) now(ctx context.Context) (time.Time, error) {
	if t, ok := b.clock.Now(); ok {
		return t, nil
	}
	if _, _, err := b.readIn(ctx, b.tables.Lasting, clockRow); err != nil && !errors.Is(err, store.ErrMissing) {
		return time.Time{}, unavailable(err)
	}
	t, _ := b.clock.Now()
	return t, nil
}

// clockRow is where no record stands: to look there tells the time.
const clockRow = "clock"

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The record of the message could not be read or written. Try again after Retry-After.", err)
}
