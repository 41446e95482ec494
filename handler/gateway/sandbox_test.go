package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func inSandbox(p *caller.Policy) { p.Sandbox = true }

// by is a request of another caller than Shop.
func by(c caller.Caller, body string) gateway.Request {
	req := request(body)
	req.Caller = c
	return req
}

// Whatever a caller in the sandbox sends: it gets its record, and nothing else is kept,
// reserved or sent. So that shows as what fails is not even tried.
func TestTheSandboxKeepsNothingButTheRecord(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func() string{ // in the test's own time
		"a small message":    func() string { return gatewaytest.Small("one") },
		"a file that moves":  gatewaytest.Large,
		"for later":          func() string { return with(gatewaytest.Small("one"), `"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`) },
		"refused while busy": func() string { return gatewaytest.Refusing(gatewaytest.Small("one")) },
	} {
		for _, op := range []mem.Op{mem.Stage, mem.Commit, mem.Put, mem.Send, mem.Delete} {
			t.Run(name+", without "+string(op), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := gatewaytest.New(t, quota.Limits{PerMinute: 1, PerHour: 1})
					h.Failing(op, mem.Refused)
					shop := allowed(inSandbox)
					for range 3 { // the quota has room for one
						answer, err := h.Send(t.Context(), by(shop, body()))
						if err != nil {
							t.Fatal(err)
						}
						found, err := h.Find(t.Context(), shop, answer.Record.ID)
						if err != nil || found.State != record.Accepted || !found.Sandbox || found.Again != 0 || len(found.Moved) != 0 {
							t.Errorf("%+v, %v", found, err)
						}
					}
					if u, err := h.Usage(t.Context(), mail.CustomDomain, shop); err != nil || u.Used != 0 || u.WaitingAll != 0 {
						t.Errorf("usage: %+v, %v", u, err)
					}
					if len(h.ACS.Arrivals)+len(h.ACS.Asked) != 0 {
						t.Error("ACS was called")
					}
				})
			})
		}
	}
}

// What is wrong with a message is wrong in the sandbox, too.
func TestTheSandboxChecks(t *testing.T) {
	t.Parallel()
	long := strings.Replace(gatewaytest.Small("one"), "Hello", strings.Repeat("Hello ", gatewaytest.MaxRequestBytes/6), 1)
	for _, c := range []struct {
		name, body string
		edit       func(*caller.Policy)
		kind       problem.Kind
	}{
		{"no subject", gatewaytest.Small(""), inSandbox, problem.InvalidMessage},
		{"cut off", gatewaytest.Small("one")[:40], inSandbox, problem.MalformedJSON},
		{"another sender", gatewaytest.Small("one"), func(p *caller.Policy) { p.Senders = nil }, problem.Forbidden},
		{"other recipients", gatewaytest.Small("one"), func(p *caller.Policy) { p.RecipientDomains = []string{"example.org"} }, problem.Forbidden},
		{"larger than ACS takes", long, inSandbox, problem.TooLarge},
		{"a file that must be inside", strings.Replace(gatewaytest.Large(), `"name":"a.bin"`, `"name":"a.bin","placement":"inline"`, 1), inSandbox, problem.InvalidMessage},
		{"no such upload", with(gatewaytest.Small("one"), `"attachments":[{"name":"a","contentType":"text/plain","uploadId":"`+one+`"}]`), inSandbox, problem.InvalidMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				shop := allowed(func(p *caller.Policy) { inSandbox(p); c.edit(p) })
				if _, err := h.Send(t.Context(), by(shop, c.body)); !problem.Is(err, c.kind) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A repeat gets the answer of the first, whatever the policy says meanwhile: what was
// checked is not sent by it, and what was sent is not said to be checked alone.
func TestARepeatInTheSandbox(t *testing.T) {
	t.Parallel()
	sandbox := allowed(inSandbox)
	for _, c := range []struct {
		name          string
		first, second caller.Caller
		sandbox       bool
	}{
		{"both", sandbox, sandbox, true},
		{"let out of it", sandbox, gatewaytest.Shop, true},
		{"put into it", gatewaytest.Shop, sandbox, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				send := func(who caller.Caller, subject string) (gateway.Answer, error) {
					req := by(who, gatewaytest.Small(subject))
					req.OperationID = one
					return h.Send(t.Context(), req)
				}
				if a, err := send(c.first, "one"); err != nil || a.Replayed || a.Record.Sandbox != c.sandbox {
					t.Fatalf("%+v, %v", a.Record, err)
				}
				sent := len(h.ACS.Sent)
				if a, err := send(c.second, "one"); err != nil || !a.Replayed || a.Record.Sandbox != c.sandbox {
					t.Errorf("%+v, %v", a.Record, err)
				}
				if _, err := send(c.second, "two"); !problem.Is(err, problem.KeyReused) {
					t.Errorf("another message: %v", err)
				}
				if len(h.ACS.Sent) != sent {
					t.Error("it was sent by the repeat")
				}
			})
		})
	}
}
