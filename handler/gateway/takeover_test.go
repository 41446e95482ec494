package gateway_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// trouble is a Plan that changes while a test goes on; nil lets all pass.
type trouble struct {
	now atomic.Pointer[func(sim.Site) sim.Fault]
}

func (tr *trouble) set(f func(sim.Site) sim.Fault) { tr.now.Store(&f) }

func (tr *trouble) plan(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
	if f := tr.now.Load(); f != nil && *f != nil {
		return (*f)(s)
	}
	return sim.Pass
}

// at lets a fault befall every call of a kind.
func at(s sim.Site, f sim.Fault) func(sim.Site) sim.Fault {
	return func(got sim.Site) sim.Fault {
		if got == s {
			return f
		}
		return sim.Pass
	}
}

// troubled is a world of two instances that may send one message a minute.
func troubled(t *testing.T) (*sim.World, *trouble) {
	t.Helper()
	tr := &trouble{}
	w := newWorld(t, sim.Config{
		Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 1, PerHour: 60}, Upstream: sim.Open, Plan: tr.plan,
		Way: 10 * time.Millisecond, ACSTime: time.Second,
	})
	return w, tr
}

// ends fails the test if a promise was broken, or a row left.
func ends(t *testing.T, w *sim.World, c *crowd) {
	t.Helper()
	_, faults := w.Ends(t.Context(), c.promises)
	doubled, _ := w.Doubled()
	if _, rows := w.Left(t.Context()); len(faults) > 0 || len(doubled) > 0 || rows > 0 {
		t.Errorf("%v, sent twice %v, %d rows left in lines", faults, doubled, rows)
	}
}

// The owner of a message dies after ACS has taken it. A repeat, for which there is
// no room now, takes over while ACS cannot be asked: its refusal must not make
// forgotten that the message may have been sent.
func TestARepeatThatCannotAskACSDoesNotForgetTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		c := newCrowd(w)
		tr.set(at(sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, sim.KillBefore))
		_, _ = w.Any().Send(t.Context(), shop, "key", sim.Message("one", "")) // nobody hears of it
		time.Sleep(2 * record.OwnerLife)
		tr.set(at(sim.Site{Where: "acs", Op: sim.Ask}, sim.Refuse))
		for range 2 {
			answer, err := w.Any().Send(t.Context(), shop, "", sim.Message("another", ""))
			if err != nil {
				t.Fatal(err)
			}
			c.keep(shop, answer)
		}
		if _, err := w.Any().Send(t.Context(), shop, "key", sim.Message("one", "")); !problem.Is(err, problem.Unavailable) {
			t.Fatalf("the repeat got %v", err)
		}
		tr.set(nil)
		w.Play()
		time.Sleep(2 * record.OwnerLife)
		answer, err := w.Any().Send(t.Context(), shop, "key", sim.Message("one", ""))
		if err != nil || !answer.Replayed || answer.Record.State != record.Accepted {
			t.Errorf("the next repeat got %+v, %v", answer.Record, err)
		}
		time.Sleep(10 * time.Minute)
		w.Stop()
		ends(t, w, c)
	})
}

// The same, and nobody repeats it again: the message stands in no line, and a poll
// of its record has ACS asked.
func TestWhatStandsInNoLineIsResolvedByAPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const id = "11111111-1111-4111-8111-111111111111"
		w, tr := troubled(t)
		send := func(i *sim.Instance) error {
			_, err := i.Gateway.Send(t.Context(), gateway.Request{
				Caller: shop, OperationID: id, ContentType: "application/json", Body: strings.NewReader(sim.Message("one", "")), BodyBytes: -1,
			})
			return err
		}
		c := newCrowd(w)
		tr.set(at(sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, sim.KillBefore))
		_ = send(w.Any()) // nobody hears of it
		time.Sleep(2 * record.OwnerLife)
		tr.set(at(sim.Site{Where: "acs", Op: sim.Ask}, sim.Refuse))
		i := w.Any()
		for range 2 { // the second tells the instance that it must wait
			answer, err := i.Send(t.Context(), shop, "", sim.Message("another", ""))
			if err != nil {
				t.Fatal(err)
			}
			c.keep(shop, answer)
		}
		if err := send(i); !problem.Is(err, problem.Unavailable) {
			t.Fatalf("the repeat got %v", err)
		}
		tr.set(nil)
		w.Play()
		time.Sleep(2 * record.OwnerLife)
		w.Stop()
		found, err := w.Any().Find(t.Context(), shop, id)
		if err != nil || found.Record.State != record.Accepted {
			t.Errorf("got %+v, %v", found.Record, err)
		}
	})
}

// A request that is refused because its place in line was in doubt may leave a row
// whose record is gone: no dispatcher meets it for ever.
func TestARowWithoutARecordIsTakenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		c := newCrowd(w)
		c.offer(t, shop, "", sim.Message("one", ""))
		c.all.Wait()
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Where == "lines" && s.Op == mem.Insert:
				return sim.Lose
			case s.Where == "lines" && s.Op == mem.Delete:
				return sim.Refuse
			}
			return sim.Pass
		})
		if _, err := w.Any().Send(t.Context(), shop, "", sim.Message("two", "")); !problem.Is(err, problem.Unavailable) {
			t.Fatalf("got %v", err)
		}
		if w.Waiting() != 1 {
			t.Fatalf("%d rows in lines, want the row of the refused message", w.Waiting())
		}
		tr.set(nil)
		w.Play()
		time.Sleep(10 * time.Minute)
		w.Stop()
		ends(t, w, c)
	})
}

// A process dies while it gives a position back, and does not know whether it has one. It
// leaves the content to the row: the message is sent, and its content is not lost.
func TestARowThatIsInDoubtKeepsItsContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		w.UseBlobs()
		c := newCrowd(w)
		c.offer(t, shop, "", sim.Message("one", ""))
		c.all.Wait()
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Where == "lines" && s.Op == mem.Insert:
				return sim.Lose
			case s.Where == "content" && s.Op == mem.Delete:
				return sim.KillAfter
			case s.Where == "lines" && s.Op == mem.Delete:
				return sim.KillBefore
			}
			return sim.Pass
		})
		_, _ = w.Any().Send(t.Context(), shop, "key", sim.Message("two", "")) // nobody hears of it
		tr.set(nil)
		if w.Living() != 1 || w.Waiting() != 1 {
			t.Fatalf("%d instances live, %d rows in lines", w.Living(), w.Waiting())
		}
		w.Play()
		time.Sleep(10 * time.Minute)
		answer, err := w.Any().Send(t.Context(), shop, "key", sim.Message("two", ""))
		if err != nil || !answer.Replayed || answer.Record.State != record.Accepted {
			t.Errorf("the repeat got %+v, %v", answer.Record, err)
		}
		w.Stop()
	})
}

// The content of a message that is in a line is lost after ACS may have taken it:
// ACS knows what became of it.
func TestLostContentDoesNotMakeASentMessageFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		c := newCrowd(w)
		for range 2 {
			c.offer(t, shop, "", sim.Message("one", ""))
		}
		c.all.Wait()
		tr.set(at(sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, sim.KillBefore))
		w.Play()
		for w.Living() == 2 {
			time.Sleep(time.Second)
		}
		tr.set(nil)
		w.LoseContent(t.Context())
		time.Sleep(20 * time.Minute)
		w.Stop()
		if states, _ := w.Ends(t.Context(), c.promises); states[record.Accepted] != 2 {
			t.Errorf("ends %v", states)
		}
		ends(t, w, c)
	})
}

// A message is in doubt for the second time, and its line cannot be told: it is
// asked about all the same.
func TestADoubtThatItsLineWasNotToldIsAskedAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		c := newCrowd(w)
		for range 2 {
			c.offer(t, shop, "", sim.Message("one", ""))
		}
		c.all.Wait()
		var offers atomic.Int64
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Op == sim.Offer && offers.Add(1) == 1:
				return sim.Refuse
			case s.Op == sim.Offer && offers.Load() == 2:
				return sim.Lose
			case s.Where == "lines" && s.Op == mem.Replace && offers.Load() == 2:
				return sim.Refuse
			}
			return sim.Pass
		})
		w.Play()
		for offers.Load() < 2 {
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute)
		tr.set(func(s sim.Site) sim.Fault {
			if s.Op == sim.Offer {
				offers.Add(1)
			}
			return sim.Pass
		})
		time.Sleep(20 * time.Minute)
		w.Stop()
		if n := offers.Load(); n != 2 {
			t.Errorf("ACS was offered the message %d times, want 2", n)
		}
		ends(t, w, c)
	})
}
