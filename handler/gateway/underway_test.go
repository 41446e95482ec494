package gateway_test

import (
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

const one = "11111111-1111-4111-8111-111111111111"

// named sends a message under an id.
func named(t *testing.T, h *gatewaytest.Harness, body string) (gateway.Answer, error) {
	t.Helper()
	req := request(body)
	req.OperationID = one
	return h.Send(t.Context(), req)
}

// A repeat that comes while the first is at work waits for its end, and hears that; of one
// that was not sent it makes another try. Another message under the id is refused as
// long as there is one.
func TestARepeatOfWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	busy := problem.New(problem.ACSBusy, "ACS asks to wait.")
	for _, c := range []struct {
		name     string
		err      error // of ACS
		replayed bool
		ends     record.State
		calls    int
	}{
		{"the first is sent", nil, true, record.Accepted, 1},
		{"the first is refused by ACS", problem.New(problem.RefusedByACS, "no"), true, record.Failed, 1},
		{"the first is not sent", busy, false, record.Failed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				body := gatewaytest.Refusing(gatewaytest.Small("one"))
				h.ACS.Answer = func(*mail.Message) (bool, error) { time.Sleep(2 * time.Second); return c.err == nil, c.err }
				go func() { _, _ = named(t, h, body) }()
				time.Sleep(time.Second)
				if _, err := named(t, h, gatewaytest.Small("two")); !problem.Is(err, problem.KeyReused) {
					t.Errorf("another message got %v", err)
				}
				answer, err := named(t, h, body)
				if answer.Replayed != c.replayed || c.err == nil && (err != nil || answer.Record.State != c.ends) {
					t.Errorf("the repeat got %+v, %v", answer.Record, err)
				}
				if c.err != nil && problem.Of(err).Kind != problem.Of(c.err).Kind && !problem.Is(err, problem.OverQuota) {
					t.Errorf("the repeat got %v", err)
				}
				if f := poll(t, h, one); f.State != c.ends || len(h.ACS.Arrivals) != c.calls {
					t.Errorf("a poll reads %s after %d calls", f.State, len(h.ACS.Arrivals))
				}
			})
		})
	}
}

// The owner of a message dies. A repeat has ACS asked and waits, and ends with what ACS
// knows. If that is nothing, it hears when the owner's time is over: then a repeat sends
// the message, and not before. Nobody hears 202 of what is lost with its owner.
func TestARepeatAfterItsOwnersDeath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known bool
		takes time.Duration
		sent  int
	}{
		{"ACS has it", true, gateway.FirstAsk, 0},
		{"ACS has it not", false, record.FenceLife, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				rec := orphan(t, h, one)
				if c.known {
					h.ACS.Known[rec.OperationID] = ""
				}
				began := time.Now()
				for {
					answer, err := named(t, h, gatewaytest.Refusing(gatewaytest.Small("one")))
					if err == nil && answer.Record.State == record.Accepted {
						break
					}
					if !problem.Is(err, problem.Unavailable) || time.Since(began) > time.Hour {
						t.Fatalf("after %s: %+v, %v", time.Since(began), answer.Record, err)
					}
					time.Sleep(problem.Of(err).RetryAfter)
				}
				if took := time.Since(began); took < c.takes || took > c.takes+3*time.Second || len(h.ACS.Sent) != c.sent {
					t.Errorf("it ended after %s, %d were sent", took, len(h.ACS.Sent))
				}
			})
		})
	}
}

// The owner of a message dies before anything of it was sent. A poll reads an
// end, which says so, and a repeat sends it.
func TestAPollOfWhatItsDeadOwnerDidNotSendEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		at   sim.Site
	}{
		{"it was claimed", sim.Site{Where: "records", Op: mem.Insert, State: record.Claimed}},
		{"it was said to wait", sim.Site{Where: "records", Op: mem.Replace, State: record.Waiting}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, tr := troubled(t)
				send := func() (gateway.Answer, error) {
					req := request(sim.Message("one", `"delivery":{"sendAt":"`+since2000(10*time.Minute)+`"}`))
					req.Caller, req.OperationID = shop, one
					return w.Any().Gateway.Send(t.Context(), req)
				}
				tr.set(at(c.at, sim.KillAfter))
				_, _ = send() // nobody hears of it
				tr.set(nil)
				began, state := time.Now(), record.Claimed
				for state != record.Failed && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
					f, err := w.Any().Find(t.Context(), shop, one)
					if err != nil {
						t.Fatal(err)
					}
					if state = f.State; state == record.Waiting {
						t.Fatal("a poll reads that it waits, and it does not")
					}
				}
				if took := time.Since(began); took > record.OwnerLife+2*time.Second {
					t.Errorf("it is %s after %s", state, took)
				}
				if answer, err := send(); err != nil || answer.Replayed || answer.Record.State != record.Waiting {
					t.Errorf("the next repeat got %+v, %v", answer.Record, err)
				}
			})
		})
	}
}

// A repeat of a message that waits reads its record, and touches nothing else.
func TestARepeatOfWhatWaitsReadsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Instances: 1, Limits: quota.Limits{PerMinute: 1, PerHour: 10}})
		send := func(key string) gateway.Answer {
			answer, err := w.Any().Send(t.Context(), shop, key, sim.Message("m", ""))
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		send("")
		if first := send("key"); first.Record.State != record.Waiting {
			t.Fatalf("the first is %+v", first.Record)
		}
		for _, later := range []time.Duration{0, time.Hour} {
			time.Sleep(later)
			before := w.Operations()
			if again := send("key"); !again.Replayed || again.Record.State != record.Waiting {
				t.Errorf("the repeat got %+v", again.Record)
			}
			after := w.Operations()
			for where, n := range after {
				want := int64(0)
				if where == "records" {
					want = 2 // the claim that fails, and the look at what is there
				}
				if n -= before[where]; n != want {
					t.Errorf("%s later: %d calls of %s, want %d", later, n, where, want)
				}
			}
		}
	})
}
