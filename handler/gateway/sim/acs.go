package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Upstream is how ACS counts calls.
type Upstream int

// The ways of counting.
const (
	Sliding Upstream = iota // over the last minute and the last hour
	Fixed                   // in minutes and hours that begin when ACS likes
	Open                    // not at all
)

// ACS is an ACS that keeps what arrives. It refuses messages with the subject `refused`,
// and does not know the sender of those with the subject `stranger`.
type ACS struct {
	w     *World
	phase time.Duration // of fixed windows

	mu       sync.Mutex
	asked    time.Time      // the last question
	arrivals [2][]time.Time // by mail.DomainKind, each in order
	busy     int            // answers 429
	open     int            // calls that have no answer yet
	most     int            // of them at one time
	ops      map[string]*operation
	doubled  []string // operations that were sent twice
	unshown  []string // those whose record had not said unknown before
	down     bool
	foreign  int       // of 100 calls of the limit, those that somebody else uses
	failed   time.Time // when a call last failed
	refused  time.Time // when a call last had no room
	fails    int       // calls in a row that did
}

type operation struct {
	subject string
	at      time.Time
	sent    int
}

func newACS(w *World) *ACS {
	return &ACS{w: w, phase: w.upTo(time.Hour), ops: map[string]*operation{}}
}

// Down lets every call fail, or no longer.
func (a *ACS) Down(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// line is ACS as one instance reaches it.
type line struct{ i *Instance }

// Size is near enough.
func (l *line) Size(m *mail.Message) int64 { return int64(m.Bytes()) }

var errNoAnswer = errors.New("no answer")

func (l *line) Send(ctx context.Context, id string, m *mail.Message, again bool) error {
	l.i.w.ACS.opened(1)
	defer l.i.w.ACS.opened(-1)
	err := l.send(ctx, id, m, again)
	if !problem.Is(err, problem.RefusedByACS) && !errors.Is(err, gateway.ErrRepeat) && !errors.Is(err, gateway.ErrSender) {
		l.i.w.ACS.told(err)
	}
	return err
}

func (l *line) send(ctx context.Context, id string, m *mail.Message, again bool) error {
	i, a := l.i, l.i.w.ACS
	site := Site{Where: "acs", Op: Offer}
	i.w.count(site)
	f := Pass
	if i.w.Plan != nil {
		f = i.w.Plan(i, site, id)
	}
	if err := i.travel(ctx, 0); err != nil {
		return problem.Wrap(problem.ACSFailed, "not reached", err)
	}
	if f == KillBefore {
		i.Kill()
		return problem.Wrap(problem.ACSFailed, "not reached", errKilled)
	}
	if f == Freeze { // between the last look at the clock and the first byte
		i.Freeze(freeze)
		if err := i.travel(ctx, 0); err != nil {
			return problem.Wrap(problem.ACSFailed, "not reached", err)
		}
	}
	// From here the network has it. What the clocks leave of the budget, the request
	// may need.
	way := i.w.UpTo(2 * (quota.ClockError - i.w.ClockError))
	if i.w.Quick {
		way = 0
	}
	if err := sleep(ctx, way); err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrDoubt, err)
	}
	if f == Refuse {
		return fmt.Errorf("%w: %w", gateway.ErrFailing, errNoAnswer)
	}
	err := a.take(id, m, again)
	switch f {
	case KillAfter:
		i.Kill()
		return fmt.Errorf("%w: %w", gateway.ErrDoubt, errKilled)
	case Lose, Repeat:
		return fmt.Errorf("%w: %w", gateway.ErrDoubt, errNoAnswer)
	case Stall:
		if err := sleep(ctx, 2*time.Minute); err != nil {
			return fmt.Errorf("%w: %w", gateway.ErrDoubt, err)
		}
	}
	answer := i.w.ACSTime
	if i.w.Quick {
		answer = 0
	}
	if travelled := i.travel(ctx, answer); travelled != nil {
		return fmt.Errorf("%w: %w", gateway.ErrDoubt, travelled)
	}
	return err
}

func (a *ACS) opened(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open += n
	a.most = max(a.most, a.open)
}

// told is what a call has shown of ACS.
func (a *ACS) told(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.fails = 0
		return
	}
	a.fails++
	a.failed = time.Now()
}

// failing says whether ACS does not serve, or did not until a while ago. A few calls that
// fail prove nothing.
func (a *ACS) failing(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	closed := min(4*time.Second<<min(a.fails, 6), longestClosure)
	return a.down || a.fails >= severalFail && now.Before(a.failed.Add(closed)) || now.Before(a.refused.Add(afterBusy))
}

// idle says whether no message has come for so long.
func (a *ACS) idle(now time.Time, d time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.arrivals {
		if n := len(at); n > 0 && now.Sub(at[n-1]) <= d {
			return false
		}
	}
	return true
}

// severalFail is how many calls fail in a row before the ledger closes, at least.
const severalFail = 3

// quiet says whether no question has come for so long.
func (a *ACS) quiet(now time.Time, d time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Sub(a.asked) > d
}

// crowded says whether as many calls are under way as one instance may make.
func (a *ACS) crowded(most int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open >= cmp.Or(most, 64)
}

// Most is how many calls there were at one time.
func (a *ACS) Most() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most
}

// take is the arrival of a message.
func (a *ACS) take(id string, m *mail.Message, again bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return problem.New(problem.ACSFailed, "ACS is away.")
	}
	now := time.Now()
	domain := mail.DomainKindOf(m.SenderAddress)
	a.arrivals[domain] = append(a.arrivals[domain], now)
	if wait := a.full(domain, now); wait > 0 {
		a.busy++
		a.refused = now
		p := problem.New(problem.ACSBusy, "wait")
		p.RetryAfter = wait
		return p
	}
	switch m.Content.Subject {
	case "refused":
		return problem.New(problem.RefusedByACS, "no")
	case "stranger":
		return problem.Wrap(problem.ACSMisconfigured, "ACS does not know the sender.", gateway.ErrSender)
	}
	op, known := a.ops[id]
	if known && !a.w.Forgetful {
		if again {
			return gateway.ErrRepeat
		}
		return problem.New(problem.RefusedByACS, "The Message-ID is a duplicate.")
	}
	if !known {
		op = &operation{subject: m.Content.Subject, at: now}
		a.ops[id] = op
	}
	op.sent++
	if op.sent > 1 {
		a.doubled = append(a.doubled, id)
		if _, shown := a.w.unknown.Load(id); !shown {
			a.unshown = append(a.unshown, id)
		}
	}
	return nil
}

// full is how long a call must wait that ACS counts as one too many of its kind of domain.
func (a *ACS) full(domain mail.DomainKind, now time.Time) time.Duration {
	limits, arrivals := a.w.limits(domain), a.arrivals[domain]
	for _, w := range []struct {
		limit int
		width time.Duration
	}{{limits.PerMinute, time.Minute}, {limits.PerHour, time.Hour}} {
		if w.limit = w.limit * (100 - a.foreign) / 100; w.limit == 0 {
			return w.width
		}
		begin := now.Add(-w.width)
		switch a.w.Upstream {
		case Open:
			return 0
		case Fixed:
			begin = now.Add(a.phase).Truncate(w.width).Add(-a.phase)
		}
		n, _ := slices.BinarySearchFunc(arrivals, begin, time.Time.Compare)
		if len(arrivals)-n > w.limit {
			return max(time.Second, begin.Add(w.width).Sub(now))
		}
	}
	return 0
}

// Fate tells what ACS knows.
func (l *line) Fate(ctx context.Context, id string) (f gateway.Fate, err error) {
	a := l.i.w.ACS
	err = l.i.call(ctx, Site{Where: "acs", Op: Ask}, id, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = time.Now()
		if a.down {
			return errNoAnswer
		}
		op, there := a.ops[id]
		f.Known = there && time.Since(op.at) >= cmp.Or(a.w.Shown, 3*time.Second)
		f.Ended = f.Known
		return nil
	})
	return f, err
}

// Arrivals are the times of all calls, in order.
func (a *ACS) Arrivals() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Concat(a.arrivals[:]...)
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// ArrivalsFrom are those of one kind of domain.
func (a *ACS) ArrivalsFrom(domain mail.DomainKind) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.arrivals[domain])
}

// Busy is how often ACS has answered 429.
func (a *ACS) Busy() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busy
}

// Foreign lets somebody else use so many of 100 calls of the limit.
func (a *ACS) Foreign(percent int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.foreign = percent
}

// Sent is when a message was first taken; false if it never was.
func (a *ACS) Sent(operationID string) (at time.Time, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if op, ok := a.ops[operationID]; ok {
		return op.at, op.sent
	}
	return time.Time{}, 0
}
