package rest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// keys are those with every printable character inside, at either end, and alone,
// by names that one can read.
func keys() map[string]string {
	all := map[string]string{"all characters": "a ", "an order": `order "7" x`, "a path": `C:\new\table`, "255 characters": strings.Repeat("k", 255)}
	for c := byte(' '); c <= '~'; c++ {
		name := strconv.QuoteRune(rune(c))
		all["all characters"] += string(c)
		all[name+" inside"] = "inside" + string(c) + "key"
		if c != ' ' { // which HTTP cuts off
			all[name+" before"] = string(c) + "before"
			all[name+" behind"] = "behind" + string(c)
			all[name+" alone"] = string(c)
		}
	}
	return all
}

// Under every key that is allowed a message is sent once, its repeat gets the same
// answer, and what became of it can be asked.
func TestEveryKeyIsKnownAgain(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	names := map[string]string{}
	for name, key := range keys() {
		post := func(subject string) answer {
			return d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small(subject), "Idempotency-Key", key))
		}
		first := post("1")
		id := first.document(t).ID
		if first.StatusCode != http.StatusAccepted || first.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: %d %s", name, first.StatusCode, first.text)
		}
		if before, taken := names[id]; taken {
			t.Errorf("%s and %s name one message", name, before)
		}
		names[id] = name
		if again := post("1"); again.StatusCode != http.StatusAccepted || again.document(t).ID != id || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s, repeated: %d %s", name, again.StatusCode, again.text)
		}
		if got := d.do(t, d.request(t, "GET", "/emails/operations/"+id, "")); got.StatusCode != http.StatusOK || got.document(t).Status != "Running" {
			t.Errorf("%s, asked for: %d %s", name, got.StatusCode, got.text)
		}
		if other := post("2"); other.StatusCode != http.StatusUnprocessableEntity || other.slug(t) != "key-reused" {
			t.Errorf("%s, for another message: %d %s", name, other.StatusCode, other.text)
		}
	}
	if len(d.ACS.Sent) != len(keys()) {
		t.Errorf("%d messages were sent, want %d", len(d.ACS.Sent), len(keys()))
	}
}
