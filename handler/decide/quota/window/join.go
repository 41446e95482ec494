package window

import (
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// soonestRetry and latestRetry bound the Retry-After of a caller who has too many queued
// messages.
const (
	soonestRetry = time.Minute
	latestRetry  = time.Hour
)

// Position is where a message waits. Its times are storage's.
type Position struct {
	Shard int
	// At is when it joined, or when it is due: its order in its line, to the
	// microsecond.
	At time.Time
	// Ticket is what a dispatcher knows it by, once it is in the table.
	Ticket int64
	// Expected is when it will probably go.
	Expected time.Time
	// WakeUpAt, if not zero, is when a wake-up message for Shard must be seen. The instance that
	// joined must send it: the ledger counts on it.
	WakeUpAt time.Time
}

// Return counts c again in a line of a shard, held until a time: zero if it needs nothing
// but room. ticket is 0 for one that is given out here.
func (d *Draft) Return(shard int, name Line, c Call, ticket int64, until time.Time) Position {
	d.Changed = true
	q := d.queue(shard)
	n := q.lineFor(name)
	n.Waiting, n.Cost = n.Waiting+1, n.Cost+c.Cost
	n.setTerms(c)
	due, held := d.at, !until.IsZero()
	switch {
	case held:
		due = max(InstantOf(until), d.at)
		n.Held, n.HeldCost, n.Look = n.Held+1, n.HeldCost+c.Cost, sooner(n.Look, due.WholeSecond())
	case name.Later:
		n.Due = min(max(n.Due, 1), d.at)
	}
	position := Position{Shard: q.Shard, Ticket: q.announce(arrival{Ticket: ticket, Line: name, At: d.at, Due: due, Held: held})}
	position.WakeUpAt = d.wakeUpAt(q, d.dueAt(q, *n)).Time()
	return position
}

// Leave takes the message with a ticket out of its line.
func (d *Draft) Leave(shard int, name Line, ticket int64) {
	q := d.queue(shard)
	q.arrived(ticket)
	if o := q.find(name); o != nil {
		o.remove(1, -1)
		if o.Waiting == 0 {
			o.Due, o.Look = 0, 0
		}
		q.dropEmptyLines()
		d.Changed = true
	}
}

// Join puts c at the end of its line; with due, not zero, it waits for that time first. Of
// its caller, elsewhere messages wait at other rows. Errors are TooManyQueued, Paused, and
// OverQuota if it is expected to go only after latest, not zero.
func (d *Draft) Join(c Call, elsewhere int, due, latest time.Time) (Position, error) {
	if err := d.TooMany(c, elsewhere); err != nil {
		return Position{}, err
	}
	if d.Pause != nil && d.Pause.Refuse {
		return Position{}, d.paused()
	}
	dueAt := InstantOf(due)
	name := Line{c.Class, c.Caller, dueAt > 0}
	if q := d.queue(d.Shard); q.find(name) == nil && len(q.Lines) >= LinesKept {
		return Position{}, d.overQuota(d.at.Add(time.Minute))
	}
	expected := d.expected(c, d.waiting(c.Class, c.Caller)+c.Cost, dueAt)
	if !latest.IsZero() && expected > InstantOf(latest) {
		return Position{}, d.overQuota(expected)
	}
	position := d.enqueue(name, c, dueAt)
	position.Expected = expected.Time()
	return position, nil
}

func (d *Draft) enqueue(name Line, c Call, due Instant) Position {
	d.Changed = true
	q := d.queue(d.Shard)
	n := q.lineFor(name)
	n.Waiting, n.Cost = n.Waiting+1, n.Cost+c.Cost
	n.setTerms(c)
	held, until := due == 0 && d.Health.senderOpensAt(c.Sender) > d.at, due
	if held {
		until = d.Health.senderOpensAt(c.Sender).WholeSecond()
		n.Held, n.HeldCost, n.Look = n.Held+1, n.HeldCost+c.Cost, sooner(n.Look, until)
	}
	switch {
	case d.at > n.Joined:
		n.Joined, n.Nth = d.at, 0
	default:
		n.Nth++
	}
	position := Position{Shard: d.Shard, At: n.Joined.Time().Add(time.Duration(n.Nth) * time.Microsecond)}
	if due > 0 {
		position.At = due.Time()
		if n.Due == 0 || due < n.Due {
			n.Due = due
		}
	}
	position.Ticket = q.announce(arrival{Line: name, At: d.at, Due: until, Held: held})
	position.WakeUpAt = d.wakeUpAt(q, max(d.fits(c), due)).Time()
	return position
}

// wakeUpAt sets when the next wake-up message must come, so that what joined goes at a time. It
// is 0 if a dispatcher is there or a wake-up message on its way.
func (d *Draft) wakeUpAt(q *Queue, goes Instant) Instant {
	goes = max(goes, d.at)
	switch {
	case q.leased(d.at):
		q.JoinedSince = true
		return 0
	case q.awaitsWakeUp(goes, d.at):
		return 0
	}
	q.WakeUpAt = goes
	return q.WakeUpAt
}

// TooMany is TooManyQueued if as many messages of c's caller wait as may; elsewhere wait at
// other rows.
func (d *Draft) TooMany(c Call, elsewhere int) error {
	if c.MostWaiting == 0 || d.Messages(c.Caller)+elsewhere < c.MostWaiting {
		return nil
	}
	e := problem.New(problem.TooManyQueued, "The limit of %d queued messages is reached. This message was not taken. Send it again after Retry-After.", c.MostWaiting)
	room := time.Duration(max(d.fits(c)-d.now, 0).WholeSecond()) * time.Millisecond
	e.RetryAfter = min(max(room, soonestRetry), latestRetry)
	return e
}

// Messages are those of a caller that wait, for whatever reason.
func (s State) Messages(caller string) (messages int) {
	for _, q := range s.Queues {
		for _, n := range q.Lines {
			if n.Caller == caller {
				messages += n.Waiting
			}
		}
	}
	return messages
}
