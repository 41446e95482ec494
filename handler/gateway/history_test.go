package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/problem"
)

// A message is found by its caller and by each recipient, whatever became of it, and once.
func TestAMessageIsFoundByCallerAndRecipient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits quota.Limits
		body   string
		want   int // messages that are found
		kind   problem.Kind
		prep   func(h *gatewaytest.Harness, req *gateway.Request)
	}{
		"sent at once":        {plenty, gatewaytest.Small("one"), 1, 0, nil},
		"waits":               {plenty, with(gatewaytest.Small("one"), `"delivery":{"sendAt":"`+since2000(time.Hour)+`"}`), 1, 0, nil},
		"only recorded":       {plenty, gatewaytest.Small("one"), 1, 0, func(_ *gatewaytest.Harness, req *gateway.Request) { inSandbox(&req.Caller.Policy) }},
		"refused by ACS":      {plenty, gatewaytest.Small("one"), 1, problem.RefusedByACS, func(h *gatewaytest.Harness, _ *gateway.Request) { h.ACS.Answer = refusal }},
		"refused beforehand":  {plenty, strings.Replace(gatewaytest.Small("one"), "ann@", "ann", 1), 0, problem.InvalidMessage, nil},
		"the index is away":   {plenty, gatewaytest.Small("one"), 1, 0, func(h *gatewaytest.Harness, _ *gateway.Request) { h.IndexAway.Store(true) }},
		"with a copy hidden":  {plenty, strings.Replace(gatewaytest.Small("one"), `{"to":`, `{"bcc":[{"address":"bob@example.com"}],"to":`, 1), 1, 0, nil},
		"named, and repeated": {plenty, gatewaytest.Small("one"), 1, 0, func(_ *gatewaytest.Harness, req *gateway.Request) { req.IdempotencyKey = "k" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, c.limits)
				h.KeepIndex()
				day := time.Now()
				var id string
				for range 2 {
					req := request(c.body)
					if c.prep != nil {
						c.prep(h, &req)
					}
					began := time.Now()
					answer, err := h.Send(t.Context(), req)
					if c.kind == 0 && err != nil || c.kind != 0 && !problem.Is(err, c.kind) {
						t.Fatal(err)
					}
					if time.Since(began) >= history.GatherTime {
						t.Errorf("its caller waited %s", time.Since(began))
					}
					if answer.Record != nil {
						id = answer.Record.OperationID
					}
					if req.IdempotencyKey == "" {
						break
					}
				}
				time.Sleep(time.Minute)
				h.IndexAway.Store(false)
				time.Sleep(time.Minute)
				found := func(what string, messages []history.Message, err error) {
					t.Helper()
					if err != nil || len(messages) != c.want {
						t.Fatalf("by %s: %+v, %v", what, messages, err)
					}
					for _, m := range messages {
						if m.OperationID != id || m.Caller != "shop" || m.At.IsZero() {
							t.Errorf("by %s: %+v, want operation %s", what, m, id)
						}
					}
				}
				messages, err := h.History.OfCaller(t.Context(), "shop", day, nil, 9)
				found("caller", messages, err)
				messages, err = h.History.OfRecipient(t.Context(), "Ann@example.com", day, nil, 9)
				found("recipient", messages, err)
				if strings.Contains(c.body, "bob@") {
					messages, err = h.History.OfRecipient(t.Context(), "bob@example.com", day, nil, 9)
					found("hidden recipient", messages, err)
				}
			})
		})
	}
}
