package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// silence is an ACS that does not answer; taken says whether it has taken the message.
func silence(taken bool) func(*mail.Message) (bool, error) {
	return func(*mail.Message) (bool, error) { return taken, fmt.Errorf("%w: %w", gateway.ErrDoubt, errReset) }
}

// failure is an ACS that answers with an error and has taken nothing.
func failure(*mail.Message) (bool, error) {
	return false, fmt.Errorf("%w: %w", gateway.ErrFailing, errReset)
}

// waits lets a gateway keep a message that goes in a while, and tells its record.
func waits(t *testing.T, h *gatewaytest.Harness, body, more string) *record.Record {
	t.Helper()
	body = body[:len(body)-1] + `,"delivery":{"sendAt":"` + rfc(10*time.Second) + `"` + more + `}}`
	answer, err := h.Send(t.Context(), request(body))
	if err != nil || answer.Record.State != record.Waiting {
		t.Fatalf("got %+v, %v", answer.Record, err)
	}
	return answer.Record
}

// reads is the record as it stands.
func reads(t *testing.T, h *gatewaytest.Harness, r *record.Record) *record.Record {
	t.Helper()
	there, err := h.Records.Read(t.Context(), r.Caller, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// left is how many lines have a row, how many messages are stored, and what the operator sees.
func left(t *testing.T, h *gatewaytest.Harness) (lines, contents int, reasons []string) {
	t.Helper()
	heads, err := h.Spool.ListHeads(t.Context())
	dead, deadErr := h.Dead(t.Context())
	if err != nil || deadErr != nil {
		t.Fatal(err, deadErr)
	}
	for _, d := range dead {
		reasons = append(reasons, d.Reason)
	}
	return len(heads), h.Contents(t), reasons
}

// A message in doubt is sent again three times at most, each time after ACS was asked often
// enough, and then nobody knows.
func TestAMessageInDoubtIsSentAgainThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		answer    func(*mail.Message) (bool, error)
		questions []int // before each call to ACS, and before the end
	}{
		{"silence", silence(false), []int{0, 4, 8, 12, 16}},
		{"an error", failure, []int{0, 1, 2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				var asked []int
				h.ACS.Answer = func(m *mail.Message) (bool, error) {
					asked = append(asked, len(h.ACS.Asked))
					return c.answer(m)
				}
				r := waits(t, h, gatewaytest.Small("one"), "")
				h.Play(t, 30*time.Minute)
				if asked = append(asked, len(h.ACS.Asked)); !slices.Equal(asked, c.questions) {
					t.Errorf("questions before each call: %v, want %v", asked, c.questions)
				}
				got := reads(t, h, r)
				if got.State != record.Unknown || got.Resolving || got.Failure == nil || got.Failure.Kind != "acs-failed" || got.Failure.Detail != tooOften {
					t.Errorf("the record is %+v, %+v", got, got.Failure)
				}
				if lines, blobs, reasons := left(t, h); lines != 0 || blobs != 1 || !slices.Equal(reasons, []string{tooOften}) {
					t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
			})
		})
	}
}

// A message whose deadline passes while ACS is asked about it is not sent again, and not
// said to be unsent.
func TestADeadlineThatPassesInDoubtIsNoCertainty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = silence(false)
		r := waits(t, h, gatewaytest.Small("one"), `,"deadline":"`+rfc(30*time.Second)+`"`)
		h.Play(t, 5*time.Minute)
		got := reads(t, h, r)
		if got.State != record.Unknown || got.Resolving || got.Failure == nil || got.Failure.Kind != "deadline-passed" || len(h.ACS.Arrivals) != 1 {
			t.Errorf("the record is %+v, %+v, after %d calls", got, got.Failure, len(h.ACS.Arrivals))
		}
	})
}

// The pauses between questions are those that are documented, and while they last the
// record says that it is being resolved.
func TestThePausesBetweenQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = silence(false)
		r := waits(t, h, gatewaytest.Small("one"), "")
		played := make(chan struct{})
		go func() {
			defer close(played)
			h.Play(t, 5*time.Minute)
		}()
		time.Sleep(30 * time.Second)
		if got := reads(t, h, r); got.State != record.Unknown || !got.Resolving {
			t.Errorf("while ACS is asked the record is %+v", got)
		}
		<-played
		h.ACS.Lock()
		defer h.ACS.Unlock()
		last := h.ACS.Arrivals[0]
		for i, want := range []time.Duration{3 * time.Second, 7 * time.Second, 12 * time.Second, 18 * time.Second} {
			if got := h.ACS.Asked[i].Sub(last); got < want || got > want+6*time.Second {
				t.Errorf("question %d came %s after what was before, want %s", i, got, want)
			}
			last = h.ACS.Asked[i]
		}
	})
}

// ACS that cannot be asked is asked again each minute, or when it says, until the
// message's deadline has passed. Nothing is sent meanwhile.
func TestACSThatCannotBeAskedIsAskedUntilTheDeadline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		retry     time.Duration // that ACS asks for
		taken     bool
		back      time.Duration // when ACS answers questions again
		asked     int           // questions until then, or until the end
		ends      record.State
		calls     int
		resolving bool // just before
		reasons   []string
	}{
		{"back in time, and it has it", 0, true, 12 * time.Minute, 12, record.Accepted, 1, true, nil},
		{"back in time, and it does not know it", 0, false, 12 * time.Minute, 12, record.Accepted, 2, true, nil},
		{"away until the deadline", 0, true, 25 * time.Minute, 20, record.Unknown, 1, false, []string{notAsked}},
		{"it says when", 4 * time.Minute, true, 12 * time.Minute, 3, record.Accepted, 1, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = silence(c.taken)
				busy := problem.New(problem.ACSBusy, "wait")
				busy.RetryAfter = c.retry
				h.ACS.FateErr = busy
				begun := time.Now()
				r := waits(t, h, gatewaytest.Small("one"), `,"deadline":"`+rfc(20*time.Minute)+`"`)
				h.Play(t, c.back-time.Since(begun))
				if got := reads(t, h, r); got.State != record.Unknown || got.Resolving != c.resolving {
					t.Errorf("before ACS is back the record is %+v", got)
				}
				if n := len(h.ACS.Asked); n < c.asked-2 || n > c.asked+1 || len(h.ACS.Arrivals) != 1 {
					t.Errorf("asked %d times, want %d; %d calls", n, c.asked, len(h.ACS.Arrivals))
				}
				h.ACS.Lock()
				h.ACS.FateErr, h.ACS.Answer = nil, nil
				h.ACS.Unlock()
				h.Play(t, 20*time.Minute)
				if got := reads(t, h, r); got.State != c.ends || got.Resolving || len(h.ACS.Arrivals) != c.calls {
					t.Errorf("after %d calls the record is %+v", len(h.ACS.Arrivals), got)
				}
				if lines, blobs, reasons := left(t, h); lines != 0 || blobs != len(c.reasons) || !slices.Equal(reasons, c.reasons) {
					t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
			})
		})
	}
}

// While a message is in doubt, its record ends otherwise, goes, or names another place:
// its row goes without a question or a call, and the operator sees what was being given up.
// About one that stands in no line the watchdog asks.
func TestWhatHasEndedWhileInDoubtIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	finish := func(s record.State, f *record.Failure) func(context.Context, *gatewaytest.Harness, *record.Record) error {
		return func(ctx context.Context, h *gatewaytest.Harness, r *record.Record) error {
			return h.Records.Finish(ctx, r, s, f)
		}
	}
	for _, c := range []struct {
		name    string
		meddle  func(context.Context, *gatewaytest.Harness, *record.Record) error
		reasons []string
		asks    int
	}{
		{"its record is gone", func(ctx context.Context, h *gatewaytest.Harness, r *record.Record) error {
			return h.Records.Release(ctx, r)
		}, nil, 0},
		{"accepted", finish(record.Accepted, nil), nil, 0},
		{"cancelled", finish(record.Cancelled, nil), nil, 0},
		{"failed", finish(record.Failed, &record.Failure{Kind: "refused-by-acs", Detail: "The recipient is blocked."}), []string{"The recipient is blocked."}, 0},
		{"unknown for good", finish(record.Unknown, nil), []string{"It may or may not have been sent."}, 0},
		{"it stands elsewhere", func(ctx context.Context, h *gatewaytest.Harness, r *record.Record) error {
			r.Spooled = store.Key{Partition: "elsewhere", Row: "1"}
			return h.Records.MarkResolving(ctx, r)
		}, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = silence(false)
				r := waits(t, h, gatewaytest.Small("one"), "")
				h.Play(t, 20*time.Second)
				asked := len(h.ACS.Asked)
				if err := c.meddle(t.Context(), h, reads(t, h, r)); err != nil {
					t.Fatal(err)
				}
				h.Play(t, 20*time.Minute)
				if len(h.ACS.Asked) != asked+c.asks || len(h.ACS.Arrivals) != 1 {
					t.Errorf("%d questions more, %d calls", len(h.ACS.Asked)-asked, len(h.ACS.Arrivals))
				}
				if lines, blobs, reasons := left(t, h); lines != 0 || blobs != len(c.reasons) || !slices.Equal(reasons, c.reasons) {
					t.Errorf("%d lines, %d blobs, the operator sees %q", lines, blobs, reasons)
				}
			})
		})
	}
}

// ACS took a message, gave no answer, and failed to send it: the record says what ACS says.
func TestWhatACSHasFailedAfterADoubtIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = silence(true)
		r := waits(t, h, gatewaytest.Small("one"), "")
		h.ACS.FateErr = errReset // so that it is not asked too soon
		h.Play(t, 30*time.Second)
		h.ACS.Lock()
		h.ACS.Known[r.OperationID], h.ACS.FateErr = "EmailDropped", nil
		h.ACS.Unlock()
		h.Play(t, 3*time.Minute)
		got := reads(t, h, r)
		if got.State != record.Failed || got.Failure == nil || *got.Failure != (record.Failure{Kind: "refused-by-acs", Detail: "gave up", Upstream: "EmailDropped"}) {
			t.Errorf("the record is %+v, %+v", got, got.Failure)
		}
		if lines, _, reasons := left(t, h); lines != 0 || !slices.Equal(reasons, []string{"gave up"}) || len(h.ACS.Arrivals) != 1 {
			t.Errorf("%d lines, the operator sees %q, %d calls", lines, reasons, len(h.ACS.Arrivals))
		}
	})
}

// The record cannot be read when ACS is to be asked, or what ACS says cannot be written:
// the message keeps its place, and is asked about when they can.
func TestAQuestionThatStorageHinderedIsAskedLater(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		site  sim.Site
		asked bool
	}{
		{"the record cannot be read", sim.Site{Where: "records", Op: mem.Get}, false},
		{"the record cannot be written", sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, tr := troubled(t)
				w.Play()
				cr := newCrowd(w)
				cr.offer(t, shop, "", sim.Message("one", `"delivery":{"sendAt":"`+rfc(10*time.Second)+`"}`))
				cr.all.Wait()
				var offers, asks atomic.Int64
				tr.set(func(s sim.Site) sim.Fault {
					switch {
					case s.Op == sim.Offer:
						offers.Add(1)
						return sim.Lose
					case s.Op == sim.Ask:
						asks.Add(1)
					case s == c.site && offers.Load() > 0:
						return sim.Refuse
					}
					return sim.Pass
				})
				time.Sleep(2 * time.Minute)
				if offers.Load() != 1 || asks.Load() > 0 != c.asked || w.Waiting() != 1 {
					t.Errorf("%d calls, %d questions, %d rows", offers.Load(), asks.Load(), w.Waiting())
				}
				tr.set(nil)
				time.Sleep(2 * time.Minute)
				w.Stop()
				if states, _ := w.Ends(t.Context(), cr.promises); states[record.Accepted] != 1 {
					t.Errorf("ends %v", states)
				}
				ends(t, w, cr)
			})
		})
	}
}
