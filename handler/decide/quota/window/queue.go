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
	// LeaseLife is how long a dispatcher that falls silent keeps its lease.
	LeaseLife = 30 * time.Second
	// JoinGrace is how long after it was counted a message may still be on its way
	// into the table. A message that takes longer is to Return.
	JoinGrace = 10 * time.Second
	// arrivalsKept is how many of those a queue remembers, the latest.
	arrivalsKept = 64
	// soonestLook and latestLook are when a dispatcher looks again for what is on its way.
	soonestLook = 500 * time.Millisecond
	latestLook  = 5 * time.Second
	// wakeUpLate is how late a wake-up message may be before another is sent.
	wakeUpLate = 20 * time.Second
	// wakeUpEarly is how early a wake-up message may be, its queue's clock being another's.
	wakeUpEarly = 2 * time.Second
	// LinesKept is how many lines a row holds; one more is refused.
	LinesKept = 256
	// CallerBytes bounds a caller's name, so that LinesKept of them fit a row.
	CallerBytes = 96
)

// Line names those who wait for the same: one caller's messages of one class.
// Later ones wait for their time first, in a line of their own.
type Line struct {
	Class  Class  `json:"k,omitempty"`
	Caller string `json:"c,omitempty"`
	Later  bool   `json:"l,omitempty"`
}

// LineView is a line as the ledger knows it, or as somebody saw it in the table.
type LineView struct {
	Line
	Waiting int
	NextDue time.Time // of a later line; zero if not known
	// Held says that its first message, or one that is held, is to be looked at, whether there is
	// room or not: Look is when.
	Held bool
	Look time.Time
}

// lineState is a Line in a row.
type lineState struct {
	Line
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

func (n lineState) call() Call {
	return Call{Caller: n.Caller, Class: max(n.Class, n.As), Cost: 1, Share: n.Share, Cap: n.Cap, WholeCap: n.WholeCap}
}

// setTerms notes under what terms the last one who joined, or was seen, may go.
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
	v := LineView{Line: n.Line, Waiting: n.Waiting}
	if n.Due > 0 {
		v.NextDue = n.Due.Time()
	}
	return v
}

// remove lowers the counts by n messages that cost so much. Of those that leave
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

// Queue is what one shard's waiting needs: the lines, and who serves them. A row
// holds its own shard's, and those of shards that are no more.
type Queue struct {
	Shard       int         `json:"shard,omitempty"`
	Lines       []lineState `json:"lines,omitempty"`
	Dispatcher  string      `json:"dispatcher,omitempty"`  // who has the lease
	LeaseEnd    Instant     `json:"leaseEnd,omitempty"`    // and how long, if silent
	WakeUpAt    Instant     `json:"wakeUpAt,omitempty"`    // when a wake-up message is on its way; 0: none
	JoinedSince bool        `json:"joinedSince,omitempty"` // somebody joined since the dispatcher last looked
	// Arriving are counted, and no dispatcher has seen them in the table. Ticket is the last
	// one that was given out.
	Arriving   []arrival `json:"arriving,omitempty"`
	LastTicket int64     `json:"lastTicket,omitempty"`
}

// arrival is a message on its way into the table.
type arrival struct {
	Ticket int64 `json:"t"`
	Line
	At     Instant `json:"a"`           // it was counted
	Due    Instant `json:"d,omitempty"` // it may go
	Held   bool    `json:"h,omitempty"` // until then for reasons of its own
	Missed bool    `json:"m,omitempty"` // a dispatcher has looked for it in vain
}

// announce remembers that a message is on its way, and gives it a ticket if it has none:
// a number that no other message of this queue has.
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
// them. One that takes too long is no longer waited for.
func (q *Queue) missed(name Line, at Instant) (all []arrival) {
	q.Arriving = slices.DeleteFunc(q.Arriving, func(c arrival) bool { return at >= c.At.Add(JoinGrace) })
	for i := range q.Arriving {
		if q.Arriving[i].Line == name {
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
		if c.Missed && c.Line == n.Line {
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

// awaitsWakeUp says that a wake-up message is on its way for what goes at a time, and may still be
// counted on.
func (q *Queue) awaitsWakeUp(goes, at Instant) bool {
	return q.WakeUpAt > 0 && at < q.WakeUpAt.Add(wakeUpLate) && q.WakeUpAt <= max(goes, at).Add(time.Second)
}

func (q *Queue) find(name Line) *lineState {
	for i := range q.Lines {
		if q.Lines[i].Line == name {
			return &q.Lines[i]
		}
	}
	return nil
}

// lineFor finds a line, or adds one where it belongs.
func (q *Queue) lineFor(name Line) *lineState {
	if n := q.find(name); n != nil {
		return n
	}
	q.Lines = append(q.Lines, lineState{Line: name})
	slices.SortFunc(q.Lines, func(a, b lineState) int {
		later := 1
		if a.Later { // it has waited for its time
			later = -1
		}
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Caller, b.Caller), later)
	})
	return q.find(name)
}

func (q *Queue) dropEmptyLines() {
	q.Lines = slices.DeleteFunc(q.Lines, lineState.empty)
}
