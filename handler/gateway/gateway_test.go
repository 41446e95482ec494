package gateway_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
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
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var errReset = errors.New("connection reset")

func request(body string) gateway.Request {
	return gateway.Request{Caller: gatewaytest.Shop, Body: strings.NewReader(body)}
}

var plenty = quota.Limits{PerMinute: 1000, PerHour: 1000}

func TestAMessageIsSentAndItsRecordTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		answer, err := h.Send(t.Context(), request(gatewaytest.Small("one")))
		if err != nil || answer.Record.State != record.Accepted || answer.Replayed {
			t.Fatalf("got %+v, %v", answer, err)
		}
		rec, err := h.Find(t.Context(), gatewaytest.Shop, answer.Record.ID)
		if err != nil || rec.State != record.Accepted {
			t.Errorf("the record is %+v, %v", rec, err)
		}
		if len(h.ACS.Sent) != 1 || h.ACS.Sent[0].Content.Subject != "one" {
			t.Errorf("ACS has %+v", h.ACS.Sent)
		}
	})
}

func TestAnAttachmentThatDoesNotFitBecomesALink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		answer, err := h.Send(t.Context(), request(gatewaytest.Large()))
		if err != nil {
			t.Fatal(err)
		}
		sent := h.ACS.Sent[0]
		if len(sent.Attachments) != 0 || len(answer.Record.Moved) != 1 || h.Visible(t) != 1 {
			t.Fatalf("attachments sent %d, moved %d, blobs %d", len(sent.Attachments), len(answer.Record.Moved), h.Visible(t))
		}
		_, after, found := strings.Cut(sent.Content.PlainText, "https://mail.example.com/files/")
		if !found {
			t.Fatalf("no link in %q", sent.Content.PlainText)
		}
		token := strings.Fields(after)[0]
		if _, err := h.Open(t.Context(), token, 0, ""); err != nil {
			t.Errorf("the link does not open: %v", err)
		}
		if strings.Contains(h.Log.String(), token) {
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
		{"cut off half-way", request(gatewaytest.Large()[:len(gatewaytest.Large())/2]), problem.MalformedJSON},
		{"not the signed body", gateway.Request{Caller: gatewaytest.Shop, Body: strings.NewReader(gatewaytest.Large()), BodySHA256: wrong[:]}, problem.Unauthenticated},
		{"no recipient", request(strings.Replace(gatewaytest.Small("x"), `{"address":"ann@example.com"}`, "", 1)), problem.InvalidMessage},
		{"unknown member", request(strings.Replace(gatewaytest.Small("x"), `"content"`, `"Content":{},"content"`, 1)), problem.InvalidMessage},
		{"nonsense of when to send", request(strings.TrimSuffix(gatewaytest.Small("x"), "}") + `,"delivery":{"whenBusy":"never"}}`), problem.InvalidMessage},
		{"policy", gateway.Request{Caller: withoutSenders(), Body: strings.NewReader(gatewaytest.Small("x"))}, problem.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				if _, err := h.Send(t.Context(), c.req); !problem.Is(err, c.want) {
					t.Errorf("got %v", err)
				}
				if len(h.ACS.Arrivals) != 0 || h.Visible(t) != 0 || h.Quota(mail.CustomDomain).Known {
					t.Errorf("calls %d, blobs %d, quota touched %t", len(h.ACS.Arrivals), h.Visible(t), h.Quota(mail.CustomDomain).Known)
				}
				if _, err := h.Send(t.Context(), request(gatewaytest.Small("next"))); err != nil {
					t.Errorf("the next request: %v", err)
				}
			})
		})
	}
}

func withoutSenders() caller.Caller {
	c := gatewaytest.Shop
	c.Policy.Senders = nil
	return c
}

func TestACallerThatGoesAwayLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		half := io.MultiReader(strings.NewReader(gatewaytest.Large()[:len(gatewaytest.Large())/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		req := gateway.Request{Caller: gatewaytest.Shop, Body: half}
		if _, err := h.Send(t.Context(), req); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if len(h.ACS.Arrivals) != 0 || h.Visible(t) != 0 {
			t.Errorf("calls %d, blobs %d", len(h.ACS.Arrivals), h.Visible(t))
		}
	})
}

// A caller that leaves while its message is claimed does not leave its id claimed.
func TestACallerThatGoesAwayDuringTheClaimCanComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.Slow(mem.Insert, time.Second)
		ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer leave()
		named := func() gateway.Request {
			r := request(gatewaytest.Large())
			r.IdempotencyKey = "k"
			return r
		}
		if _, err := h.Send(ctx, named()); err == nil {
			t.Fatal("a caller that had gone was answered")
		}
		h.Working()
		if answer, err := h.Send(t.Context(), named()); err != nil || answer.Replayed {
			t.Errorf("coming back: replayed %t, %v", answer.Replayed, err)
		}
		if len(h.ACS.Sent) != 1 || h.Visible(t) != 1 {
			t.Errorf("sent %d, blobs %d", len(h.ACS.Sent), h.Visible(t))
		}
	})
}

// The end is told even if ACS has used up all the time there was for the call.
func TestACallThatRunsOutOfTimeIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = func(*mail.Message) (bool, error) {
			time.Sleep(time.Minute)
			return true, fmt.Errorf("%w: %w", gateway.ErrDoubt, context.DeadlineExceeded)
		}
		answer, err := h.Send(t.Context(), request(gatewaytest.Small("1")))
		if err != nil || answer.Record.State != record.Accepted {
			t.Fatalf("got %+v, %v", answer, err)
		}
		if rec, err := h.Find(t.Context(), gatewaytest.Shop, answer.Record.ID); err != nil || rec.State != record.Accepted {
			t.Errorf("the record is %+v, %v", rec, err)
		}
	})
}

// Once ACS may have the message, the caller's going away changes nothing.
func TestACallerThatGoesAwayWhileACSIsAskedIsToldLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		ctx, leave := context.WithCancel(t.Context())
		h.ACS.Answer = func(*mail.Message) (bool, error) {
			leave()
			return true, fmt.Errorf("%w: %w", gateway.ErrDoubt, errReset)
		}
		req := request(gatewaytest.Large())
		req.IdempotencyKey = "k"
		if _, err := h.Send(ctx, req); err != nil {
			t.Fatal(err)
		}
		again := request(gatewaytest.Large())
		again.IdempotencyKey = "k"
		answer, err := h.Send(t.Context(), again)
		if err != nil || !answer.Replayed || answer.Record.State != record.Accepted {
			t.Errorf("got %+v, %v", answer, err)
		}
		if len(h.ACS.Sent) != 1 || h.Visible(t) != 1 {
			t.Errorf("sent %d, blobs %d", len(h.ACS.Sent), h.Visible(t))
		}
	})
}

func TestOneIdIsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		send := func(key, body string) (gateway.Answer, error) {
			req := request(body)
			req.IdempotencyKey = key
			return h.Send(t.Context(), req)
		}
		first, err := send("k", gatewaytest.Small("one"))
		if err != nil {
			t.Fatal(err)
		}
		// The same message in other words: members turned round, an escape.
		turned := `{"recipients":{"to":[{"address":"ann@EXAMPLE.com"}]},"content":{"plainText":"Hello","subject":"\u006fne"},"senderAddress":"donotreply@example.com"}`
		second, err := send("k", turned)
		if err != nil || !second.Replayed || second.Record.ID != first.Record.ID {
			t.Errorf("the repeat got %+v, %v", second, err)
		}
		if _, err := send("k", gatewaytest.Small("two")); !problem.Is(err, problem.KeyReused) {
			t.Errorf("another message with the key got %v", err)
		}
		if _, err := send("l", gatewaytest.Small("one")); err != nil {
			t.Errorf("another key got %v", err)
		}
		if len(h.ACS.Sent) != 2 {
			t.Errorf("ACS has %d messages, want 2", len(h.ACS.Sent))
		}
	})
}

func TestManyRequestsWithOneIdSendOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				req := request(gatewaytest.Small("one"))
				req.IdempotencyKey = "k"
				if _, err := h.Send(t.Context(), req); err != nil && !problem.Is(err, problem.InProgress) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if len(h.ACS.Sent) != 1 {
			t.Errorf("ACS has %d messages, want 1", len(h.ACS.Sent))
		}
	})
}

// Whatever storage does to whichever kind of call: nothing is sent that was not
// reserved, nothing is readable that was not sent, and then all is well again.
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
					h := gatewaytest.New(t, plenty)
					h.Failing(op, outcome)
					_, err := h.Send(t.Context(), request(gatewaytest.Large()))
					if err != nil && !problem.Is(err, problem.Unavailable) {
						t.Errorf("got %v", err)
					}
					if got := h.Visible(t); got != len(h.ACS.Sent) {
						t.Errorf("%d blobs are readable, %d messages sent", got, len(h.ACS.Sent))
					}
					if err == nil != (len(h.ACS.Sent) == 1) {
						t.Errorf("answer %v, sent %d", err, len(h.ACS.Sent))
					}
					// A token may have been spent for nothing, the window is wide.
					if _, err := h.Send(t.Context(), request(gatewaytest.Small("next"))); err != nil {
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
		h := gatewaytest.New(t, quota.CustomDomainSend)
		start := time.Now()
		end := start.Add(3 * time.Hour)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for time.Now().Before(end) {
					_, err := h.Send(t.Context(), request(gatewaytest.Refusing(gatewaytest.Small(strconv.Itoa(i)))))
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
		at := h.ACS.Arrivals
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
