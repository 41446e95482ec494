package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
)

// A message that is more urgent than its caller's policy allows is refused, with
// the rule that says so; nothing is sent.
func TestAMessageIsNoMoreUrgentThanItsCallerMayBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		policy   mail.Priority
		priority string // of the message; "" says none
		taken    bool
	}{
		{"no rule, high", "", "high", true},
		{"high, high", mail.PriorityHigh, "high", true},
		{"normal, high", mail.PriorityNormal, "high", false},
		{"normal, normal", mail.PriorityNormal, "normal", true},
		{"normal, none", mail.PriorityNormal, "", true},
		{"normal, bulk", mail.PriorityNormal, "bulk", true},
		{"bulk, high", mail.PriorityBulk, "high", false},
		{"bulk, normal", mail.PriorityBulk, "normal", false},
		{"bulk, none", mail.PriorityBulk, "", false},
		{"bulk, bulk", mail.PriorityBulk, "bulk", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			if err := d.callers.SetPolicy(t.Context(), "shop", caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}, Priority: c.policy}); err != nil {
				t.Fatal(err)
			}
			body := gatewaytest.Small("1")
			if c.priority != "" {
				body = strings.TrimSuffix(body, "}") + `,"delivery":{"priority":"` + c.priority + `"}}`
			}
			res := d.do(t, d.request(t, "POST", "/emails:send", body))
			if c.taken {
				if res.StatusCode != http.StatusAccepted || len(d.ACS.Sent) != 1 {
					t.Errorf("%d %s, %d were sent", res.StatusCode, res.text, len(d.ACS.Sent))
				}
				return
			}
			doc := res.document(t)
			if res.StatusCode != http.StatusForbidden || res.slug(t) != "forbidden" || len(doc.Errors) != 1 || doc.Errors[0].Pointer != "/delivery/priority" ||
				!strings.Contains(doc.Errors[0].Detail, "nothing more urgent than `"+string(c.policy)+"`") || len(d.ACS.Arrivals) != 0 {
				t.Errorf("%d %s, ACS was called %d times", res.StatusCode, res.text, len(d.ACS.Arrivals))
			}
		})
	}
}
