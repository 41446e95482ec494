package quota

import (
	"context"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// MaxAge (D) is the greatest age of a token when its call is written. About
	// 4 s of it are left when the booking begins, see Grant.
	MaxAge = 5 * time.Second
	// ClockError (ε) is how far the clock of a storage front end may be off, and
	// half of what the request may need on its way.
	ClockError = 2 * time.Second
	// LogEntries is the greatest hourly limit: one []byte property of a table
	// entity holds 64 KiB, a time takes 8 bytes. Source: "Understanding the Table
	// service data model".
	LogEntries = 8192
)

// Limits are the calls that ACS allows in any 60 s and in any 3,600 s.
type Limits struct {
	PerMinute, PerHour int
}

// The limits of a new subscription. Source: learn.microsoft.com, "Service limits
// for Azure Communication Services", section Email, rate limits.
var (
	CustomDomainSend    = Limits{PerMinute: 30, PerHour: 100}
	CustomDomainStatus  = Limits{PerMinute: 60, PerHour: 200}
	ManagedDomainSend   = Limits{PerMinute: 5, PerHour: 10}
	ManagedDomainStatus = Limits{PerMinute: 10, PerHour: 20}
)

// Table is where the ledger is kept. Insert and Replace may be repeated below:
// the ledger recognises its own write by an attempt id, whatever error came.
type Table interface {
	// Get answers store.ErrMissing for a row that is not there.
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	// Insert writes a row that is not there.
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	// Replace writes the whole row if e.ETag is still current.
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
}

// Ledger books calls under one limit. It is safe for concurrent use; any number
// of Ledgers, in any number of processes, share a row.
type Ledger struct {
	table  Table
	name   string
	limits Limits
	now    func() time.Time
	newID  func() string

	mu      sync.Mutex
	waiting []*request // in order of arrival
	serving bool       // whether a goroutine serves waiting
	seen    *snapshot  // the last one; nil before
}

// New returns the ledger kept in the row called name. limits.PerHour is at most
// LogEntries, more fails closed. now is the local clock, read for what has
// elapsed only, so its times carry a monotonic reading. newID returns an id that
// no other call of any instance returns, of at most 64 characters, none a space.
func New(t Table, name string, limits Limits, now func() time.Time, newID func() string) *Ledger {
	return &Ledger{table: t, name: name, limits: limits, now: now, newID: newID}
}

// Grant allows one call to ACS, if its first byte is written before UseBy. Each
// attempt at a call needs a Grant of its own.
type Grant struct {
	// UseBy is a local time: of the clock given to New, and of this process.
	UseBy time.Time
}

// Live says whether the call may be written now.
func (g Grant) Live(now time.Time) bool { return now.Before(g.UseBy) }

// Book takes cost tokens, all or none. It answers a problem otherwise:
// OverQuota, whose RetryAfter is the time until cost fits if nobody else books;
// InvalidMessage if it never fits; Unavailable if the ledger could not be read or
// written, or ctx ended. With Unavailable, tokens may be spent.
func (l *Ledger) Book(ctx context.Context, cost int) (Grant, error) {
	if cost < 1 {
		return Grant{}, problem.New(problem.Internal, "A call that costs %d cannot be booked.", cost)
	}
	if most := min(l.limits.PerMinute, l.limits.PerHour); cost > most {
		return Grant{}, problem.New(problem.InvalidMessage,
			"The message needs %d of the sending quota at once, and the quota is %d. Send it to fewer recipients.", cost, most)
	}
	r := &request{cost: cost, left: ctx.Err, done: make(chan result, 1)}
	l.enter(ctx, r)
	select {
	case res := <-r.done:
		return res.grant, res.err
	case <-ctx.Done():
		return Grant{}, unavailable(context.Cause(ctx))
	}
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The sending quota could not be booked, so nothing was sent. Try again.", err)
}
