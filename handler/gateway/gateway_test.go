package gateway_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var plenty = quota.Limits{PerMinute: 1000, PerHour: 1000}

func TestAMessageIsSentAndItsRecordTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		answer, err := h.Send(t.Context(), request(small("one")))
		if err != nil || answer.Record.State != record.Accepted || answer.Replayed {
			t.Fatalf("got %+v, %v", answer, err)
		}
		rec, err := h.Find(t.Context(), shop, answer.Record.ID)
		if err != nil || rec.State != record.Accepted {
			t.Errorf("the record is %+v, %v", rec, err)
		}
		if len(h.acs.sent) != 1 || h.acs.sent[0].Content.Subject != "one" {
			t.Errorf("ACS has %+v", h.acs.sent)
		}
	})
}

func TestAnAttachmentThatDoesNotFitBecomesALink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		answer, err := h.Send(t.Context(), request(large()))
		if err != nil {
			t.Fatal(err)
		}
		sent := h.acs.sent[0]
		if len(sent.Attachments) != 0 || len(answer.Record.Moved) != 1 || h.visible(t) != 1 {
			t.Fatalf("attachments sent %d, moved %d, blobs %d", len(sent.Attachments), len(answer.Record.Moved), h.visible(t))
		}
		_, after, found := strings.Cut(sent.Content.PlainText, "https://mail.example.com/files/")
		if !found {
			t.Fatalf("no link in %q", sent.Content.PlainText)
		}
		token := strings.Fields(after)[0]
		if _, err := h.Open(t.Context(), token); err != nil {
			t.Errorf("the link does not open: %v", err)
		}
		if strings.Contains(h.log.String(), token) {
			t.Error("the token is in the log")
		}
	})
}

// A body that fails leaves nothing: no call, no blob, no record, no token spent.
func TestWhatIsRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	wrong := sha256.Sum256([]byte("another body"))
	for _, c := range []struct {
		name string
		req  gateway.Request
		want problem.Kind
	}{
		{"cut off half-way", request(large()[:len(large())/2]), problem.MalformedJSON},
		{"not the signed body", gateway.Request{Caller: shop, Body: strings.NewReader(large()), BodySHA256: wrong[:]}, problem.Unauthenticated},
		{"no recipient", request(strings.Replace(small("x"), `{"address":"ann@example.com"}`, "", 1)), problem.InvalidMessage},
		{"unknown member", request(strings.Replace(small("x"), `"content"`, `"Content":{},"content"`, 1)), problem.InvalidMessage},
		{"not served yet", request(strings.TrimSuffix(small("x"), "}") + `,"delivery":{"whenBusy":"wait"}}`), problem.NotAvailable},
		{"policy", gateway.Request{Caller: withoutSenders(), Body: strings.NewReader(small("x"))}, problem.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, plenty)
				if _, err := h.Send(t.Context(), c.req); !problem.Is(err, c.want) {
					t.Errorf("got %v", err)
				}
				if len(h.acs.arrivals) != 0 || h.visible(t) != 0 || h.Quota().Known {
					t.Errorf("calls %d, blobs %d, quota touched %t", len(h.acs.arrivals), h.visible(t), h.Quota().Known)
				}
				if _, err := h.Send(t.Context(), request(small("next"))); err != nil {
					t.Errorf("the next request: %v", err)
				}
			})
		})
	}
}

func withoutSenders() caller.Caller {
	c := shop
	c.Policy.Senders = nil
	return c
}

func TestACallerThatGoesAwayLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		half := io.MultiReader(strings.NewReader(large()[:len(large())/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		req := gateway.Request{Caller: shop, Body: half}
		if _, err := h.Send(t.Context(), req); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if len(h.acs.arrivals) != 0 || h.visible(t) != 0 {
			t.Errorf("calls %d, blobs %d", len(h.acs.arrivals), h.visible(t))
		}
	})
}

// Once ACS may have the message, the caller's going away changes nothing.
func TestACallerThatGoesAwayWhileACSIsAskedIsToldLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		ctx, leave := context.WithCancel(t.Context())
		h.acs.answer = func(*mail.Message) (bool, error) {
			leave()
			return true, fmt.Errorf("%w: %w", gateway.ErrDoubt, errReset)
		}
		req := request(large())
		req.IdempotencyKey = "k"
		if _, err := h.Send(ctx, req); err != nil {
			t.Fatal(err)
		}
		again := request(large())
		again.IdempotencyKey = "k"
		answer, err := h.Send(t.Context(), again)
		if err != nil || !answer.Replayed || answer.Record.State != record.Accepted {
			t.Errorf("got %+v, %v", answer, err)
		}
		if len(h.acs.sent) != 1 || h.visible(t) != 1 {
			t.Errorf("sent %d, blobs %d", len(h.acs.sent), h.visible(t))
		}
	})
}

func TestAnswersOfACS(t *testing.T) {
	t.Parallel()
	doubt := fmt.Errorf("%w: %w", gateway.ErrDoubt, errReset)
	busy := problem.New(problem.ACSBusy, "wait")
	busy.RetryAfter = 40 * time.Second
	refused := problem.New(problem.RefusedByACS, "no")
	refused.Upstream = "InvalidEmailAddress"
	const sent = "sent"
	for _, c := range []struct {
		name   string
		taken  bool
		err    error
		fate   error
		failed string // the operation's code, if ACS then failed it
		want   string // a problem's slug, or sent
		state  record.State
		blobs  int
	}{
		{"accepted", true, nil, nil, "", sent, record.Accepted, 1},
		{"lost after acceptance", true, doubt, nil, "", sent, record.Accepted, 1},
		{"lost before acceptance", false, doubt, nil, "", "acs-failed", "none", 0},
		{"lost, and ACS cannot be asked", true, doubt, errReset, "", sent, record.Unknown, 1},
		{"lost, then failed by ACS", true, doubt, nil, "EmailDropped", "refused-by-acs", record.Failed, 0},
		{"refused", false, refused, nil, "", "refused-by-acs", record.Failed, 0},
		{"busy", false, busy, nil, "", "acs-busy", "none", 0},
		{"misconfigured", false, problem.New(problem.ACSMisconfigured, "no"), nil, "", "acs-misconfigured", "none", 0},
		{"not reached", false, problem.New(problem.ACSFailed, "no"), nil, "", "acs-failed", "none", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, plenty)
				h.acs.answer = func(*mail.Message) (bool, error) { return c.taken, c.err }
				h.acs.fate = c.fate
				req := request(large())
				req.OperationID = "11111111-1111-4111-8111-111111111111"
				if c.failed != "" {
					h.acs.answer = func(*mail.Message) (bool, error) {
						go func() {
							time.Sleep(100 * time.Millisecond)
							h.acs.mu.Lock()
							defer h.acs.mu.Unlock()
							for id := range h.acs.known {
								h.acs.known[id] = c.failed
							}
						}()
						return true, c.err
					}
				}
				_, err := h.Send(t.Context(), req)
				got := sent
				if err != nil {
					got = problem.Of(err).Kind.Slug()
				}
				if got != c.want {
					t.Errorf("got %s (%v), want %s", got, err, c.want)
				}
				state := record.State("none")
				if rec, err := h.Find(t.Context(), shop, req.OperationID); err == nil {
					state = rec.State
				}
				if state != c.state || h.visible(t) != c.blobs || len(h.acs.arrivals) != 1 {
					t.Errorf("state %s, blobs %d, calls %d; want %s, %d, 1", state, h.visible(t), len(h.acs.arrivals), c.state, c.blobs)
				}
			})
		})
	}
}

// After a 429 of ACS nobody calls before its Retry-After is over.
func TestABusyACSIsLeftInPeace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		busy := problem.New(problem.ACSBusy, "wait")
		busy.RetryAfter = 40 * time.Second
		h.acs.answer = func(*mail.Message) (bool, error) { return false, busy }
		if _, err := h.Send(t.Context(), request(small("1"))); !problem.Is(err, problem.ACSBusy) {
			t.Fatalf("got %v", err)
		}
		h.acs.answer = nil
		_, err := h.Send(t.Context(), request(small("2")))
		if !problem.Is(err, problem.OverQuota) || len(h.acs.arrivals) != 1 {
			t.Fatalf("got %v after %d calls", err, len(h.acs.arrivals))
		}
		time.Sleep(problem.Of(err).RetryAfter)
		if _, err := h.Send(t.Context(), request(small("3"))); err != nil {
			t.Errorf("after Retry-After: %v", err)
		}
	})
}

func TestOneIdIsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		send := func(key, body string) (gateway.Answer, error) {
			req := request(body)
			req.IdempotencyKey = key
			return h.Send(t.Context(), req)
		}
		first, err := send("k", small("one"))
		if err != nil {
			t.Fatal(err)
		}
		// The same message in other words: members turned round, an escape.
		turned := `{"recipients":{"to":[{"address":"ann@EXAMPLE.com"}]},"content":{"plainText":"Hello","subject":"\u006fne"},"senderAddress":"donotreply@example.com"}`
		second, err := send("k", turned)
		if err != nil || !second.Replayed || second.Record.ID != first.Record.ID {
			t.Errorf("the repeat got %+v, %v", second, err)
		}
		if _, err := send("k", small("two")); !problem.Is(err, problem.KeyReused) {
			t.Errorf("another message with the key got %v", err)
		}
		if _, err := send("l", small("one")); err != nil {
			t.Errorf("another key got %v", err)
		}
		if len(h.acs.sent) != 2 {
			t.Errorf("ACS has %d messages, want 2", len(h.acs.sent))
		}
	})
}

func TestManyRequestsWithOneIdSendOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, plenty)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				req := request(small("one"))
				req.IdempotencyKey = "k"
				if _, err := h.Send(t.Context(), req); err != nil && !problem.Is(err, problem.InProgress) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if len(h.acs.sent) != 1 {
			t.Errorf("ACS has %d messages, want 1", len(h.acs.sent))
		}
	})
}

// Whatever storage does to whichever kind of call: nothing is sent that was not
// booked, nothing is readable that was not sent, and then all is well again.
func TestStorageFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []mem.Op{"", mem.Insert, mem.Get, mem.Replace, mem.Stage, mem.Commit} {
		for _, outcome := range []mem.Outcome{mem.Refused, mem.Lost, mem.Repeated} {
			name := string(op)
			if name == "" {
				name = "everything"
			}
			t.Run(fmt.Sprintf("%s %d", name, outcome), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newHouse(t, plenty)
					h.failing(op, outcome)
					_, err := h.Send(t.Context(), request(large()))
					if err != nil && !problem.Is(err, problem.Unavailable) {
						t.Errorf("got %v", err)
					}
					if got := h.visible(t); got != len(h.acs.sent) {
						t.Errorf("%d blobs are readable, %d messages sent", got, len(h.acs.sent))
					}
					if err == nil != (len(h.acs.sent) == 1) {
						t.Errorf("answer %v, sent %d", err, len(h.acs.sent))
					}
					// A token may have been spent for nothing, the window is wide.
					if _, err := h.Send(t.Context(), request(small("next"))); err != nil {
						t.Errorf("the next request: %v", err)
					}
				})
			})
		}
	}
}

// A thousand messages at the quota of a new subscription, offered at once and
// again as each refusal says: exactly what is allowed arrives, in every window.
func TestTheQuotaIsUsedUpAndNeverPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, quota.CustomDomainSend)
		start := time.Now()
		end := start.Add(3 * time.Hour)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for time.Now().Before(end) {
					_, err := h.Send(t.Context(), request(small(fmt.Sprint(i))))
					if err == nil {
						return
					}
					if !problem.Is(err, problem.OverQuota) || problem.Of(err).RetryAfter <= 0 {
						t.Errorf("got %v", err)
						return
					}
					time.Sleep(problem.Of(err).RetryAfter)
				}
			})
		}
		all.Wait()
		at := h.acs.arrivals
		for i := range at {
			if j := i + quota.CustomDomainSend.PerMinute; j < len(at) && at[j].Sub(at[i]) < time.Minute {
				t.Fatalf("31 calls within %s", at[j].Sub(at[i]))
			}
			if j := i + quota.CustomDomainSend.PerHour; j < len(at) && at[j].Sub(at[i]) < time.Hour {
				t.Fatalf("101 calls within %s", at[j].Sub(at[i]))
			}
		}
		within := func(d time.Duration) (n int) {
			for _, a := range at {
				if a.Sub(start) < d {
					n++
				}
			}
			return n
		}
		if m, hr, three := within(time.Minute), within(time.Hour), within(3*time.Hour); m != 30 || hr != 100 || three < 290 {
			t.Errorf("%d in the first minute, %d in the first hour, %d in three; want 30, 100, about 300", m, hr, three)
		}
	})
}
