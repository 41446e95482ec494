package emulator

import (
	"slices"
	"sync"
	"time"
)

// Limit is how many calls of one sort a subscription may make; 0 means any
// number.
type Limit struct{ PerMinute, PerHour int }

// Limits of a subscription.
type Limits struct{ Send, Status Limit }

// The limits of a new subscription.
// Source: learn.microsoft.com, "Service limits for Azure Communication
// Services", section Email.
var (
	CustomDomain  = Limits{Send: Limit{30, 100}, Status: Limit{60, 200}}
	ManagedDomain = Limits{Send: Limit{5, 10}, Status: Limit{10, 20}}
)

// Window says how calls are counted. Azure does not document which it is.
type Window int

const (
	// WindowSliding counts the calls of the last minute and hour.
	WindowSliding Window = iota
	// WindowFixed counts anew at each full minute and hour.
	WindowFixed
)

// limiter counts the calls of one sort.
type limiter struct {
	limit        Limit
	window       Window
	countRefused bool

	mu    sync.Mutex
	calls []time.Time // those that count, in order, at most an hour old
}

// take counts a call at the time at, or refuses it. The hour is looked at
// first, because its wait is the longer one.
func (l *limiter) take(at time.Time) *refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = l.calls[l.since(at, time.Hour):]
	var refused *refusal
	if wait := l.wait(at, time.Hour, l.limit.PerHour); wait > 0 {
		refused = tooMany("Hour", wait)
	} else if wait := l.wait(at, time.Minute, l.limit.PerMinute); wait > 0 {
		refused = tooMany("Minute", wait)
	}
	if refused == nil || l.countRefused {
		// Calls come in parallel, so a later one may be counted first.
		i, _ := slices.BinarySearchFunc(l.calls, at, time.Time.Compare)
		l.calls = slices.Insert(l.calls, i, at)
	}
	return refused
}

// wait returns how long until a window of this length has room; 0 means now.
func (l *limiter) wait(at time.Time, length time.Duration, limit int) time.Duration {
	if limit == 0 {
		return 0
	}
	first, whole := l.since(at, length), at.Truncate(length)
	if l.window == WindowFixed {
		first, _ = slices.BinarySearchFunc(l.calls, whole, time.Time.Compare)
	}
	if len(l.calls)-first < limit {
		return 0
	}
	if l.window == WindowFixed {
		return whole.Add(length).Sub(at)
	}
	return l.calls[len(l.calls)-limit].Add(length).Sub(at)
}

// since is the index of the first call of the last length before at.
func (l *limiter) since(at time.Time, length time.Duration) int {
	start := at.Add(-length + 1) // a call exactly one length ago no longer counts
	i, _ := slices.BinarySearchFunc(l.calls, start, time.Time.Compare)
	return i
}

func (l *limiter) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = nil
}
