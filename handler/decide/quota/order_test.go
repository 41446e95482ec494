package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// Room that has come belongs to those who wait for it, until a dispatcher has served
// them; only what is more urgent goes before.
func TestNobodyOvertakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		class     quota.Class
		overtakes bool
	}{"high": {quota.High, true}, "normal": {quota.Normal, false}, "bulk": {quota.Bulk, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.Limits{PerMinute: 2, PerHour: 100})
				reserve(t, l, 2)
				waits := quota.Call{Caller: "shop", Class: quota.Normal, Cost: 1}
				if _, place, err := l.ReserveOrJoin(t.Context(), waits, time.Now().Add(time.Hour)); err != nil || place == nil {
					t.Fatalf("place %v, %v", place, err)
				}
				time.Sleep(2 * time.Minute) // both tokens are free again, and nobody dispatchers
				_, err := l.Reserve(t.Context(), quota.Call{Caller: "bank", Class: c.class, Cost: 1})
				if c.overtakes != (err == nil) || err != nil && !problem.Is(err, problem.OverQuota) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
