package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

// What a message that waits is promised comes true: for callers with a cap or a
// share, in every class, beside others. The forecasts of a cap and of the limit
// know nothing of each other: where others take the whole hour while a cap holds a
// message back, it goes when the next hour has room. Nor does the place in line
// know that a share goes first: the message then goes sooner.
func TestWhatIsPromisedComesTrue(t *testing.T) {
	t.Parallel()
	const prompt = 15 * time.Second // for wake-up messages and for the calls before
	for _, c := range []struct {
		name   string
		call   quota.Call
		before []int // messages, seven minutes apart
		n      int
		other  quota.Call // whose messages come first
		others int
		// How much sooner or later than it was promised a message may go; 0 is promptly.
		sooner, later time.Duration
	}{
		{"no rule", quota.Call{}, nil, 250, quota.Call{}, 0, 0, 0},
		{"a cap", quota.Call{Cap: 20}, nil, 70, quota.Call{}, 0, 0, 0},
		{"a cap of one message", quota.Call{Cap: 1}, nil, 4, quota.Call{}, 0, 0, 0},
		{"a cap, just reached", quota.Call{Cap: 20}, nil, 20, quota.Call{}, 0, 0, 0},
		{"a cap, passed by one", quota.Call{Cap: 20}, nil, 21, quota.Call{}, 0, 0, 0},
		{"a cap, passed by one round", quota.Call{Cap: 20}, nil, 40, quota.Call{}, 0, 0, 0},
		{"a cap, passed by one round and one", quota.Call{Cap: 20}, nil, 41, quota.Call{}, 0, 0, 0},
		{"a cap, partly used", quota.Call{Cap: 20}, []int{5, 7, 3}, 60, quota.Call{}, 0, 0, 0},
		{"a cap that was used whole", quota.Call{Cap: 20}, []int{5, 7, 8}, 60, quota.Call{}, 0, 0, 0},
		{"a cap that was used long since", quota.Call{Cap: 20}, []int{9, 0, 0, 0, 0, 0, 0, 0, 4, 0}, 60, quota.Call{}, 0, 0, 0},
		{"a part of a caller with a cap", quota.Call{WholeCap: 20}, nil, 70, quota.Call{}, 0, 0, 0},
		{"a part with a cap, of a caller with another", quota.Call{Cap: 10, WholeCap: 20}, nil, 35, quota.Call{}, 0, 0, 0},
		{"no rule beside a flood of a part with a cap", quota.Call{}, nil, 60, quota.Call{WholeCap: 20}, 90, 0, 0},
		{"a cap beside a flood", quota.Call{Cap: 20}, nil, 60, quota.Call{}, 90, 0, 0},
		{"no rule beside a flood with a cap", quota.Call{}, nil, 60, quota.Call{Cap: 20}, 90, 0, 0},
		{"a share", quota.Call{Share: 20}, nil, 250, quota.Call{}, 0, 0, 0},
		{"a share beside a flood", quota.Call{Share: 20}, nil, 60, quota.Call{}, 300, 3 * time.Minute, 0},
		{"no rule beside a flood with a share", quota.Call{}, nil, 60, quota.Call{Share: 20}, 300, 0, 0},
		{"a share and a cap beside a flood", quota.Call{Share: 20, Cap: 30}, nil, 60, quota.Call{}, 300, 3 * time.Minute, time.Hour},
		{"high beside bulk", quota.Call{Class: quota.High}, nil, 60, quota.Call{Class: quota.Bulk}, 300, 0, 0},
		{"bulk beside high", quota.Call{Class: quota.Bulk}, nil, 60, quota.Call{Class: quota.High}, 300, 0, 0},
		{"high with a cap beside bulk", quota.Call{Class: quota.High, Cap: 20}, nil, 60, quota.Call{Class: quota.Bulk}, 300, 0, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, 1, quota.CustomDomainSend)
				defer o.end()
				go o.timer()
				c.call.Caller, c.call.Cost, c.other.Caller, c.other.Cost = "shop", 1, "other", 1
				for _, call := range []*quota.Call{&c.call, &c.other} {
					if call.WholeCap > 0 {
						call.Caller += "/contact"
					}
				}
				for range c.others {
					o.offer(o.one(), c.other)
				}
				total := c.n
				for _, n := range c.before {
					for range n {
						o.offer(o.one(), c.call)
					}
					time.Sleep(7 * time.Minute)
					total += n
				}
				for range c.n {
					o.offer(o.one(), c.call)
				}
				time.Sleep(30 * time.Hour)
				went := 0
				for _, s := range o.sorted() {
					if s.call.Caller != c.call.Caller {
						continue
					}
					went++
					if s.expected.IsZero() {
						continue // it went at once
					}
					if off := s.at.Sub(s.expected); off > prompt+c.later || off < -prompt-c.sooner {
						t.Errorf("message %d, which joined at %v, was promised for %v and went at %v", went, s.joined, s.expected, s.at)
					}
				}
				if went != total || o.waiting() != 0 {
					t.Errorf("%d of %d went, %d wait", went, total, o.waiting())
				}
			})
		})
	}
}
