package gateway_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// sentOne is a gateway with one message that ACS has taken. says is what ACS tells of it.
func sentOne(t *testing.T, says string) (h *gatewaytest.Harness, id string) {
	t.Helper()
	h = gatewaytest.New(t, plenty)
	answer, err := h.Send(t.Context(), request(gatewaytest.Small("one")))
	if err != nil {
		t.Fatal(err)
	}
	h.ACS.Known[answer.Record.OperationID] = says
	return h, answer.Record.ID
}

func poll(t *testing.T, h *gatewaytest.Harness, id string) gateway.Found {
	t.Helper()
	f, err := h.Find(t.Context(), gatewaytest.Shop, id)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A poll says what ACS's own operation says. ACS is asked once, after a while, and what
// it says is kept.
func TestAPollSaysWhatACSsOperationSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, says string
		state      record.State
	}{
		{"it is out for delivery", "", record.Accepted},
		{"all recipients are suppressed", "EmailDroppedAllRecipientsSuppressed", record.Failed},
		{"it was dropped", "EmailDropped", record.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, id := sentOne(t, c.says)
				if f := poll(t, h, id); f.State != record.Accepted || f.Again <= 0 || f.Again > gateway.FirstAsk || len(h.ACS.Asked) != 0 {
					t.Errorf("at once it is %s, again in %s, %d questions", f.State, f.Again, len(h.ACS.Asked))
				}
				time.Sleep(gateway.FirstAsk)
				for range 3 {
					f := poll(t, h, id)
					if f.State != c.state || f.Again != 0 || len(h.ACS.Asked) != 1 {
						t.Errorf("it is %s, again in %s, %d questions", f.State, f.Again, len(h.ACS.Asked))
					}
					if f.Failure != nil && f.Failure.Upstream != c.says || (f.Failure != nil) != (c.says != "") {
						t.Errorf("its failure is %+v", f.Failure)
					}
				}
			})
		})
	}
}

// While ACS is at work a poll says so, ten minutes at most. The pauses between questions
// grow, and a poller that does not wait asks no more than one that does.
func TestAPollWaitsTenMinutesForTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		wait func(again time.Duration) time.Duration
		says string
		err  error
		asks int
	}{
		{"ACS is at work, a patient poller", func(again time.Duration) time.Duration { return again }, gatewaytest.Running, nil, 9},
		{"ACS is at work, a hasty poller", func(time.Duration) time.Duration { return 200 * time.Millisecond }, gatewaytest.Running, nil, 9},
		{"ACS cannot be asked", func(again time.Duration) time.Duration { return again }, "", errReset, 61},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, id := sentOne(t, c.says)
				h.ACS.FateErr = c.err
				began := time.Now()
				f := poll(t, h, id)
				for f.Again > 0 && time.Since(began) < time.Hour {
					time.Sleep(c.wait(f.Again))
					f = poll(t, h, id)
				}
				if took := time.Since(began); took < 10*time.Minute-time.Second || took > 10*time.Minute+time.Second || f.State != record.Accepted {
					t.Errorf("it is %s after %s", f.State, took)
				}
				if len(h.ACS.Asked) > c.asks {
					t.Errorf("%d questions, want at most %d", len(h.ACS.Asked), c.asks)
				}
			})
		})
	}
}

// Polls leave half of the questions to the gateway's own, which are about doubts. Who
// gets none is told when there is one, and gets it then.
func TestPollsLeaveHalfOfTheQuestionsToDoubts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		var ids []string
		for i := range 50 {
			answer, err := h.Send(t.Context(), request(gatewaytest.Small(strconv.Itoa(i))))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, answer.Record.ID)
		}
		time.Sleep(gateway.FirstAsk)
		waiting, last := 0, gateway.Found{}
		for _, id := range ids {
			if f := poll(t, h, id); f.Again > 0 {
				waiting, last = waiting+1, f
			}
		}
		half := quota.CustomDomainStatus.PerMinute / 2
		if asked := len(h.ACS.Asked); asked != half || waiting != len(ids)-half {
			t.Errorf("%d questions for %d polls, %d wait on; want %d questions", asked, len(ids), waiting, half)
		}
		for i := range half {
			if _, err := h.StatusRequests.Reserve(t.Context(), quota.Call{Class: quota.High, Cost: 1}); err != nil {
				t.Fatalf("question %d about a doubt: %v", i, err)
			}
		}
		if last.Again < 30*time.Second || last.Again > 2*time.Minute {
			t.Fatalf("a poller is told to ask again in %s", last.Again)
		}
		time.Sleep(last.Again)
		if f := poll(t, h, last.ID); f.Again != 0 || len(h.ACS.Asked) != half+1 {
			t.Errorf("after that time it is to ask again in %s, %d questions", f.Again, len(h.ACS.Asked))
		}
	})
}

// Without a question for ten minutes a poll says what the record says. What ACS says
// later is not lost.
func TestAPollWithoutAQuestionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		for wait := time.Duration(0); wait < 10*time.Minute; time.Sleep(min(wait, time.Minute)) {
			if _, err := h.StatusRequests.Reserve(t.Context(), quota.Call{Class: quota.Normal, Cost: 1}); err != nil {
				wait = problem.Of(err).RetryAfter
			}
		}
		answer, err := h.Send(t.Context(), request(gatewaytest.Small("one")))
		if err != nil {
			t.Fatal(err)
		}
		id := answer.Record.ID
		h.ACS.Known[answer.Record.OperationID] = "EmailDropped"
		if f := poll(t, h, id); f.State != record.Accepted || f.Again <= 0 || f.Again > 10*time.Minute {
			t.Errorf("it is %s, again in %s", f.State, f.Again)
		}
		time.Sleep(10 * time.Minute)
		if f := poll(t, h, id); f.State != record.Accepted || f.Again != 0 || len(h.ACS.Asked) != 0 {
			t.Errorf("ten minutes later it is %s, again in %s, %d questions", f.State, f.Again, len(h.ACS.Asked))
		}
		time.Sleep(time.Hour)
		if f := poll(t, h, id); f.State != record.Failed {
			t.Errorf("an hour later it is %s", f.State)
		}
	})
}

// The owner of a message dies when ACS has it. A poll has ACS asked at once, and ends as
// soon as ACS shows the operation; it does not wait for the end of the owner's time.
func TestAPollOfASilentOwnerAsksACSAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		shown time.Duration // after which ACS shows the operation
		says  string
		state record.State
	}{
		{"ACS shows it at once", 0, "", record.Accepted},
		{"ACS shows it later", 20 * time.Second, "", record.Accepted},
		{"ACS has dropped it", 0, "EmailDropped", record.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				const id = "11111111-1111-4111-8111-111111111111"
				rec := orphan(t, h, id)
				time.AfterFunc(c.shown, func() {
					h.ACS.Lock()
					defer h.ACS.Unlock()
					h.ACS.Known[rec.OperationID] = c.says
				})
				began := time.Now()
				f := poll(t, h, id)
				for f.State == record.Sending && time.Since(began) < time.Hour {
					time.Sleep(f.Again)
					f = poll(t, h, id)
				}
				if took := time.Since(began); f.State != c.state || took > 2*c.shown+gateway.FirstAsk {
					t.Errorf("it is %s after %s", f.State, took)
				}
			})
		})
	}
}

// orphan is the record of a message whose owner has died behind the fence.
func orphan(t *testing.T, h *gatewaytest.Harness, id string) *record.Record {
	t.Helper()
	busy := problem.New(problem.ACSBusy, "wait")
	var rec *record.Record
	h.ACS.Answer = func(*mail.Message) (bool, error) {
		var err error
		if rec, err = h.Records.Read(t.Context(), gatewaytest.Shop.Name, id); err != nil {
			t.Error(err)
		}
		return false, busy
	}
	req := request(gatewaytest.Refusing(gatewaytest.Small("one")))
	req.OperationID = id
	if _, err := h.Send(t.Context(), req); !problem.Is(err, problem.ACSBusy) {
		t.Fatal(err)
	}
	h.ACS.Answer = nil
	again, _, err := h.Records.Claim(t.Context(), *rec)
	if err == nil {
		err = h.Records.MarkSending(t.Context(), again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return again
}
