package bench

import (
	"net/http"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// dialects are world.Message in the words of other APIs.
var dialects = []struct{ name, path, body string }{
	{"Resend", "/emails", `{"from":"` + world.Sender + `","to":["` + world.Recipient + `"],"subject":"` + world.Subject + `","text":"` + world.Text + `","html":"<p>` + world.Text + `</p>"}`},
	{"SendGrid", "/v3/mail/send", `{"from":{"email":"` + world.Sender + `"},"personalizations":[{"to":[{"email":"` + world.Recipient + `"}]}],"subject":"` + world.Subject +
		`","content":[{"type":"text/plain","value":"` + world.Text + `"},{"type":"text/html","value":"<p>` + world.Text + `</p>"}]}`},
	{"Postmark", "/email", `{"From":"` + world.Sender + `","To":"` + world.Recipient + `","Subject":"` + world.Subject + `","TextBody":"` + world.Text + `","HtmlBody":"<p>` + world.Text + `</p>"}`},
}

// BenchmarkDialects sends small messages in the words of other APIs, and the same
// in our own, by turns, each turn through a gateway of its own over storage in
// memory.
func BenchmarkDialects(b *testing.B) {
	var own usage
	others := make([]usage, len(dialects))
	for b.Loop() {
		for range turns {
			own.add(newGatewayClient(b).send(b, turnMessages))
			for i, d := range dialects {
				address, key := newGateway(b, newEmulator(b).URL, nil)
				c := newClient(b, address, http.Header{"Authorization": {"Bearer " + key}})
				c.url, c.body = address+d.path, d.body
				others[i].add(c.send(b, turnMessages))
			}
		}
	}
	// The processor's time, since the clock's time has everything else in it.
	each := func(u usage) float64 { return float64(u.processor.Microseconds()) / float64(turns*turnMessages*b.N) }
	for i, d := range dialects {
		report(b, figure{
			name: "small message of " + d.name + "'s", unit: "µs of a processor", metric: "µs-" + d.name, value: each(others[i]),
			baseline: each(own), of: "our own dialect", goal: goal{atMost: 1.1},
		})
	}
}
