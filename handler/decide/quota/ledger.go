package quota

import (
	"cmp"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/clock"
)

type (
	// Limits are the calls that ACS allows in any 60 s and in any 3,600 s.
	Limits = window.Limits
	// Call is one call to ACS that wants to go.
	Call = window.Call
	// Class orders waiting messages.
	Class = window.Class
	// Grant allows one call to ACS.
	Grant = window.Grant
	// Position is where a message waits.
	Position = window.Position
	// Line names those who wait for the same.
	Line = window.Line
	// LineView is a line as the ledger knows it, or as somebody saw it in the table.
	LineView = window.LineView
	// Opening is what a dispatcher finds at a shard.
	Opening = window.Opening
	// Want is what a dispatcher has read of a line.
	Want = window.Want
	// Overview is what a caller may know of the quota.
	Overview = window.Overview
	// View is what the ledger looked like when it was last seen.
	View = window.View
	// Table is where the ledger is kept.
	Table = row.Table
)

// The classes, the most urgent first.
const (
	High   = window.High
	Normal = window.Normal
	Bulk   = window.Bulk
)

// What window says of time.
const (
	MaxAge     = window.MaxAge
	ClockError = window.ClockError
	LeaseLife  = window.LeaseLife
	JoinGrace  = window.JoinGrace
)

// The limits of a new subscription. Source: learn.microsoft.com, "Service limits
// for Azure Communication Services", section Email, rate limits.
var (
	CustomDomainSend    = Limits{PerMinute: 30, PerHour: 100}
	CustomDomainStatus  = Limits{PerMinute: 60, PerHour: 200}
	ManagedDomainSend   = Limits{PerMinute: 5, PerHour: 10}
	ManagedDomainStatus = Limits{PerMinute: 10, PerHour: 20}
)

// What a dispatcher is told.
var (
	ErrLeaseTaken = window.ErrLeaseTaken
	ErrJoined     = window.ErrJoined
)

// Ledger reserves calls under one limit. It is safe for concurrent use; any number
// of Ledgers, in any number of processes, share its rows.
type Ledger struct {
	rows       *row.Rows
	limits     Limits
	now        func() time.Time
	prefetched prefetched
	turn       int // where this process begins with the shards

	reserved, refused, joined, taken, backoffs atomic.Int64
}

// Options may be left out.
type Options struct {
	// ReservedForHigh is the percentage of the limits that only High may use.
	ReservedForHigh int
	// CallTime is how long a call may take; 0: a minute.
	CallTime time.Duration
	// Clock is storage's, for all that ask the same account; nil: the ledger's own.
	Clock *clock.Clock
}

// New returns the ledger kept in the row called name, or in rows whose names begin
// with it. now is the local clock, read for what has elapsed only, so its times carry a
// monotonic reading. newID returns an id that no other call of any instance returns, of at
// most 64 characters, none a space.
func New(t Table, name string, limits Limits, now func() time.Time, newID func() string, options ...Options) *Ledger {
	terms, server := window.Terms{Limits: limits, CallTime: time.Minute}, clock.New(now)
	for _, o := range options {
		terms.ReservedForHigh, terms.CallTime = o.ReservedForHigh, cmp.Or(o.CallTime, terms.CallTime)
		server = cmp.Or(o.Clock, server)
	}
	h := fnv.New32a()
	h.Write([]byte(newID()))
	l := &Ledger{limits: limits, now: now, turn: int(h.Sum32() >> 1)}
	l.prefetched.of = map[callKey]*demand{}
	l.rows = row.New(t, name, terms, server, newID, l.prefetched.drop)
	return l
}

// Limits are those of the whole ledger.
func (l *Ledger) Limits() Limits { return l.limits }

// check refuses what no ledger could reserve.
func (l *Ledger) check(c Call) error {
	if c.Cost < 1 || len(c.Caller) > window.CallerBytes {
		return problem.New(problem.Internal, "A call that costs %d, of a caller of %d bytes, cannot be reserved.", c.Cost, len(c.Caller))
	}
	if most := min(l.limits.PerMinute, l.limits.PerHour); c.Cost > most {
		return problem.New(problem.InvalidMessage,
			"The message needs %d of the sending quota at once, and the quota is %d. Send it to fewer recipients.", c.Cost, most)
	}
	return nil
}

// refuse counts a refusal.
func (l *Ledger) refuse(err error) error {
	if isOverQuota(err) || problem.Is(err, problem.TooManyQueued) {
		l.refused.Add(1)
	}
	return err
}

func isOverQuota(err error) bool { return problem.Is(err, problem.OverQuota) }
