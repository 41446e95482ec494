package hook

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/problem"
)

// words are names that the built-in templates look for, so that values of other
// types stand where they expect theirs.
var words = []string{
	"alerts", "status", "labels", "annotations", "values", "commonLabels", "data", "essentials", "alertContext", "condition", "allOf",
	"dimensions", "object", "amount", "currency", "type", "id", "source", "repository", "issue", "pull_request", "commits", "message",
	"user", "title", "number", "startsAt", "generatorURL", "name", "email", "full_name", "workflow_run", "ref", "a~/b", "",
}

// anything is JSON of any shape.
func anything(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil),
		rapid.Map(rapid.SampledFrom([]string{"firing", "https://example.com/", "javascript:alert(1)", "2026-11-07T06:33:21Z", "\u202e\u2028<b>", "\x00"}), func(s string) any { return s }),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return anything(depth - 1) }), 0, 4), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.SampledFrom(words), rapid.Deferred(func() *rapid.Generator[any] { return anything(depth - 1) }), 0, 6), func(m map[string]any) any { return m }),
	)...)
}

// Whatever a sender sends becomes messages that check takes, or is refused as the
// sender's fault; and rendering it twice says the same.
func TestAnyPayloadIsAMessageOrItsSendersFault(t *testing.T) {
	t.Parallel()
	checker := check.New()
	rapid.Check(t, func(t *rapid.T) {
		body, err := json.Marshal(anything(4).Draw(t, "payload"))
		if err != nil {
			t.Fatal(err)
		}
		h := sample{builtin: rapid.SampledFrom(Builtins()).Draw(t, "sender")}.hook()
		if h.Policy.Builtin == "form" {
			h.Policy.Form = &Form{Origins: []string{"*"}, Honeypot: DefaultHoneypot}
		}
		d := Delivery{Header: http.Header{"Content-Type": {"application/json"}}, Body: body, At: noon}
		all, err := h.Messages(t.Context(), d)
		if err != nil {
			p, ok := errors.AsType[*problem.Problem](err)
			if !ok || p.Kind.Status() < 400 || p.Kind.Status() >= 500 {
				t.Fatalf("%s: %v", body, err)
			}
			return
		}
		again, err := h.Messages(t.Context(), d)
		if err != nil || len(again) != len(all) {
			t.Fatalf("%s: again %d messages, %v", body, len(again), err)
		}
		for i, m := range all {
			if m.Content != again[i].Content || m.OperationID != again[i].OperationID {
				t.Fatalf("%s: a repeat says something else", body)
			}
			if _, err := checker.Message(&m.Message, noon); err != nil {
				t.Fatalf("%s: %v, %+v", body, err, problem.Of(err).Violations)
			}
		}
	})
}
