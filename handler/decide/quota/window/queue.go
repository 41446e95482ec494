package window

import (
	"cmp"
	"slices"
	"time"
)

// Class orders waiting messages; a lower one goes first.
type Class int

// The classes.
const (
	High Class = iota
	Normal
	Bulk
)

const (
	// LeaseLife is how long a pump that falls silent keeps its seat.
	LeaseLife = 30 * time.Second
	// JoinGrace is how long after it was counted a message may still be on its way
	// into the table. Whoever takes longer lets it Return.
	JoinGrace = 10 * time.Second
	// comingKept is how many of those a desk remembers, the latest.
	arrivalsKept = 64
	// soonestLook and latestLook are when a pump looks again for what is on its way.
	soonestLook = 500 * time.Millisecond
	latestLook  = 5 * time.Second
	// tickLate is how late a tick may be before another is sent.
	wakeUpLate = 20 * time.Second
	// tickEarly is how early a tick may be, its queue's clock being another's.
	wakeUpEarly = 2 * time.Second
	// LinesKept is how many lines a row holds; whoever wants one more is refused.
	LinesKept = 256
	// CallerBytes bounds a caller's name, so that LinesKept of them fit a row.
	CallerBytes = 96
)

// Line names those who wait for the same: one caller's messages of one class.
// Later ones wait for their time first, in a line of their own.
type Line struct {
	Class  Class
	Caller string
	Later  bool
}

// LineView is a line as the ledger knows it, or as somebody saw it in the table.
type LineView struct {
	Line
	Waiting int
	NextDue time.Time // of a later line; zero if not known
	// Held says that its head, or one that is held, is to be looked at, whether there is
	// room or not: Look is when.
	Held bool
	Look time.Time
}

// line is a Line in a row.
type lineState struct {
	Class   Class   `json:"k,omitempty"`
	Caller  string  `json:"c,omitempty"`
	Later   bool    `json:"l,omitempty"`
	Waiting int     `json:"n,omitempty"`
	Cost    int     `json:"w,omitempty"` // of all that wait
	Due     Instant `json:"d,omitempty"` // of a later line: when its first may go
	Joined  Instant `json:"j,omitempty"` // the last one did
	Nth     int     `json:"i,omitempty"` // of those that joined in the same millisecond
	// Held are those that wait for reasons of their own, not for room: a pause, or a
	// doubt. Look is when something of them is to be done, at a whole second: the clock
	// that decides shows only those.
	Held     int     `json:"h,omitempty"`
	HeldCost int     `json:"e,omitempty"`
	Look     Instant `json:"o,omitempty"`
	Share    int     `json:"s,omitempty"` // as the last one who joined had it
	Cap      int     `json:"x,omitempty"`
	WholeCap int     `json:"y,omitempty"`
	As       Class   `json:"a,omitempty"` // the class in which its calls go, if less urgent
}

func (n lineState) line() Line { return Line{n.Class, n.Caller, n.Later} }

func (n lineState) call() Call {
	return Call{Caller: n.Caller, Class: max(n.Class, n.As), Cost: 1, Share: n.Share, Cap: n.Cap, WholeCap: n.WholeCap}
}

// has notes under what terms the last one who joined, or was seen, may go.
func (n *lineState) setTerms(c Call) {
	n.Share, n.Cap, n.WholeCap, n.As = c.Share, c.Cap, c.WholeCap, 0
	if c.Class > n.Class {
		n.As = c.Class
	}
}

// empty says that the row may forget n.
func (n lineState) empty() bool { return n.Waiting == 0 && n.Due == 0 }

// demand is what waits for tokens at a time: what is scheduled or held does not.
func (n lineState) demand(at Instant) int {
	if n.Later && (n.Due == 0 || n.Due > at) {
		return 0
	}
	if n.Later {
		return 1 // how many are due, only the table knows
	}
	return max(0, n.Cost-n.HeldCost)
}

func (n lineState) view() LineView {
	v := LineView{Line: n.line(), Waiting: n.Waiting}
	if n.Due > 0 {
		v.NextDue = n.Due.Time()
	}
	return v
}

// take lowers the counts by n messages that cost so much. Of those that leave
// unseen, cost is -1: they cost what the line costs on average.
func (n *lineState) remove(messages, cost int) {
	if cost < 0 && n.Waiting > 0 {
		cost = n.Cost * min(messages, n.Waiting) / n.Waiting
	}
	n.Waiting = max(0, n.Waiting-messages)
	n.Cost = max(n.Waiting, n.Cost-max(cost, 0))
	if n.Waiting == 0 {
		n.Cost = 0
	}
	n.Held, n.HeldCost = min(n.Held, n.Waiting), min(n.HeldCost, n.Cost)
}

// desk is what one shard's waiting needs: the lines, and who serves them. A row
// holds its own shard's, and those of shards that are no more.
type Queue struct {
	Shard       int         `json:"shard,omitempty"`
	Lines       []lineState `json:"lines,omitempty"`
	Dispatcher  string      `json:"pump,omitempty"`  // who has the seat
	LeaseEnd    Instant     `json:"until,omitempty"` // and how long, if silent
	WakeUpAt    Instant     `json:"tick,omitempty"`  // when a tick is on its way; 0: none
	JoinedSince bool        `json:"fresh,omitempty"` // somebody joined since the pump last looked
	// Coming are counted, and no pump has seen them in the table. Ticket is the last
	// one that was given out.
	Arriving   []arrival `json:"coming,omitempty"`
	LastTicket int64     `json:"ticket,omitempty"`
}

// coming is a message on its way into the table.
type arrival struct {
	Ticket int64   `json:"t"`
	Class  Class   `json:"k,omitempty"`
	Caller string  `json:"c,omitempty"`
	Later  bool    `json:"l,omitempty"`
	At     Instant `json:"a"`           // it was counted
	Due    Instant `json:"d,omitempty"` // it may go
	Held   bool    `json:"h,omitempty"` // until then for reasons of its own
	Missed bool    `json:"m,omitempty"` // a pump has looked for it in vain
}

func (c arrival) line() Line { return Line{c.Class, c.Caller, c.Later} }

// counted remembers that a message is on its way, and gives it a ticket if it has none:
// a number that no other message of this desk has.
func (q *Queue) announce(c arrival) (ticket int64) {
	if c.Ticket == 0 {
		q.LastTicket = max(q.LastTicket+1, int64(c.At))
		c.Ticket = q.LastTicket
	}
	q.Arriving = append(q.Arriving, c)
	if n := len(q.Arriving) - arrivalsKept; n > 0 {
		q.Arriving = q.Arriving[n:]
	}
	return c.Ticket
}

// arrived forgets those of tickets, which are in the table or have left.
func (q *Queue) arrived(tickets ...int64) {
	q.Arriving = slices.DeleteFunc(q.Arriving, func(c arrival) bool { return slices.Contains(tickets, c.Ticket) })
}

// missed notes that all of a line that are on their way were looked for, and lists
// them. Who takes too long is no longer waited for.
func (q *Queue) missed(name Line, at Instant) (all []arrival) {
	q.Arriving = slices.DeleteFunc(q.Arriving, func(c arrival) bool { return at >= c.At.Add(JoinGrace) })
	for i := range q.Arriving {
		if q.Arriving[i].line() == name {
			q.Arriving[i].Missed = true
			all = append(all, q.Arriving[i])
		}
	}
	return all
}

// ready is how many of a line need nothing but room.
func (q *Queue) ready(n lineState) int {
	missed := 0
	for _, c := range q.Arriving {
		if c.Missed && c.line() == n.line() {
			missed++
		}
	}
	return n.Waiting - n.Held - missed
}

func (q Queue) clone() Queue {
	q.Lines, q.Arriving = slices.Clone(q.Lines), slices.Clone(q.Arriving)
	return q
}

func (q *Queue) leased(at Instant) bool { return q.Dispatcher != "" && q.LeaseEnd > at }

// awaits says that a tick is on its way for what goes at a time, and may still be
// counted on.
func (q *Queue) awaitsWakeUp(goes, at Instant) bool {
	return q.WakeUpAt > 0 && at < q.WakeUpAt.Add(wakeUpLate) && q.WakeUpAt <= max(goes, at).Add(time.Second)
}

func (q *Queue) find(name Line) *lineState {
	for i := range q.Lines {
		if q.Lines[i].line() == name {
			return &q.Lines[i]
		}
	}
	return nil
}

// line finds a line, or adds one where it belongs.
func (q *Queue) lineFor(name Line) *lineState {
	if n := q.find(name); n != nil {
		return n
	}
	q.Lines = append(q.Lines, lineState{Class: name.Class, Caller: name.Caller, Later: name.Later})
	slices.SortFunc(q.Lines, func(a, b lineState) int {
		later := func(n lineState) int {
			if n.Later {
				return 0 // it has waited for its time
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Caller, b.Caller), cmp.Compare(later(a), later(b)))
	})
	return q.find(name)
}

func (q *Queue) dropEmptyLines() {
	q.Lines = slices.DeleteFunc(q.Lines, lineState.empty)
}
