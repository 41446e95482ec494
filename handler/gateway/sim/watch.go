package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// Patience is how long a message may wait against which nothing speaks, and how
	// long what has left the lines may be counted as waiting.
	Patience = 10 * time.Second
	// headsWatched are the entries of each line that are looked at.
	headsWatched = 20
	// questions are how many a dispatcher asks at once.
	questions = 8
	// longestClosure is the ledger's, after ACS could not serve.
	longestClosure = time.Minute
	// afterBusy is how long a 429 of ACS may be felt: a minute, twice that if the
	// probe meets another, and then the ramp.
	afterBusy = 4 * time.Minute
	// missing is the ledger's time after which a wake-up message counts as lost, and mending what
	// goes on for a while after a fault.
	missing = 20 * time.Second
	mending = 2 * time.Second
)

// Watch looks again and again whether work goes on with mail from custom domains, until Stop.
// Only worlds whose ledger is one row can be watched.
func (w *World) Watch() *Watcher { return w.WatchDomain(mail.CustomDomain) }

// WatchDomain is Watch for a kind of domain.
func (w *World) WatchDomain(domain mail.DomainKind) *Watcher {
	x := &Watcher{
		w: w, domain: domain, speaks: map[version]time.Time{}, room: map[roomKey]int{}, ready: map[int64]int{},
		sends: gateway.NewSends(w.ledger, w.Limits, time.Now, w.newID)[domain],
		asks:  gateway.NewStatusRequests(w.ledger, w.askLimits(), time.Now, w.newID, nil),
	}
	w.every(2*time.Second, x.look)
	return x
}

// Watcher knows what has waited although nothing spoke against it.
type Watcher struct {
	w           *World
	domain      mail.DomainKind
	sends, asks *quota.Ledger
	room        map[roomKey]int       // as of this look
	probing     bool                  // as of this look: the ledger waits for the end of one call
	doubts      int                   // entries that only wait to be asked about
	ready       map[int64]int         // what the entries of a class cost that only wait for room
	speaks      map[version]time.Time // when something last spoke against an entry
	empty       time.Time             // since when the lines are, and something counts as waiting
	wakeUp      time.Time             // of the wake-up message that the ledger counts on
	armed       time.Time             // since then it does

	mu     sync.Mutex
	faults []string
}

// Faults are what the watcher has seen.
func (x *Watcher) Faults() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.faults
}

func (x *Watcher) fault(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.faults) < 5 {
		x.faults = append(x.faults, fmt.Sprintf(format, args...))
	}
}

func (x *Watcher) look(ctx context.Context) {
	now := time.Now()
	if lost := x.wakeUpIsLost(ctx, now); lost || x.w.disturbed(now) {
		clear(x.speaks)
		x.empty = time.Time{}
		return
	}
	rows := x.heads(ctx)
	clear(x.room)
	clear(x.ready)
	x.doubts, x.probing = 0, len(rows) > 0 && x.probed(ctx, now)
	for _, e := range rows {
		switch entry := entryIn(e); {
		case x.pauses(entry, now) != "":
		case entry.Doubt != spool.NoDoubt:
			x.doubts++
		default:
			x.ready[int64(entry.Line.Class)] += entry.Cost
		}
	}
	seen := map[version]time.Time{}
	for _, e := range rows {
		k := version{store.Key{Partition: e.Partition, Row: e.Row}, e.ETag}
		last, known := x.speaks[k]
		why := x.against(ctx, entryIn(e), now)
		switch {
		case why != "" || !known:
			last = now
		case now.Sub(last) > x.patience():
			row := x.ledgerRow(ctx)
			x.fault("%v: nothing has spoken against this entry since %v: %v\nthe lines: %s\nhow ACS is: %s\nthe last fault: %v; the wake-up message: for %v, since %v", now, last, e.Values, row.Values["queues"], row.Values["health"], x.w.lastFault(), x.wakeUp, x.armed)
			last = now
		}
		seen[k] = last
	}
	x.speaks = seen
	x.counts(ctx, len(rows), now)
}

func (x *Watcher) ledgerRow(ctx context.Context) store.Entity {
	name := [...]string{mail.CustomDomain: "send", mail.ManagedDomain: "send-managed"}[x.domain]
	row, _, _ := x.w.ledger.Get(ctx, name, "ledger") // in memory
	return row
}

// version is an entry as it stands: a process that has changed it was at work on it.
type version struct {
	of   store.Key
	etag store.ETag
}

// patience is Patience and what ten calls of storage take, there and back: a dispatcher
// makes no more of them before a message is in the hands of an owner.
func (x *Watcher) patience() time.Duration { return Patience + 20*x.w.Way }

// wakeUpIsLost says whether the ledger counts on a wake-up message that may have been lost with a
// process or a call, until the watchdog finds it missing.
func (x *Watcher) wakeUpIsLost(ctx context.Context, now time.Time) bool {
	text, _ := x.ledgerRow(ctx).Values["queues"].([]byte)
	var queues []struct{ WakeUpAt int64 }
	if json.Unmarshal(text, &queues) != nil || len(queues) == 0 || queues[0].WakeUpAt == 0 {
		return false
	}
	if at := time.UnixMilli(queues[0].WakeUpAt); !at.Equal(x.wakeUp) {
		x.wakeUp, x.armed = at, now
	}
	return !x.armed.After(x.w.lastFault().Add(mending)) && now.After(x.wakeUp) && now.Before(x.wakeUp.Add(missing+x.w.watchEvery()+polling+30*x.w.Way))
}

// counts looks whether nothing is counted as waiting where nothing waits. What a dead
// process has counted, the watchdog counts off.
func (x *Watcher) counts(ctx context.Context, rows int, now time.Time) {
	u, err := x.sends.Overview(ctx, quota.Call{Class: quota.Normal, Cost: 1})
	switch {
	case err != nil || rows > 0 || u.WaitingAll == 0:
		x.empty = time.Time{}
	case x.empty.IsZero():
		x.empty = now
	case now.Sub(x.empty) > x.patience()+x.w.watchEvery():
		x.fault("%v: %d count as waiting since %v, and the lines are empty", now, u.WaitingAll, x.empty)
		x.empty = now
	}
}

// heads are the first entries of each line of the kind of domain.
func (x *Watcher) heads(ctx context.Context) (all []store.Entity) {
	for after := (store.Key{}); ; {
		rows, _ := x.w.lines.ListBefore(ctx, after, "a", headsWatched) // in memory
		if len(rows) == 0 {
			return all
		}
		line := rows[0].Partition
		for _, e := range rows {
			if e.Partition == line && !strings.HasPrefix(e.Row, "c-") && entryIn(e).Line.Domain == x.domain {
				all = append(all, e)
			}
		}
		after = store.Key{Partition: line + "!"}
	}
}

// entryIn is the queue entry that a row is of.
func entryIn(e store.Entity) (entry spool.Entry) {
	text, _ := e.Values["entry"].(string)
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		panic("sim: a queue entry cannot be read: " + err.Error())
	}
	return entry
}

// pauses is why an entry waits for a time; empty if it does not.
func (x *Watcher) pauses(entry spool.Entry, now time.Time) string {
	switch late := now.Add(-2 * x.w.ClockError); {
	case entry.Due.After(late):
		return "its time has not come"
	case entry.NotBefore.After(late):
		return "it pauses"
	}
	return ""
}

// against is what speaks against an entry's going, or being asked about, now; empty if
// nothing does.
func (x *Watcher) against(ctx context.Context, entry spool.Entry, now time.Time) string {
	if why := x.pauses(entry, now); why != "" {
		return why
	}
	caller, doubt := entry.Line.Caller, entry.Doubt
	switch {
	case x.w.ACS.failing(now):
		return "ACS fails"
	case x.probing:
		return "a call is on its way by which is seen how ACS is"
	case x.w.ACS.crowded(x.w.MaxCalls):
		return "as many calls as may be are on their way"
	}
	if doubt == spool.NoDoubt && x.owned(ctx, caller, entry.ID, now) {
		return "it is in the hands of an owner"
	}
	ledger, call := x.sends, quota.Call{Caller: caller, Cost: entry.Cost, Class: quota.Class(entry.Line.Class)}
	if doubt != spool.NoDoubt {
		ledger, call = x.asks, quota.Call{Cost: 1, Class: quota.High}
	} else if entry.Cap > 0 {
		return "its caller has a cap" // what that leaves is tested where it is known
	}
	switch free := x.free(ctx, ledger, call); {
	case free < call.Cost:
		return "the quota has no room"
	case doubt == spool.NoDoubt && free < x.before(call.Class) && !x.w.ACS.idle(now, Patience/2):
		return "others go first"
	case doubt != spool.NoDoubt && x.doubts > questions && !x.w.ACS.quiet(now, x.patience()):
		return "others are asked about first"
	}
	return ""
}

// probed says whether the ledger has just let one call go, and waits for its end.
func (x *Watcher) probed(ctx context.Context, now time.Time) bool {
	text, _ := x.ledgerRow(ctx).Values["health"].([]byte)
	var health struct {
		Probing bool
		ProbeAt int64
	}
	return json.Unmarshal(text, &health) == nil && health.Probing && now.Before(time.UnixMilli(health.ProbeAt).Add(x.patience()))
}

// before is what all cost that only wait for room, and may go before one of a class.
func (x *Watcher) before(c quota.Class) (cost int) {
	for class, n := range x.ready {
		if class <= int64(c) {
			cost += n
		}
	}
	return cost
}

// free is how many tokens of a class could be reserved, were nobody waiting.
func (x *Watcher) free(ctx context.Context, l *quota.Ledger, c quota.Call) int {
	k := roomKey{l, c.Class}
	n, known := x.room[k]
	if !known {
		if u, err := l.Overview(ctx, c); err == nil {
			n = min(u.RemainingMinute, u.RemainingHour)
		}
		x.room[k] = n
	}
	return n
}

type roomKey struct {
	of    *quota.Ledger
	class quota.Class
}

// owned says whether somebody is just sending a message.
func (x *Watcher) owned(ctx context.Context, caller, id string, now time.Time) bool {
	row, err := x.w.record(ctx, record.OperationID(caller, id))
	r := recordIn(row)
	return err == nil && r.State == record.Sending && now.Before(r.OwnerUntil.Add(Patience))
}

// disturb says that something befalls the gateways that may last until a time, and that
// the watchdog mends then.
func (w *World) disturb(d time.Duration) {
	// A lease falls silent, then a wake-up message is late, then the watchdog comes, and makes its calls.
	mended := d + quota.LeaseLife + missing + w.watchEvery() + polling + 30*w.Way
	w.mu.Lock()
	defer w.mu.Unlock()
	w.struck = time.Now()
	if t := time.Now().Add(mended); t.After(w.calm) {
		w.calm = t
	}
}

// lastFault is when something last befell the gateways.
func (w *World) lastFault() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.struck
}

func (w *World) disturbed(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away.Load() || now.Before(w.calm)
}
