package rest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// The headers of an answer, and GET /quota, tell the quota of the sender's kind of domain.
func TestTheQuotaIsToldOfTheSendersKindOfDomain(t *testing.T) {
	t.Parallel()
	const (
		ofCustom  = `"minute";q=7;w=60, "hour";q=70;w=3600`
		ofManaged = `"minute";q=5;w=60, "hour";q=10;w=3600`
		custom    = "donotreply@example.com"
		managed   = "DoNotReply@0b5d1e5c.azurecomm.net"
	)
	from := func(sender string) string { return strings.Replace(gatewaytest.Small("x"), custom, sender, 1) }
	for _, c := range []struct {
		name    string
		senders []string
		sender  string // of a message
		// policy is the header of the message's answer, asked that of GET /quota.
		policy, asked string
		domain        string // in GET /quota
		hour          int    // what is left there
		managed       int    // what is left of the Azure-managed domain beside it; -1: not told
	}{
		{"a custom domain", []string{custom}, custom, ofCustom, ofCustom, "custom", 69, -1},
		{"the Azure-managed domain", []string{managed}, managed, ofManaged, ofManaged, "managed", 9, -1},
		{"a custom domain of a caller of both", []string{custom, managed}, custom, ofCustom, ofCustom, "custom", 69, 10},
		{"the Azure-managed domain of a caller of both", []string{custom, managed}, managed, ofManaged, ofCustom, "custom", 70, 9},
		{"a custom domain of a caller of all", []string{caller.Any}, custom, ofCustom, ofCustom, "custom", 69, -1},
		{"the Azure-managed domain of a caller of all", []string{caller.Any}, managed, ofManaged, ofCustom, "custom", 70, 9},
		{"a sender that is not allowed", []string{managed}, custom, ofManaged, ofManaged, "managed", 10, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, quota.Limits{PerMinute: 7, PerHour: 70})
			if err := d.callers.SetPolicy(t.Context(), "shop", caller.Policy{Senders: c.senders, RecipientDomains: []string{caller.Any}}); err != nil {
				t.Fatal(err)
			}
			res := d.do(t, d.request(t, "POST", "/emails:send", from(c.sender)))
			if got := res.Header.Get("RateLimit-Policy"); got != c.policy {
				t.Errorf("%d, RateLimit-Policy is %s, want %s", res.StatusCode, got, c.policy)
			}
			res = d.do(t, d.request(t, "GET", "/quota", ""))
			if got := res.Header.Get("RateLimit-Policy"); res.StatusCode != http.StatusOK || got != c.asked {
				t.Errorf("%d, RateLimit-Policy is %s, want %s", res.StatusCode, got, c.asked)
			}
			type ledger struct{ Remaining struct{ Hour int } }
			var told struct {
				ledger
				Domain        string
				ManagedDomain *ledger
			}
			if err := json.Unmarshal([]byte(res.text), &told); err != nil {
				t.Fatal(err)
			}
			beside := -1
			if told.ManagedDomain != nil {
				beside = told.ManagedDomain.Remaining.Hour
			}
			if told.Domain != c.domain || told.Remaining.Hour != c.hour || beside != c.managed {
				t.Errorf("GET /quota is %s", res.text)
			}
		})
	}
}
