package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func redirecting(to string) caller.Caller {
	return allowed(func(p *caller.Policy) { p.RedirectTo, p.RecipientDomains = to, nil })
}

const banner = "Redirected. This message was for:\n"

// went checks that a message has left for one mailbox, and names its recipients once.
func wentTo(t *testing.T, m mail.Message, mailbox, list string) {
	t.Helper()
	all := m.Recipients.All()
	if len(all) != 1 || all[0].Address != mailbox || len(m.Recipients.To) != 1 {
		t.Errorf("it went to %+v", all)
	}
	if text := m.Content.PlainText; text != "" && (!strings.HasPrefix(text, banner+list+"\n---") || strings.Count(text, banner) != 1) {
		t.Errorf("its text is %q", text)
	}
}

func TestARedirectedMessageNamesItsRecipients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		qa := redirecting("qa@example.com")
		h.Lists.Set(qa)
		body := `{"senderAddress":"donotreply@example.com","content":{"subject":"S","plainText":"Hello","html":"<html><head><title>t</title></head><!--<body>--><body class=\"a\"><p>Hello</p></body></html>"},
			"recipients":{"to":[{"address":"ann@example.org","displayName":"Ann <b>"},{"address":"bob@example.org"}],"cc":[{"address":"cid@example.org"}],"bcc":[{"address":"dan@example.org"}]},
			"replyTo":[{"address":"answers@example.com"}]}`
		answer, err := h.Send(t.Context(), by(qa, body))
		if err != nil || !answer.Record.Redirected {
			t.Fatalf("%+v, %v", answer.Record, err)
		}
		m := h.ACS.Sent[0]
		wentTo(t, m, "qa@example.com", "To: Ann <b> <ann@example.org>, bob@example.org\nCc: cid@example.org\nBcc: dan@example.org")
		if m.ReplyTo[0].Address != "answers@example.com" || m.Content.Subject != "S" {
			t.Errorf("%+v", m)
		}
		html := m.Content.HTML
		at := strings.Index(html, `<body class="a"><div `)
		if at < 0 || !strings.Contains(html, "<br>To: Ann &lt;b&gt; &lt;ann@example.org&gt;, bob@example.org<br>Cc: cid@example.org<br>Bcc: dan@example.org</div>\n<p>Hello</p>") {
			t.Errorf("HTML: %s", html)
		}
		if found, err := h.Find(t.Context(), qa, answer.Record.ID); err != nil || !found.Redirected {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// What is redirected is judged as it came, but for where it would have gone.
func TestWhatARedirectedMessageMayBe(t *testing.T) {
	t.Parallel()
	long := strings.Replace(gatewaytest.Small("one"), "Hello", strings.Repeat("h", gatewaytest.MaxRequestBytes-180), 1)
	for _, c := range []struct {
		name, body string
		edit       func(*caller.Policy)
		kind       problem.Kind // Internal: it goes
	}{
		{"to a stranger", strings.Replace(gatewaytest.Small("one"), "ann@example.com", "ann@stranger.example.net", 1), func(*caller.Policy) {}, problem.Internal},
		{"to no address", strings.Replace(gatewaytest.Small("one"), "ann@example.com", "ann", 1), func(*caller.Policy) {}, problem.InvalidMessage},
		{"another sender", gatewaytest.Small("one"), func(p *caller.Policy) { p.Senders = nil }, problem.Forbidden},
		{"to too many", strings.Replace(gatewaytest.Small("one"), `{"address":"ann@example.com"}`, `{"address":"a@example.com"},{"address":"b@example.com"}`, 1), func(p *caller.Policy) { p.MaxRecipients = 1 }, problem.Forbidden},
		{"too long with its recipients", long, func(*caller.Policy) {}, problem.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				qa := redirecting("qa@example.com")
				c.edit(&qa.Policy)
				h.Lists.Set(qa)
				_, err := h.Send(t.Context(), by(qa, c.body))
				if goes := c.kind == problem.Internal; goes && err != nil || !goes && !problem.Is(err, c.kind) {
					t.Errorf("got %v", err)
				}
				for _, m := range h.ACS.Sent {
					wentTo(t, m, "qa@example.com", "To: ann@stranger.example.net")
				}
				if len(h.ACS.Sent) == 1 != (c.kind == problem.Internal) {
					t.Errorf("%d were sent", len(h.ACS.Sent))
				}
			})
		})
	}
}

// A mailbox that is named while a message waits holds for it, on every way on which it
// leaves; and what was redirected reaches nobody else when the redirection ends.
func TestARedirectionHoldsForWhatWaits(t *testing.T) {
	t.Parallel()
	plain, first, second := gatewaytest.Shop, redirecting("qa@example.com"), redirecting("other@example.com")
	for _, c := range []struct {
		name      string
		came, now caller.Caller
		mailbox   string
	}{
		{"it begins", plain, first, "qa@example.com"},
		{"it changes", first, second, "other@example.com"},
		{"it ends", first, plain, "qa@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 100})
				h.Lists.Set(c.came)
				answer, err := h.Send(t.Context(), by(c.came, with(gatewaytest.Small("late"), `"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`)))
				if err != nil || answer.Record.State != record.Waiting {
					t.Fatalf("%+v, %v", answer.Record, err)
				}
				h.Lists.Set(c.now)
				tries := 0
				h.ACS.Answer = func(*mail.Message) (bool, error) { // it meets the fence twice
					if tries++; tries == 1 {
						return false, problem.New(problem.ACSBusy, "Later.")
					}
					return true, nil
				}
				time.Sleep(time.Hour)
				h.Play(t, 15*time.Minute)
				if len(h.ACS.Sent) != 1 {
					t.Fatalf("%d were sent", len(h.ACS.Sent))
				}
				wentTo(t, h.ACS.Sent[0], c.mailbox, "To: ann@example.com")
				if r := reads(t, h, answer.Record); r.State != record.Accepted || !r.Redirected {
					t.Errorf("%+v", r)
				}
			})
		})
	}
	for way, wait := range ways {
		t.Run("it begins, "+way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 100})
				sent := 0
				wait(t, h, func() { h.Lists.Set(first); sent = len(h.ACS.Sent) })
				h.Play(t, 10*time.Minute)
				if len(h.ACS.Sent) != sent+1 {
					t.Fatalf("%d were sent", len(h.ACS.Sent)-sent)
				}
				wentTo(t, h.ACS.Sent[sent], "qa@example.com", "To: ann@example.com")
			})
		})
	}
}

// A message that waited and does not fit with its recipients named goes to nobody.
func TestWhatDoesNotFitWithItsRecipientsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		long := strings.Replace(gatewaytest.Small("late"), "Hello", strings.Repeat("h", gatewaytest.MaxRequestBytes-230), 1)
		answer, err := h.Send(t.Context(), request(with(long, `"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`)))
		if err != nil {
			t.Fatal(err)
		}
		h.Lists.Set(redirecting("qa@example.com"))
		time.Sleep(time.Hour)
		h.Play(t, 10*time.Minute)
		if r := reads(t, h, answer.Record); r.State != record.Failed || !strings.Contains(r.Failure.Detail, "larger than ACS takes") {
			t.Errorf("it is %s: %+v", r.State, r.Failure)
		}
		if len(h.ACS.Sent) != 0 {
			t.Errorf("it went to %+v", h.ACS.Sent[0].Recipients)
		}
	})
}
