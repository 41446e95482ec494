package gateway_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// The links of a message that is dropped go with it, unless it may have been sent, or
// others have them too.
func TestADropWithdrawsTheLinksOfWhatWasNotSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answer   func(*mail.Message) (bool, error)
		together bool
		revoked  bool
	}{
		{"not sent", refusal, false, true},
		{"it may have been sent", failure, false, false},
		{"others have them", refusal, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = c.answer
				var r *record.Record
				if c.together {
					sent, err := h.SendAll(t.Context(), request(together()), sendgrid.Source())
					if err != nil || len(sent) != 2 {
						t.Fatal(sent, err)
					}
					r = sent[0].Record
					h.Play(t, 10*time.Minute)
				} else {
					r, _ = given(t, h, gatewaytest.Large())
				}
				d, _, err := h.DeadMessage(t.Context(), r.ID)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := h.DeadDrop(t.Context(), d); err != nil {
						t.Errorf("the drop got %v", err)
					}
				}
				found, err := h.Find(t.Context(), gatewaytest.Shop, r.ID)
				if err != nil || len(found.Moved) != 1 || found.Revoked != c.revoked {
					t.Errorf("%+v, %v", found, err)
				}
				if _, _, err := h.DeadMessage(t.Context(), r.ID); !problem.Is(err, problem.NotFound) {
					t.Errorf("it is in the list still: %v", err)
				}
			})
		})
	}
}

// What was put back is not failed by dropping what is left of its first place.
func TestADropOfWhatWasPutBackLeavesItsLinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = refusal
		r, d := given(t, h, gatewaytest.Large())
		if err := h.DeadRetry(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		h.Play(t, 10*time.Minute) // and it is given up again
		if err := h.DeadDrop(t.Context(), d); err != nil {
			t.Errorf("the drop got %v", err)
		}
		found, err := h.Find(t.Context(), gatewaytest.Shop, r.ID)
		if err != nil || found.Revoked || h.Visible(t) != 1 {
			t.Errorf("%+v, %v; %d files", found, err, h.Visible(t))
		}
		if _, m, err := h.DeadMessage(t.Context(), r.ID); err != nil || m == nil {
			t.Errorf("the second one is %+v, %v", m, err)
		}
	})
}

// A record may be gone before the operator drops its message.
func TestADropOfWhatHasNoRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = refusal
		r, d := given(t, h, gatewaytest.Small("one"))
		if err := h.Records.Release(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		h.Failing(mem.Get, mem.Refused)
		if err := h.DeadDrop(t.Context(), d); !problem.Is(err, problem.Unavailable) {
			t.Errorf("without storage the drop got %v", err)
		}
		h.Working()
		if _, blobs, reasons := left(t, h); blobs != 1 || len(reasons) != 1 {
			t.Errorf("after the drop without storage: %d blobs, the operator sees %q", blobs, reasons)
		}
		if err := h.DeadDrop(t.Context(), d); err != nil {
			t.Errorf("the drop got %v", err)
		}
		if _, blobs, reasons := left(t, h); blobs != 0 || len(reasons) != 0 {
			t.Errorf("%d blobs, the operator sees %q", blobs, reasons)
		}
	})
}

// The operator sees all of a list that storage gives out in pages, the oldest first.
func TestTheOperatorSeesAllPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 199, 200, 201, 400} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				line := spool.Line{Caller: "shop"}
				for i := range n {
					since := time.Now().Add(time.Duration(i) * time.Second)
					entry := spool.Entry{Key: spool.KeyFor(line, since, "x"), Line: line, Due: since, ID: strconv.Itoa(i)}
					if err := h.Spool.MoveToDeadLetters(t.Context(), spool.DeadLetter{Entry: entry, At: since, Reason: "no"}); err != nil {
						t.Fatal(err)
					}
				}
				all, err := h.Dead(t.Context())
				if err != nil || len(all) != n {
					t.Fatalf("%d, %v", len(all), err)
				}
				for i, d := range all {
					if d.ID != strconv.Itoa(i) {
						t.Fatalf("in place %d is %s", i, d.ID)
					}
				}
			})
		})
	}
}

// together is a body of SendGrid's for two recipients, each of whom gets a message, with
// an attachment that moves.
func together() string {
	return fmt.Sprintf(`{"personalizations":[{"to":[{"email":"ann@example.com"}]},{"to":[{"email":"bob@example.com"}]}],"from":{"email":"donotreply@example.com"},`+
		`"subject":"one","content":[{"type":"text/plain","value":"Hello"}],"send_at":%d,"attachments":[{"filename":"a.bin","content":"%s"}]}`,
		time.Now().Add(10*time.Second).Unix(), strings.Repeat("QUJD", 2000))
}
