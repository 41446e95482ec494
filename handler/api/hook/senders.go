package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// sender is what is known of one sort of sender.
type sender struct {
	checks []Check // that it can pass; the first is the usual one
	// headers are those that its template reads.
	headers []string
	// items takes a payload apart into what becomes a message each; nil means that
	// it is one.
	items func(payload value) []value
	// shaped says that its operator may give its payload another form, with words or a
	// list instead of an object; an item that is no object becomes the member payload then.
	shaped bool
	// id names an item, so that one that comes again is known; nil and "" mean that
	// the sender gives none.
	id func(h http.Header, item value, body []byte) string
}

// senders are those built in, by the name of their template. Sources of the names
// of deliveries:
//   - GitHub: docs.github.com, "Webhook events and payloads". X-GitHub-Delivery is
//     not under the signature, so a replay can change it: the body itself, which
//     has times and ids in it, is the name.
//   - Azure Monitor: learn.microsoft.com, "Common alert schema". An alert has one id
//     from its firing to its end, and a test of an action group has the same each time:
//     the body counts, too, which a repeat after an error leaves as it is.
//   - Event Grid: learn.microsoft.com, "Azure Event Grid event schema". It delivers at
//     least once, and may put events of one batch into another when it repeats. It has
//     the schema of CloudEvents too, with a source for the topic.
//   - CloudEvents 1.0 section 3.1: source and id together are unique. Ids are their
//     publisher's, who tries a hook with the same one: what an event says counts, too.
//     Other attributes may change when it is repeated.
//   - Stripe: docs.stripe.com, "Handle duplicate events".
//   - Standard Webhooks 1.0.0: webhook-id is signed and the same in each attempt.
var senders = map[string]sender{
	"alertmanager":  {checks: []Check{CheckKey}, shaped: true},
	"grafana":       {checks: []Check{CheckKey, CheckGrafana}, shaped: true},
	"github":        {checks: []Check{CheckGitHub, CheckKey}, shaped: true, headers: []string{"X-Github-Event", "X-Gitea-Event", "X-Forgejo-Event"}, id: bodyID},
	"azure-monitor": {checks: []Check{CheckKey}, shaped: true, id: azureMonitorID},
	"event-grid":    {checks: []Check{CheckKey}, shaped: true, items: items, id: eventID},
	"cloudevents":   {checks: []Check{CheckKey, CheckStandard}, shaped: true, id: eventID},
	"stripe":        {checks: []Check{CheckStripe}, shaped: true, id: func(_ http.Header, item value, _ []byte) string { return item.at("/id").text }},
	"standard-webhooks": {checks: []Check{CheckStandard}, shaped: true, id: func(h http.Header, _ value, _ []byte) string {
		return standardHeader(h, "id")
	}},
	"generic": {checks: []Check{CheckKey, CheckGitHub, CheckStandard}, id: func(h http.Header, _ value, _ []byte) string { return h.Get("Idempotency-Key") }},
	"form":    {checks: []Check{CheckOrigin}},
}

// Builtins are the names of the senders that are built in, sorted.
func Builtins() []string { return slices.Sorted(maps.Keys(senders)) }

func builtinSender(name string) (sender, error) {
	s, ok := senders[name]
	if !ok {
		return s, wrong("There is no built-in %q; there are %s.", name, strings.Join(Builtins(), ", "))
	}
	return s, nil
}

func eventID(_ http.Header, item value, _ []byte) string {
	id := item.at("/id").text
	if id == "" {
		return ""
	}
	said := sha256.New()
	for _, name := range []string{"type", "eventType", "data"} {
		if err := json.NewEncoder(said).Encode(item.step(name).plain()); err != nil {
			return "" // plain always encodes
		}
	}
	return item.at("/topic").text + item.at("/source").text + "\n" + id + "\n" + hex.EncodeToString(said.Sum(nil))
}

func bodyID(_ http.Header, _ value, body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func azureMonitorID(h http.Header, item value, body []byte) string {
	e := item.at("/data/essentials")
	if e.at("/alertId").text == "" {
		return ""
	}
	return strings.Join([]string{
		e.at("/alertId").text, e.at("/monitorCondition").text, e.at("/firedDateTime").text, e.at("/resolvedDateTime").text,
		bodyID(h, item, body),
	}, "\n")
}

// items are the elements of a batch.
func items(payload value) []value {
	if payload.kind == array {
		return payload.items
	}
	return []value{payload}
}

// items takes the payload of d apart.
func (h Hook) items(ctx context.Context, d Delivery) ([]value, error) {
	all, err := h.events(ctx, d)
	if err != nil {
		return nil, err
	}
	if len(all) > MaxItems {
		return nil, problem.New(problem.TooLarge, "The delivery has %d events, and a hook takes at most %d. Set the sender's batch size accordingly.", len(all), MaxItems)
	}
	for i, item := range all {
		switch {
		case item.kind == object || h.Policy.Builtin == "generic":
		case senders[h.Policy.Builtin].shaped:
			all[i] = wrapped(item)
		default:
			return nil, problem.New(problem.InvalidMessage, "The payload is not the JSON object that %s sends.", h.Policy.Builtin)
		}
	}
	return all, nil
}

// wrapped is an object whose only member is what a sender's operator has shaped.
func wrapped(v value) value {
	return value{kind: object, members: []member{{"payload", v}}}
}

// events are what becomes a message each.
func (h Hook) events(ctx context.Context, d Delivery) ([]value, error) {
	if h.Policy.Builtin == "cloudevents" {
		return h.cloudEvents(ctx, d)
	}
	payload, err := h.payload(ctx, d)
	if err != nil {
		return nil, err
	}
	// GitHub wraps the JSON into a form unless it is told otherwise.
	if inner := payload.at("/payload"); h.Policy.Builtin == "github" && len(payload.members) == 1 && inner.kind == text {
		if payload, err = decode(ctx, []byte(inner.text)); err != nil {
			return nil, err
		}
	}
	if split := senders[h.Policy.Builtin].items; split != nil {
		return split(payload), nil
	}
	return []value{payload}, nil
}

// Validation is the code that Event Grid wants back when a subscription is made.
// Source: learn.microsoft.com, "Endpoint validation with Event Grid event schema".
func (h Hook) Validation(ctx context.Context, d Delivery) (code string, asked bool) {
	if h.Policy.Builtin != "event-grid" || !strings.EqualFold(d.Header.Get("Aeg-Event-Type"), "SubscriptionValidation") {
		return "", false
	}
	payload, err := h.payload(ctx, d)
	if err != nil {
		return "", false
	}
	code = payload.at("/0/data/validationCode").text
	return code, code != "" && len(code) <= 256
}
