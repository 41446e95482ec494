package gateway_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// refusal is an ACS that refuses every message.
func refusal(*mail.Message) (bool, error) { return false, problem.New(problem.RefusedByACS, "no") }

// stranger is an ACS that does not know the sender.
func stranger(*mail.Message) (bool, error) {
	return false, problem.Wrap(problem.ACSMisconfigured, "no", gateway.ErrSender)
}

// given is what the operator has of a message that a gateway has given up.
func given(t *testing.T, h *gatewaytest.Harness, body string) (*record.Record, spool.DeadLetter) {
	t.Helper()
	r := waits(t, h, body, "")
	for begun := time.Now(); !reads(t, h, r).Final() && time.Since(begun) < 3*time.Hour; {
		h.Play(t, time.Minute)
	}
	d, _, err := h.DeadMessage(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return reads(t, h, r), d
}

// What the operator puts back is sent once, however often it is told to go, and however
// long its deadline has passed.
func TestWhatIsRetriedIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(*mail.Message) (bool, error)
		known  bool // to ACS by now
		asked  bool
		calls  int
	}{
		{"refused before", refusal, false, false, 1},
		{"in doubt, and ACS has it", failure, true, true, 0},
		{"in doubt, and ACS does not know it", failure, false, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = c.answer
				r, d := given(t, h, gatewaytest.Small("one"))
				time.Sleep(8 * 24 * time.Hour)
				h.ACS.Answer = nil
				if c.known {
					h.ACS.Known[r.OperationID] = ""
				}
				calls, asked := len(h.ACS.Arrivals), len(h.ACS.Asked)
				for range 3 { // no one may lose the message
					if err := h.DeadRetry(t.Context(), d); err != nil {
						t.Fatal(err)
					}
				}
				if wakeUps, err := h.WakeUps.Receive(t.Context(), 16, time.Second); err != nil || len(wakeUps) != 1 {
					t.Errorf("%d wake-up messages, %v", len(wakeUps), err)
				}
				back := reads(t, h, r)
				if back.Failure != nil || back.Final() || back.Spooled == d.Key || back.Deadline.Before(time.Now().Add(6*24*time.Hour)) {
					t.Errorf("put back it is %+v, %+v", back, back.Failure)
				}
				if lines, blobs, reasons := left(t, h); lines != 1 || blobs != 1 || len(reasons) != 0 {
					t.Errorf("put back: %d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
				h.Play(t, 10*time.Minute)
				if got := reads(t, h, r); got.State != record.Accepted || got.Failure != nil {
					t.Errorf("the record is %+v, %+v", got, got.Failure)
				}
				if n := len(h.ACS.Arrivals) - calls; n != c.calls || len(h.ACS.Asked) > asked != c.asked {
					t.Errorf("%d calls, want %d; %d questions", n, c.calls, len(h.ACS.Asked)-asked)
				}
				if lines, blobs, reasons := left(t, h); lines != 0 || blobs != 0 || len(reasons) != 0 {
					t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
			})
		})
	}
}

// A message that is retried begins anew. One in doubt counts as sent already.
func TestWhatIsRetriedBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(*mail.Message) (bool, error)
		calls  [2]int
	}{
		{"in doubt each time", failure, [2]int{4, 3}},
		{"the sender is not known", stranger, [2]int{8, 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = c.answer
				r, d := given(t, h, gatewaytest.Small("one"))
				calls := len(h.ACS.Arrivals)
				if err := h.DeadRetry(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				h.Play(t, 3*time.Hour)
				again, _, err := h.DeadMessage(t.Context(), r.ID)
				if got := [2]int{calls, len(h.ACS.Arrivals) - calls}; err != nil || again.Key == d.Key || got != c.calls {
					t.Errorf("%+v, %v after %v calls, want %v", again, err, got, c.calls)
				}
			})
		})
	}
}

// The content of what is to be retried is gone, or cannot be read: nothing changes, and
// the operator hears why.
func TestWhatHasNoContentCannotBeRetried(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text  string
		mostInTable int
	}{
		{"lost", "", spool.SmallBytes}, {"unreadable", "no message", spool.SmallBytes},
		{"blob lost", "", 0}, {"blob unreadable", "no message", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.Spool.InTable(c.mostInTable)
				h.ACS.Answer = refusal
				r, d := given(t, h, gatewaytest.Small("one"))
				if _, m, err := h.DeadMessage(t.Context(), r.ID); err != nil || m == nil || m.Content.Subject != "one" {
					t.Errorf("with its content: %+v, %v", m, err)
				}
				h.SpoilContents(t, c.text)
				if found, m, err := h.DeadMessage(t.Context(), r.ID); err != nil || m != nil || found.ID != r.ID {
					t.Errorf("without: %+v, %+v, %v", found, m, err)
				}
				if err := h.DeadRetry(t.Context(), d); !problem.Is(err, problem.Gone) {
					t.Errorf("the retry got %v", err)
				}
				if got := reads(t, h, r); got.State != record.Failed || got.Spooled != d.Key {
					t.Errorf("the record is %+v", got)
				}
				if lines, _, reasons := left(t, h); lines != 0 || !slices.Equal(reasons, []string{"no"}) {
					t.Errorf("%d lines, the operator sees %q", lines, reasons)
				}
				if err := h.DeadDrop(t.Context(), d); err != nil {
					t.Errorf("the drop got %v", err)
				}
				if _, blobs, reasons := left(t, h); blobs != 0 || len(reasons) != 0 {
					t.Errorf("dropped: %d blobs, the operator sees %q", blobs, reasons)
				}
			})
		})
	}
}

// A retry that dies half-way is repeated, and then the message is sent once. Whichever
// write was its last, the message is not lost.
func TestARetryThatDiesHalfWayIsRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		doubt bool
		site  sim.Site
		// polled is after what time its caller asks for its record: then ACS is asked.
		polled time.Duration
	}{
		{"blob", false, sim.Site{Where: "content", Op: mem.Put}, 0},
		{"record", false, sim.Site{Where: "records", Op: mem.Replace, State: record.Waiting}, 0},
		{"record, in doubt", true, sim.Site{Where: "records", Op: mem.Replace, State: record.Unknown}, 0},
		{"row", false, sim.Site{Where: "lines", Op: mem.Insert}, 0},
		{"row, in doubt", true, sim.Site{Where: "lines", Op: mem.Insert}, 0},
		{"row, in doubt, and ACS was asked", true, sim.Site{Where: "lines", Op: mem.Insert}, 10 * time.Minute},
		{"blob of before", false, sim.Site{Where: "content", Op: mem.Delete}, 0},
		{"list", false, sim.Site{Where: "dead", Op: mem.Delete}, 0},
	} {
		for name, fault := range map[string]sim.Fault{"before": sim.KillBefore, "after": sim.KillAfter} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w, tr := troubled(t)
					if c.site.Where == "content" {
						w.UseBlobs()
					}
					offer := sim.Site{Where: "acs", Op: sim.Offer}
					subject := "refused" // the simulation's ACS refuses it for ever
					if c.doubt {
						subject = "one"
						tr.set(at(offer, sim.Refuse))
					}
					w.Play()
					cr := newCrowd(w)
					cr.offer(t, shop, "", sim.Message(subject, `"delivery":{"sendAt":"`+rfc(10*time.Second)+`"}`))
					cr.all.Wait()
					time.Sleep(20 * time.Minute)
					id := cr.promises[0].ID
					d, _, err := gatewaytest.DeadMessage(t.Context(), w.Any().Gateway, id)
					if err != nil {
						t.Fatal(err)
					}
					tr.set(at(c.site, fault))
					_ = w.Any().DeadRetry(t.Context(), d) // nobody hears of it
					tr.set(nil)
					if w.Living() != 1 {
						t.Fatal("it did not die")
					}
					time.Sleep(30 * time.Second)
					if c.polled > 0 {
						time.Sleep(c.polled)
						if found, err := w.Any().Find(t.Context(), shop, id); err != nil || found.Repeatable != (fault == sim.KillBefore) {
							t.Errorf("polled, it is %+v, %v", found.Record, err)
						}
					}
					if err := w.Any().DeadRetry(t.Context(), d); err != nil {
						t.Errorf("the repeat got %v", err)
					}
					if back, err := w.Any().Find(t.Context(), shop, id); err != nil || back.Repeatable {
						t.Errorf("put back it is %+v, %v", back.Record, err)
					}
					time.Sleep(3 * time.Hour) // the clean-up has come
					w.Stop()
					found, err := w.Any().Find(t.Context(), shop, id)
					if err != nil {
						t.Fatal(err)
					}
					dead, _ := w.Any().Dead(t.Context())
					_, rows := w.Left(t.Context())
					ends, offers, list := record.Failed, int64(2), 1 // refused again
					if c.doubt {
						ends, offers, list = record.Accepted, 5, 0
					}
					if n := w.Counts()[offer]; found.Record.State != ends || rows != 0 || n != offers || len(dead) != list {
						t.Errorf("it is %+v after %d calls, %d rows; the operator sees %+v", found.Record, n, rows, dead)
					}
				})
			})
		}
	}
}

// Storage fails in the middle of a retry: the operator hears it, the message is in the list
// with its content, and the next retry sends it.
func TestARetryThatStorageHinderedLosesNothing(t *testing.T) {
	t.Parallel()
	row := sim.Site{Where: "lines", Op: mem.Insert}
	for _, c := range []struct {
		name  string
		sites []sim.Site // of one retry after the other
	}{
		{"record cannot be read", []sim.Site{{Where: "records", Op: mem.Get}}},
		{"content cannot be read", []sim.Site{{Where: "dead", Op: mem.Get}}},
		{"blob cannot be read", []sim.Site{{Where: "content", Op: mem.Read}}},
		{"no place in line", []sim.Site{{Where: "ledger", Op: mem.Replace}}},
		{"blob cannot be written", []sim.Site{{Where: "content", Op: mem.Put}}},
		{"record cannot be written", []sim.Site{{Where: "records", Op: mem.Replace, State: record.Waiting}}},
		{"row cannot be written", []sim.Site{row}},
		{"row cannot be written, and then not be looked up", []sim.Site{row, {Where: "lines", Op: mem.Get}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &trouble{}
				w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Plan: tr.plan, Way: 10 * time.Millisecond})
				if c.sites[0].Where == "content" {
					w.UseBlobs()
				}
				w.Play()
				cr := newCrowd(w)
				cr.offer(t, shop, "", sim.Message("refused", `"delivery":{"sendAt":"`+rfc(10*time.Second)+`"}`))
				cr.all.Wait()
				time.Sleep(time.Minute)
				dead, err := w.Any().Dead(t.Context())
				if err != nil || len(dead) != 1 {
					t.Fatal(dead, err)
				}
				for _, s := range c.sites {
					tr.set(at(s, sim.Refuse))
					if err := w.Any().DeadRetry(t.Context(), dead[0]); !problem.Is(err, problem.Unavailable) {
						t.Errorf("got %v", err)
					}
					tr.set(nil)
					time.Sleep(time.Minute)
					if still, m, err := gatewaytest.DeadMessage(t.Context(), w.Any().Gateway, dead[0].ID); err != nil || still.Key != dead[0].Key || m == nil {
						t.Errorf("then the operator sees %+v, %+v, %v", still, m, err)
					}
				}
				if err := w.Any().DeadRetry(t.Context(), dead[0]); err != nil {
					t.Errorf("the next got %v", err)
				}
				time.Sleep(2 * time.Minute)
				w.Stop()
				if n := w.Counts()[sim.Site{Where: "acs", Op: sim.Offer}]; n != 2 || w.Waiting() != 0 {
					t.Errorf("%d calls, %d rows", n, w.Waiting())
				}
			})
		})
	}
}

// The operator has two weeks, and a record may live for a day after its end: what is retried
// then has a record again, and ACS is asked first, since nobody knows what was done with
// it meanwhile.
func TestWhatHasOutlivedItsRecordCanBeRetried(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(*mail.Message) (bool, error)
		known  bool
		calls  int
	}{
		{"not sent", refusal, false, 1},
		{"it may have been sent", failure, false, 1},
		{"it was put back before, and sent", refusal, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.Records.Keeping(24 * time.Hour)
				h.ACS.Answer = c.answer
				r, d := given(t, h, gatewaytest.Small("one"))
				time.Sleep(9 * 24 * time.Hour) // the message might have waited for a week
				for range 24 {
					if err := h.CleanUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour)
				}
				if _, err := h.Find(t.Context(), gatewaytest.Shop, r.ID); !problem.Is(err, problem.NotFound) {
					t.Fatalf("its record is there: %v", err)
				}
				h.ACS.Answer = nil
				if c.known {
					h.ACS.Known[r.OperationID] = ""
				}
				calls, asked := len(h.ACS.Arrivals), len(h.ACS.Asked)
				for range 2 {
					if err := h.DeadRetry(t.Context(), d); err != nil {
						t.Fatal(err)
					}
				}
				h.Play(t, 10*time.Minute)
				got := reads(t, h, r)
				if got.State != record.Accepted || got.OperationID != r.OperationID || got.Fingerprint != r.Fingerprint || !got.Created.Equal(r.Created) {
					t.Errorf("the record is %+v, was %+v", got, r)
				}
				if n := len(h.ACS.Arrivals) - calls; n != c.calls || len(h.ACS.Asked) == asked {
					t.Errorf("%d calls, want %d; %d questions", n, c.calls, len(h.ACS.Asked)-asked)
				}
				if lines, blobs, reasons := left(t, h); lines != 0 || blobs != 0 || len(reasons) != 0 {
					t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
			})
		})
	}
}

// The caller repeats a message under its key while the operator retries it: it is sent once.
func TestARetryDoesNotCrossARepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = refusal
		r, d := given(t, h, gatewaytest.Small("one"))
		taken := *r // by a repeat, which is sending it
		taken.Spooled = store.Key{}
		if err := h.Records.MarkSending(t.Context(), &taken); err != nil {
			t.Fatal(err)
		}
		if err := h.DeadRetry(t.Context(), d); !problem.Is(err, problem.InProgress) {
			t.Errorf("the retry got %v", err)
		}
		if got := reads(t, h, r); got.State != record.Sending {
			t.Errorf("the record is %+v", got)
		}
		if err := h.Records.Finish(t.Context(), &taken, record.Accepted, nil); err != nil {
			t.Fatal(err)
		}
		if err := h.DeadRetry(t.Context(), d); err != nil {
			t.Errorf("the next retry got %v", err)
		}
		if lines, blobs, reasons := left(t, h); lines != 0 || blobs != 0 || len(reasons) != 0 {
			t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
		}
	})
}
