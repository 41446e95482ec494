package quota_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// What each call of a paused ledger answers. What is in hand may be given back.
func TestAPausedLedger(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse %t", refuse), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}}
				l := newLedger(f, quota.CustomDomainSend)
				g, err := l.Reserve(t.Context(), costing(1))
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Pause(t.Context(), "a drill", refuse); err != nil {
					t.Fatal(err)
				}
				other := newLedger(f, quota.CustomDomainSend) // another process
				call := quota.Call{Caller: "shop", Class: quota.Normal, Cost: 1}
				_, reserve := other.Reserve(t.Context(), call)
				_, renew := l.ReserveAgain(t.Context(), g.Shard(), call)
				_, place, join := other.ReserveOrJoin(t.Context(), call, time.Time{})
				_, later := other.Join(t.Context(), call, time.Now().Add(time.Hour), time.Time{})
				for name, err := range map[string]error{"reserve": reserve, "renew": renew} {
					if !problem.Is(err, problem.Paused) || problem.Of(err).RetryAfter == 0 {
						t.Errorf("%s: %v", name, err)
					}
				}
				if refuse != problem.Is(join, problem.Paused) || refuse != problem.Is(later, problem.Paused) || refuse != (place == nil) {
					t.Errorf("join: %+v, %v; later: %v", place, join, later)
				}
				if !other.Busy(call) {
					t.Error("it does not look busy")
				}
				if v := other.View(); v.RemainingMinute != 0 || v.ResetHour < 60 {
					t.Errorf("View %+v", v)
				}
				if _, err := l.Return(t.Context(), 0, quota.Line{Class: quota.Normal, Caller: "shop"}, call, 0, time.Time{}); err != nil {
					t.Errorf("return: %v", err)
				}
				u, err := other.Overview(t.Context(), call)
				if err != nil || u.Pause == nil || u.Pause.Reason != "a drill" || u.Pause.Refuse != refuse {
					t.Errorf("%+v, %v", u.Pause, err)
				}
				for range 2 {
					if err := other.Resume(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if shards, err := l.Overdue(t.Context(), nil); err != nil || len(shards) != 1 {
					t.Errorf("to be woken: %v, %v", shards, err)
				}
				if _, err := l.ReserveAgain(t.Context(), 0, call); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

// A reason is one line, and not longer than a terminal shows.
func TestTheReasonOfAPause(t *testing.T) {
	t.Parallel()
	long := make([]byte, problem.MaxReasonRunes+1)
	for i := range long {
		long[i] = 'a'
	}
	for name, c := range map[string]struct {
		reason string
		good   bool
	}{
		"none": {"", true}, "as long as may be": {string(long[1:]), true}, "too long": {string(long), false},
		"two lines": {"a\nb", false}, "no UTF-8": {"\xff", false}, "blanks around it": {" a ", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
			err := l.Pause(t.Context(), c.reason, false)
			if (err == nil) != c.good || err != nil && !problem.Is(err, problem.InvalidRequest) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A pause holds over all rows, for what was leased too, and when the limits, and with them
// the rows, change in its course.
func TestAPauseHoldsOverAllRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after quota.Limits
	}{
		{"one row", forms[0], forms[0]},
		{"many rows", forms[3], forms[3]},
		{"one becomes many", forms[0], forms[3]},
		{"many become one", forms[3], forms[0]},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancel(t.Context())
				newID, r := ids(), &tableRow{}
				process := func(limits quota.Limits) *quota.Ledger {
					return quota.New(&instanceTable{tableRow: r, way: func() time.Duration { return 5 * time.Millisecond }}, "send", limits, time.Now, newID)
				}
				var paused, late, used atomic.Int64 // Unix ns; calls
				send := func(l *quota.Ledger) {
					for ctx.Err() == nil {
						g, err := l.Reserve(ctx, costing(1))
						switch since := paused.Load(); {
						case err != nil || !g.Live(time.Now()):
						case since > 0 && time.Since(time.Unix(0, since)) > 10*time.Second:
							late.Add(1)
						default:
							used.Add(1)
						}
						if time.Sleep(20 * time.Millisecond); err != nil {
							time.Sleep(time.Second)
						}
					}
				}
				for range 3 {
					go send(process(c.before))
				}
				time.Sleep(10 * time.Second)
				operator := process(c.before)
				if err := operator.Pause(ctx, "", false); err != nil {
					t.Fatal(err)
				}
				paused.Store(time.Now().UnixNano())
				time.Sleep(11 * time.Minute) // a layout lasts ten
				next := process(c.after)
				go send(next)
				go func() {
					for ctx.Err() == nil {
						_, _ = next.Overdue(ctx, nil) // the timer, which changes the layout
						time.Sleep(time.Minute)
					}
				}()
				time.Sleep(5 * time.Minute)
				if late.Load() > 0 || used.Load() == 0 {
					t.Errorf("%d calls before the pause, %d later than 10 s after it began", used.Load(), late.Load())
				}
				paused.Store(0)
				if err := operator.Resume(ctx); err != nil {
					t.Fatal(err)
				}
				before := used.Load()
				time.Sleep(10 * time.Second)
				if used.Load() == before {
					t.Error("nothing goes after the pause")
				}
				end()
				time.Sleep(10 * time.Minute)
			})
		})
	}
}
