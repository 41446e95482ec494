package gateway_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// With plenty of tokens a message is claimed by its fence. A repeat is sent only if nothing
// was, and hears what the first request heard.
func TestARepeatOfWhatTheFenceClaimed(t *testing.T) {
	t.Parallel()
	const id = "11111111-1111-4111-8111-111111111111"
	for _, c := range []struct {
		name   string
		first  func(*mail.Message) (bool, error) // ACS's answer to the first
		text   string                            // of the repeat
		calls  int                               // to ACS
		want   problem.Kind                      // of the repeat; 0: it is answered
		replay bool
	}{
		{name: "was accepted", text: "one", calls: 1, replay: true},
		{name: "was refused", first: refusal, text: "one", calls: 1, want: problem.RefusedByACS},
		{name: "is another message", text: "two", calls: 1, want: problem.KeyReused},
		{name: "was not taken, so that its id is free", first: func(*mail.Message) (bool, error) {
			return false, problem.New(problem.ACSMisconfigured, "The domain is not linked.")
		}, text: "one", calls: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				warm(t, h)
				send := func(text string) (gateway.Answer, error) {
					req := request(gatewaytest.Small(text))
					req.OperationID = id
					return h.Send(t.Context(), req)
				}
				h.ACS.Answer = c.first
				first, err := send("one")
				if c.first == nil && (err != nil || first.Record.State != record.Accepted) {
					t.Fatalf("the first got %+v, %v", first, err)
				}
				h.ACS.Answer = nil
				got, err := send(c.text)
				if c.want != 0 && !problem.Is(err, c.want) || c.want == 0 && (err != nil || got.Record.State != record.Accepted || got.Replayed != c.replay) {
					t.Errorf("the repeat got %+v, %v", got, err)
				}
				if n := len(h.ACS.Arrivals) - 1; n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

// Of many requests at once with one id, one sends. All hear the same.
func TestRequestsAtOnceWithPlentyOfTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		warm(t, h)
		h.Slow(mem.Insert, 20*time.Millisecond)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				req := request(gatewaytest.Small("one"))
				req.OperationID = "11111111-1111-4111-8111-111111111111"
				if a, err := h.Send(t.Context(), req); err != nil || a.Record.State != record.Accepted {
					t.Errorf("got %+v, %v", a, err)
				}
			})
		}
		all.Wait()
		if n := len(h.ACS.Arrivals) - 1; n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// A fence whose answer is lost is known as our own, even if it could not be read back at once.
func TestAFenceInDoubtIsKnownAsOurs(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]int{"read back at once": 0, "read back by the claim": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var fences, reading int
				w := newWorld(t, sim.Config{Instances: 1, Limits: quota.Limits{PerMinute: 60, PerHour: 600}})
				send := func(key string) {
					a, err := w.Any().Send(t.Context(), shop, key, sim.Message(key, ""))
					if err != nil || a.Replayed || a.Record.State != record.Accepted {
						t.Errorf("got %+v, %v", a, err)
					}
				}
				send("first")
				w.Plan = func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
					switch {
					case s.Op == mem.Insert && s.State == record.Sending:
						fences++
						return sim.Lose
					case s.Where == "records" && s.Op == mem.Get && reading < reads:
						reading++
						return sim.Refuse
					}
					return sim.Pass
				}
				send("second")
				if n := len(w.ACS.Arrivals()); n != 2 || fences != 1 || reading != reads {
					t.Errorf("%d calls, %d fences, %d reads refused", n, fences, reading)
				}
			})
		})
	}
}

// Nothing is given to ACS before it is noted as at work.
func TestNothingGoesThatIsNotNoted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key    string
		limits quota.Limits
	}{
		"with a key, and plenty of tokens": {"key", quota.Limits{PerMinute: 60, PerHour: 600}},
		"with a key, and few tokens":       {"key", quota.Limits{PerMinute: 2, PerHour: 10}},
		"without a key":                    {"", quota.Limits{PerMinute: 60, PerHour: 600}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Instances: 1, Limits: c.limits})
				if _, err := w.Any().Send(t.Context(), shop, "", sim.Message("first", "")); err != nil {
					t.Fatal(err)
				}
				w.Plan = func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
					if s.Where == "records" && s.State == "" && (s.Op == mem.Insert || s.Op == mem.Replace) {
						return sim.Refuse
					}
					return sim.Pass
				}
				a, err := w.Any().Send(t.Context(), shop, c.key, sim.Message("second", ""))
				if n := len(w.ACS.Arrivals()); n != 1 || !problem.Is(err, problem.Unavailable) {
					t.Errorf("%d calls; %+v, %v", n, a, err)
				}
			})
		})
	}
}

// A repeat costs a token only where tokens are plenty.
func TestARepeatTakesNoTokenThatIsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, quota.Limits{PerMinute: 10, PerHour: 100})
		var left []int
		for range 8 {
			req := request(gatewaytest.Small("one"))
			req.OperationID = "11111111-1111-4111-8111-111111111111"
			if _, err := h.Send(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			left = append(left, h.Quota(mail.CustomDomain).RemainingMinute)
		}
		if want := []int{9, 8, 7, 6, 5, 5, 5, 5}; !slices.Equal(left, want) || len(h.ACS.Arrivals) != 1 {
			t.Errorf("left %v, want %v; %d calls", left, want, len(h.ACS.Arrivals))
		}
	})
}

// warm lets a process know the ledger.
func warm(t *testing.T, h *gatewaytest.Harness) {
	t.Helper()
	if _, err := h.Send(t.Context(), request(gatewaytest.Small("warm"))); err != nil {
		t.Fatal(err)
	}
}
