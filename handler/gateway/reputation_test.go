package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Whatever way ACS says no on, and whatever way the message came, it counts against who
// sent it; what nobody has refused does not.
func TestWhatACSRefusesCountsAgainstWhoSentIt(t *testing.T) {
	t.Parallel()
	refuse := func(*mail.Message) (bool, error) {
		return false, problem.New(problem.RefusedByACS, "ACS refused the message: no such recipient")
	}
	for _, c := range []struct {
		name   string
		hook   string
		answer func(*mail.Message) (bool, error)
		known  string // what ACS then says of what it has taken
		quota  quota.Limits
		paused string
	}{
		{"refused at once", "", refuse, "", quota.Limits{PerMinute: 100, PerHour: 1000}, "shop"},
		{"refused after a wait", "", refuse, "", quota.Limits{PerMinute: 5, PerHour: 1000}, "shop"},
		{"refused, by a hook", "contact", refuse, "", quota.Limits{PerMinute: 100, PerHour: 1000}, "contact"},
		{"dropped later, as a poll learns", "", nil, "EmailDroppedAllRecipientsSuppressed", quota.Limits{PerMinute: 100, PerHour: 1000}, "shop"},
		{"dropped later, by a hook", "contact", nil, "EmailDropped", quota.Limits{PerMinute: 100, PerHour: 1000}, "contact"},
		{"all was taken", "", nil, "", quota.Limits{PerMinute: 100, PerHour: 1000}, ""},
		{"ACS is away", "", func(*mail.Message) (bool, error) { return false, problem.New(problem.ACSFailed, "away") }, "", quota.Limits{PerMinute: 100, PerHour: 1000}, ""},
		{"the sender is unknown", "", func(*mail.Message) (bool, error) {
			return false, problem.New(problem.ACSMisconfigured, "no such sender")
		}, "", quota.Limits{PerMinute: 100, PerHour: 1000}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, c.quota)
				h.ACS.Answer = c.answer
				for range reputation.Least + 5 { // some may wait while ACS is away
					req := request(gatewaytest.Small("hello"))
					req.Hook = c.hook
					answer, _ := h.Send(t.Context(), req)
					time.Sleep(2 * time.Second)
					if c.known != "" {
						h.ACS.Lock()
						h.ACS.Known[answer.Record.OperationID] = c.known
						h.ACS.Unlock()
						time.Sleep(2 * time.Second)
						if _, err := h.Find(t.Context(), gatewaytest.Shop, answer.Record.ID); err != nil {
							t.Fatal(err)
						}
					}
				}
				h.Play(t, 10*time.Minute)
				var paused string
				h.Lists.Suspended.Range(func(name, _ any) bool { paused += name.(string); return true })
				if paused != c.paused {
					t.Errorf("paused %q, want %q", paused, c.paused)
				}
			})
		})
	}
}
