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
func named(t *testing.T, h *gatewaytest.House, body string) (gateway.Answer, error) {
	t.Helper()
	req := request(body)
	req.OperationID = one
	return h.Send(t.Context(), req)
}

// A repeat that comes while the first is at work hears that it is under way; whoever
// then polls comes to the first's end, also if that is a refusal. Another message under
// the id is refused as long as it is one.
func TestARepeatOfWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	busy := problem.New(problem.ACSBusy, "ACS asks to wait.")
	for _, c := range []struct {
		name  string
		err   error // of ACS
		ends  record.State
		kind  string
		again error // what the next repeat gets
	}{
		{"the first is sent", nil, record.Accepted, "", nil},
		{"the first is refused by ACS", problem.New(problem.RefusedByACS, "no"), record.Failed, "refused-by-acs", problem.New(problem.RefusedByACS, "no")},
		{"the first is not sent", busy, record.Failed, "acs-busy", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				body := gatewaytest.Refusing(gatewaytest.Small("one"))
				h.ACS.Answer = func(*mail.Message) (bool, error) { time.Sleep(2 * time.Second); return c.err == nil, c.err }
				go func() { _, _ = named(t, h, body) }()
				time.Sleep(time.Second)
				answer, err := named(t, h, body)
				if err != nil || !answer.Replayed || answer.Record.State != record.Sending {
					t.Fatalf("the repeat got %+v, %v", answer.Record, err)
				}
				if _, err := named(t, h, gatewaytest.Small("two")); !problem.Is(err, problem.KeyReused) {
					t.Errorf("another message got %v", err)
				}
				time.Sleep(2 * time.Second)
				f := poll(t, h, one)
				if f.State != c.ends || (f.Failure != nil) != (c.kind != "") || f.Failure != nil && f.Failure.Kind != c.kind {
					t.Errorf("a poll reads %s, %+v", f.State, f.Failure)
				}
				h.ACS.Answer = nil
				time.Sleep(2 * time.Minute) // in which ACS lets itself be called again
				answer, err = named(t, h, body)
				if c.again == nil && (err != nil || answer.Record.State != record.Accepted) || c.again != nil && !problem.Is(err, problem.Of(c.again).Kind) {
					t.Errorf("the next repeat got %+v, %v", answer.Record, err)
				}
			})
		})
	}
}

// The owner of a message dies. A repeat hears that it is under way, has ACS asked, and
// ends with what ACS knows; it is sent again when the owner's time is over, and not before.
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
					if err != nil {
						t.Fatalf("after %s: %v", time.Since(began), err)
					}
					if answer.Record.State == record.Accepted {
						break
					}
					if answer.Record.State != record.Sending || time.Since(began) > time.Hour {
						t.Fatalf("after %s it is %s", time.Since(began), answer.Record.State)
					}
					time.Sleep(time.Second)
				}
				if took := time.Since(began); took < c.takes || took > c.takes+3*time.Second || len(h.ACS.Sent) != c.sent {
					t.Errorf("it ended after %s, %d were sent", took, len(h.ACS.Sent))
				}
			})
		})
	}
}

// The owner of a message dies before anything of it was sent. Whoever polls comes to an
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
					return w.Any().Send(t.Context(), shop, "key", sim.Message("one", `"delivery":{"sendAt":"`+since2000(10*time.Minute)+`"}`))
				}
				tr.set(at(c.at, sim.KillAfter))
				_, _ = send() // nobody hears of it
				tr.set(nil)
				answer, err := send()
				if err != nil || !answer.Replayed || answer.Record.State != record.Claimed {
					t.Fatalf("a repeat got %+v, %v", answer.Record, err)
				}
				began, state := time.Now(), record.Claimed
				for state != record.Failed && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
					f, err := w.Any().Find(t.Context(), shop, answer.Record.ID)
					if err != nil {
						t.Fatal(err)
					}
					state = f.State
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
