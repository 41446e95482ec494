package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A queued message that makes the program panic is given up in the end. The process lives,
// the next message goes, and no log has the value of the panic.
func TestAQueuedMessageThatPanicsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set   func(h *gatewaytest.Harness, rec *record.Record)
		calls int // to ACS with the message, at most
		ends  record.State
	}{
		"before its fence": {func(h *gatewaytest.Harness, rec *record.Record) {
			fences := 0
			h.See(func(op mem.Op, key string) {
				if op == mem.Replace && strings.HasPrefix(key, rec.OperationID) {
					if fences++; fences <= 8 { // the next write ends it
						panic("what a message says")
					}
				}
			})
		}, 0, record.Failed},
		"in the call to ACS": {func(h *gatewaytest.Harness, _ *record.Record) {
			h.ACS.Answer = func(m *mail.Message) (bool, error) {
				if m.Content.Subject == "fatal" {
					panic("what a message says")
				}
				return true, nil
			}
		}, 4, record.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				later := func(subject string, d time.Duration) *record.Record {
					answer, err := h.Send(t.Context(), request(with(gatewaytest.Small(subject), `"delivery":{"sendAt":"`+since2000(d)+`"}`)))
					if err != nil {
						t.Fatal(err)
					}
					return answer.Record
				}
				fatal := later("fatal", time.Minute)
				next := later("next", time.Minute+time.Second)
				c.set(h, fatal)
				h.Play(t, 3*time.Minute)
				if r := reads(t, h, next); r.State != record.Accepted {
					t.Errorf("the next one is %s", r.State)
				}
				h.Play(t, 20*time.Minute)

				if r := reads(t, h, fatal); r.State != c.ends {
					t.Errorf("it is %s, want %s", r.State, c.ends)
				}
				if n := len(h.ACS.Arrivals); n > c.calls+1 {
					t.Errorf("%d calls to ACS", n)
				}
				if rows, _, reasons := left(t, h); rows != 0 || len(reasons) != 1 {
					t.Errorf("%d rows are left, dead letters %q", rows, reasons)
				}
				if log := h.Log.String(); !strings.Contains(log, "panic at ") || strings.Contains(log, "what a message says") {
					t.Errorf("the log says %s", log)
				}
			})
		})
	}
}
