package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func TestAnswersOfACS(t *testing.T) {
	t.Parallel()
	doubt := fmt.Errorf("%w: %w", gateway.ErrDoubt, errReset)
	failing := fmt.Errorf("%w: %w", gateway.ErrFailing, errReset)
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
		{"lost, and never seen", false, doubt, nil, "", sent, record.Unknown, 1},
		{"an error of ACS, and never seen", false, failing, nil, "", "acs-failed", record.Failed, 0},
		{"an error of ACS, and accepted", true, failing, nil, "", sent, record.Accepted, 1},
		{"lost, and ACS cannot be asked", true, doubt, errReset, "", sent, record.Unknown, 1},
		{"lost, then failed by ACS", true, doubt, nil, "EmailDropped", "refused-by-acs", record.Failed, 0},
		{"refused", false, refused, nil, "", "refused-by-acs", record.Failed, 0},
		{"busy", false, busy, nil, "", "acs-busy", record.Failed, 0},
		{"misconfigured", false, problem.New(problem.ACSMisconfigured, "no"), nil, "", "acs-misconfigured", record.Failed, 0},
		{"not reached", false, problem.New(problem.ACSFailed, "no"), nil, "", "acs-failed", record.Failed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = func(*mail.Message) (bool, error) { return c.taken, c.err }
				h.ACS.FateErr = c.fate
				req := request(gatewaytest.Refusing(gatewaytest.Large()))
				req.OperationID = "11111111-1111-4111-8111-111111111111"
				if c.failed != "" {
					h.ACS.Answer = func(*mail.Message) (bool, error) {
						go func() {
							time.Sleep(100 * time.Millisecond)
							h.ACS.Lock()
							defer h.ACS.Unlock()
							for id := range h.ACS.Known {
								h.ACS.Known[id] = c.failed
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
				if rec, err := h.Find(t.Context(), gatewaytest.Shop, req.OperationID); err == nil {
					state = rec.State
				}
				if state != c.state || h.Visible(t) != c.blobs || len(h.ACS.Arrivals) != 1 {
					t.Errorf("state %s, blobs %d, calls %d; want %s, %d, 1", state, h.Visible(t), len(h.ACS.Arrivals), c.state, c.blobs)
				}
			})
		})
	}
}

// After a 429 of ACS nobody calls before its Retry-After is over.
func TestABusyACSIsLeftInPeace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		busy := problem.New(problem.ACSBusy, "wait")
		busy.RetryAfter = 40 * time.Second
		h.ACS.Answer = func(*mail.Message) (bool, error) { return false, busy }
		if _, err := h.Send(t.Context(), request(gatewaytest.Refusing(gatewaytest.Small("1")))); !problem.Is(err, problem.ACSBusy) {
			t.Fatalf("got %v", err)
		}
		h.ACS.Answer = nil
		_, err := h.Send(t.Context(), request(gatewaytest.Refusing(gatewaytest.Small("2"))))
		if !problem.Is(err, problem.OverQuota) || len(h.ACS.Arrivals) != 1 {
			t.Fatalf("got %v after %d calls", err, len(h.ACS.Arrivals))
		}
		time.Sleep(problem.Of(err).RetryAfter)
		if _, err := h.Send(t.Context(), request(gatewaytest.Refusing(gatewaytest.Small("3")))); err != nil {
			t.Errorf("after Retry-After: %v", err)
		}
	})
}
