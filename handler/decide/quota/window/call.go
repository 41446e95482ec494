package window

import "time"

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

	shard       int
	at          Instant // when it was reserved
	probe       bool    // on its fate others wait
	sender      uint32
	senderProbe bool // on its fate others of the sender wait
	healthy     bool
}

// Live says whether the call may be written now.
func (g Grant) Live(now time.Time) bool { return now.Before(g.UseBy) }

// Healthy says whether the ledger was well when the grant was given, so that a
// failure of the call is likely the message's own.
func (g Grant) Healthy() bool { return g.healthy }

// Awaited says whether others wait for what becomes of the call, see Well.
func (g Grant) Awaited() bool { return g.probe || g.senderProbe }

// Shard is the one that gave the grant.
func (g Grant) Shard() int { return g.shard }
