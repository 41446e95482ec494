package quota

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
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
// of Ledgers, in any number of processes, share its rows.
type Ledger struct {
	table   Table
	name    string
	limits  Limits
	now     func() time.Time
	newID   func() string
	options Options
	stats   counters
	pace    pace

	mu   sync.Mutex
	rows *rows // nil: not known
	lost bool  // it was, and is another now

	finding  chan struct{} // holds one who looks for the rows, and guards what follows
	notFound error         // why the rows were not found
	failed   time.Time     // when
	pool     pool
	turn     int // where this process begins with the shards
}

// Options are what a ledger need not be told.
type Options struct {
	// ReservedForHigh is the percentage of the limits that only High may use.
	ReservedForHigh int
	// CallTime is how long a call may take; 0: a minute.
	CallTime time.Duration
}

// New returns the ledger kept in the row called name, or in rows whose names begin
// with it. now is the local clock, read for what has
// elapsed only, so its times carry a monotonic reading. newID returns an id that
// no other call of any instance returns, of at most 64 characters, none a space.
func New(t Table, name string, limits Limits, now func() time.Time, newID func() string, options ...Options) *Ledger {
	l := &Ledger{table: t, name: name, limits: limits, now: now, newID: newID}
	l.finding = make(chan struct{}, 1)
	l.pool.keys = map[poolKey]*leased{}
	h := fnv.New32a()
	h.Write([]byte(newID()))
	l.turn = int(h.Sum32() >> 1)
	for _, o := range options {
		l.options = o
	}
	l.options.CallTime = cmp.Or(l.options.CallTime, time.Minute)
	return l
}

// Limits are those of the whole ledger.
func (l *Ledger) Limits() Limits { return l.limits }

// Call is one call to ACS that wants to go.
type Call struct {
	// Caller is "" for calls that belong to nobody. One whose name has a slash is a part
	// of another, whose name stands before it: what a part uses counts for both.
	Caller string
	Class  Class
	Cost   int // tokens
	Share  int // guaranteed percent of the limits for this caller, 0 none
	Cap    int // at most this percent of the hourly limit, 0 none
	// WholeCap is the Cap of the caller of which Caller is a part.
	WholeCap int
	// MostWaiting bounds the messages of Caller that wait; 0 means no bound.
	MostWaiting int
	// Sender stands for the address that the message is from, 0 for none: ACS may refuse
	// one and take others.
	Sender uint32
}

// Grant allows one call to ACS, if its first byte is written before UseBy. Each
// attempt at a call needs a Grant of its own.
type Grant struct {
	// UseBy is a local time: of the clock given to New, and of this process.
	UseBy time.Time

	shard   int
	at      instant // when it was booked
	canary  bool    // on its fate others wait
	sender  uint32
	probe   bool // on its fate others of the sender wait
	healthy bool
}

// Live says whether the call may be written now.
func (g Grant) Live(now time.Time) bool { return now.Before(g.UseBy) }

// Healthy says whether the ledger was well when the grant was given, so that a
// failure of the call is likely the message's own.
func (g Grant) Healthy() bool { return g.healthy }

// Awaited says whether others wait for what becomes of the call, see Well.
func (g Grant) Awaited() bool { return g.canary || g.probe }

// Reserve takes the tokens of c, all or none. It answers a problem otherwise: Paused,
// OverQuota, whose RetryAfter is when c is expected to fit behind those who wait,
// and exact if nobody does and nobody else books; InvalidMessage if it never
// fits; Unavailable if the ledger could not be read or written, or ctx ended.
// With Unavailable, tokens may be spent.
func (l *Ledger) Reserve(ctx context.Context, c Call) (Grant, error) {
	if err := l.check(c); err != nil {
		return Grant{}, err
	}
	return l.granted(ctx, l.direct(ctx, c, func(p *page) answer { return p.book(c) }))
}

// ReserveAgain takes tokens of a shard for a call whose grant grew too old before it
// was used; that one stays spent. It asks for no turn: the call had it.
func (l *Ledger) ReserveAgain(ctx context.Context, shard int, c Call) (Grant, error) {
	if err := l.check(c); err != nil {
		return Grant{}, err
	}
	return l.granted(ctx, l.at(ctx, shard, func(p *page) answer {
		switch at := p.room(c); {
		case p.pause != nil:
			return answer{err: p.paused()}
		case at > p.at:
			return answer{err: p.refuse(at)}
		}
		return answer{grants: [][]Grant{{p.take(c)}}}
	}))
}

// check refuses what no ledger could book.
func (l *Ledger) check(c Call) error {
	if c.Cost < 1 || len(c.Caller) > callerBytes {
		return problem.New(problem.Internal, "A call that costs %d, of a caller of %d bytes, cannot be booked.", c.Cost, len(c.Caller))
	}
	if most := min(l.limits.PerMinute, l.limits.PerHour); c.Cost > most {
		return problem.New(problem.InvalidMessage,
			"The message needs %d of the sending quota at once, and the quota is %d. Send it to fewer recipients.", c.Cost, most)
	}
	return nil
}

// granted is the one grant in a, if it can still be used.
func (l *Ledger) granted(ctx context.Context, a answer) (Grant, error) {
	switch {
	case a.err != nil:
		l.stats.refuse(a.err)
		return Grant{}, a.err
	case !a.grants[0][0].Live(l.now()):
		l.unclaimed(ctx, a)
		return Grant{}, unavailable(errors.New("quota booking was answered too late, its tokens are burnt"))
	}
	l.stats.booked.Add(1)
	return a.grants[0][0], nil
}

// book takes c if it fits and nobody waits before it.
func (p *page) book(c Call) answer {
	switch at := p.room(c); {
	case p.pause != nil:
		return answer{err: p.paused()}
	case p.before(c):
		return answer{err: p.refuse(max(at, p.expected(c, p.waiting(c.Class, c.Caller)+c.Cost, 0)))}
	case at > p.at:
		return answer{err: p.refuse(at)}
	}
	return answer{grants: [][]Grant{{p.take(c)}}}
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The sending quota could not be booked, so nothing was sent. Try again.", err)
}

// Shard is the one that gave the grant.
func (g Grant) Shard() int { return g.shard }
