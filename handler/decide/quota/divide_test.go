package quota_test

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

// wanting is a line with so many calls of one token.
func wanting(caller string, class quota.Class, n, share, most int) quota.Want {
	w := quota.Want{Line: quota.Line{Class: class, Caller: caller}, Complete: true}
	for range n {
		w.Calls = append(w.Calls, quota.Call{Cost: 1, Share: share, Cap: most})
	}
	return w
}

// One look of a dispatcher gives every caller its part of a hundred tokens: first the
// guaranteed shares, then to each by its weight, where those without a share divide
// what the shares leave.
func TestHowOneLookDividesTheRoom(t *testing.T) {
	t.Parallel()
	const flood = 200
	for _, c := range []struct {
		name  string
		wants []quota.Want
		got   map[string]int
	}{
		{"two alike", []quota.Want{wanting("a", quota.Normal, flood, 0, 0), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 50, "b": 50}},
		{"one that wants little", []quota.Want{wanting("a", quota.Normal, 10, 0, 0), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 10, "b": 90}},
		{"a share, and one without", []quota.Want{wanting("a", quota.Normal, flood, 20, 0), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 20, "b": 80}},
		{"a share, and two without", []quota.Want{wanting("a", quota.Normal, flood, 20, 0), wanting("b", quota.Normal, flood, 0, 0), wanting("c", quota.Normal, flood, 0, 0)}, map[string]int{"a": 20, "b": 40, "c": 40}},
		{"a share, and three without of whom two want little", []quota.Want{
			wanting("a", quota.Normal, flood, 20, 0), wanting("b", quota.Normal, flood, 0, 0), wanting("c", quota.Normal, 2, 0, 0), wanting("d", quota.Normal, 2, 0, 0),
		}, map[string]int{"a": 41, "b": 55, "c": 2, "d": 2}}, // 20 to a third of 80
		{"two shares weigh", []quota.Want{wanting("a", quota.Normal, flood, 50, 0), wanting("b", quota.Normal, flood, 25, 0)}, map[string]int{"a": 67, "b": 33}},
		{"shares of all leave nothing", []quota.Want{wanting("a", quota.Normal, flood, 70, 0), wanting("b", quota.Normal, flood, 30, 0), wanting("c", quota.Normal, flood, 0, 0)}, map[string]int{"a": 70, "b": 30}},
		{"a share that is not wanted", []quota.Want{wanting("a", quota.Normal, 5, 70, 0), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 5, "b": 95}},
		{"shares of more than all leave a little", []quota.Want{
			wanting("a", quota.Normal, 5, 70, 0), wanting("b", quota.Normal, flood, 60, 0), wanting("c", quota.Normal, flood, 0, 0),
		}, map[string]int{"a": 5, "b": 93, "c": 2}},
		{"a cap", []quota.Want{wanting("a", quota.Normal, flood, 0, 25), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 25, "b": 75}},
		{"a cap, alone", []quota.Want{wanting("a", quota.Normal, flood, 0, 25)}, map[string]int{"a": 25}},
		{"a share and a cap", []quota.Want{wanting("a", quota.Normal, flood, 60, 60), wanting("b", quota.Normal, flood, 0, 0)}, map[string]int{"a": 60, "b": 40}},
		{"high before normal before bulk", []quota.Want{wanting("a", quota.Bulk, flood, 0, 0), wanting("b", quota.Normal, 30, 0, 0), wanting("c", quota.High, 20, 0, 0)}, map[string]int{"a": 50, "b": 30, "c": 20}},
		{"a class of its own has its own weights", []quota.Want{
			wanting("a", quota.High, 10, 0, 0), wanting("b", quota.Normal, flood, 20, 0), wanting("c", quota.Normal, flood, 0, 0),
		}, map[string]int{"a": 10, "b": 20, "c": 70}},
		{"nobody overtakes high", []quota.Want{wanting("a", quota.Normal, flood, 90, 0), wanting("b", quota.High, flood, 0, 0)}, map[string]int{"b": 100}},
		{"a cap lets the next class go", []quota.Want{wanting("a", quota.High, flood, 0, 10), wanting("b", quota.Bulk, flood, 0, 0)}, map[string]int{"a": 10, "b": 90}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.Limits{PerMinute: 100, PerHour: 100})
				for _, w := range c.wants {
					for _, call := range w.Calls {
						call.Caller, call.Class = w.Caller, w.Class
						if _, err := l.Join(t.Context(), call, time.Time{}, time.Time{}); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(time.Second)
				if _, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil {
					t.Fatalf("Open: %t, %v", ok, err)
				}
				grants, _, err := l.Take(t.Context(), 0, "dispatcher", c.wants)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]int{}
				for i, w := range c.wants {
					if n := len(grants[i]); n > 0 {
						got[w.Caller] = n
					}
				}
				if !maps.Equal(got, c.got) {
					t.Errorf("granted %v, want %v", got, c.got)
				}
			})
		})
	}
}
