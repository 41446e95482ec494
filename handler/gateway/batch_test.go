package gateway_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// batchOf is a batch of n messages in Resend's words, each with more members.
func batchOf(n int, more string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"from":"donotreply@example.com","to":"ann@example.com","subject":"%d","text":"Hello"%s}`, i, more))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// inBatch is how a batch is sent.
type inBatch func(g *gateway.Gateway, t *testing.T, body io.Reader, told func(int, gateway.Sent, error)) error

func permissive(g *gateway.Gateway, t *testing.T, body io.Reader, told func(int, gateway.Sent, error)) error {
	t.Helper()
	return g.SendBatch(t.Context(), gateway.Request{Caller: shop, Body: body, BodyBytes: -1}, resend.Source(), gateway.Each, told)
}

func strictly(g *gateway.Gateway, t *testing.T, body io.Reader, told func(int, gateway.Sent, error)) error {
	t.Helper()
	return g.SendBatch(t.Context(), gateway.Request{Caller: shop, Body: body, BodyBytes: -1}, resend.Source(), gateway.AllOrNone, told)
}

// At most eight messages of a batch are on their way beside each other. When half of the
// request's time is over, what is left waits. There are as many answers as messages, in
// their order, and each message is sent once in the end.
func TestAMessageOfABatchIsSentOrWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		send  inBatch
		acs   time.Duration // that a call takes, or up to three times that
		waits bool
		takes time.Duration
	}{
		{"permissive", permissive, time.Second, false, 45 * time.Second},
		{"strict", strictly, time.Second, false, 45 * time.Second},
		{"permissive, ACS is slow", permissive, 20 * time.Second, true, 100 * time.Second},
		{"strict, ACS is slow", strictly, 20 * time.Second, true, 100 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 1000, PerHour: 10_000}, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: c.acs})
				began, crowd := time.Now(), newCrowd(w)
				states, next := map[record.State]int{}, 0
				err := c.send(w.Any().Gateway, t, strings.NewReader(batchOf(100, "")), func(i int, s gateway.Sent, err error) {
					if err != nil || i != next {
						t.Errorf("answer %d is for %d: %v", next, i, err)
						return
					}
					next++
					states[s.Record.State]++
					crowd.keep(shop, s.Answer)
				})
				if err != nil || next != 100 || states[record.Waiting]+states[record.Accepted] != 100 || (states[record.Waiting] > 50) != c.waits || (states[record.Waiting] == 0) == c.waits {
					t.Errorf("%d answers, %v, %v", next, states, err)
				}
				if took := time.Since(began); took > c.takes || w.ACS.Most() != 8 {
					t.Errorf("it took %s, %d were on their way at most", took, w.ACS.Most())
				}
				w.Play()
				time.Sleep(10 * time.Minute)
				w.Stop()
				ends(t, w, crowd)
			})
		})
	}
}

// The time of a batch runs out: what was not read, and what may not wait, is told so in
// words of its own, and there is no answer too many.
func TestTheTimeOfABatchRunsOut(t *testing.T) {
	t.Parallel()
	const notRead = "The time of the request ran out before this message was read. It and all after it were not sent. Send them again."
	const notSent = "The time of the request ran out before this message could be sent. It was not sent. Send it again."
	for _, c := range []struct {
		name    string
		body    io.Reader
		acs     time.Duration
		answers int
		said    string // of the last
	}{
		{"all was read", strings.NewReader(batchOf(20, "")), 30 * time.Second, 20, ""},
		{"the body stalls behind the last", &stalling{text: batchOf(20, "")}, time.Second, 20, ""},
		{"the body stalls in a message", &stalling{text: batchOf(20, "")[:1500]}, time.Second, 18, notRead},
		{"they may not wait", strings.NewReader(batchOf(100, `,"delivery":{"whenBusy":"refuse"}`)), 45 * time.Second, 100, notSent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 1000, PerHour: 10_000}, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: c.acs})
				answers, last := 0, error(nil)
				err := permissive(w.Any().Gateway, t, c.body, func(i int, _ gateway.Sent, err error) {
					if i != answers || err != nil && problem.Of(err).Detail != c.said {
						t.Errorf("answer %d is for %d: %v", answers, i, err)
					}
					answers, last = answers+1, err
				})
				if err != nil || answers != c.answers || (last != nil) != (c.said != "") {
					t.Errorf("%d answers, the last %v; %v", answers, last, err)
				}
			})
		})
	}
}

// stalling is a body that ends in silence, as long as anyone listens.
type stalling struct{ text string }

func (s *stalling) Read(p []byte) (int, error) {
	if s.text == "" {
		time.Sleep(time.Second)
		return 0, nil
	}
	n := copy(p, s.text)
	s.text = s.text[n:]
	return n, nil
}

// A fault of ours in one message is told of it alone.
func TestAPanicIsThatOfOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = func(m *mail.Message) (bool, error) {
			if m.Content.Subject == "3" {
				panic("a fault of ours")
			}
			return true, nil
		}
		failed := 0
		err := permissive(h.Gateway, t, strings.NewReader(batchOf(10, "")), func(i int, _ gateway.Sent, err error) {
			if (err != nil) != (i == 3) || err != nil && !problem.Is(err, problem.Internal) {
				t.Errorf("message %d: %v", i, err)
			}
			if err != nil {
				failed++
			}
		})
		if err != nil || failed != 1 || len(h.ACS.Sent) != 9 {
			t.Errorf("%d failed, %d were sent, %v", failed, len(h.ACS.Sent), err)
		}
	})
}

// The personalizations of one message are sent beside each other, too.
func TestPersonalizationsAreSentBesideEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 1000, PerHour: 10_000}, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: time.Second})
		people := strings.Repeat(`,{"to":[{"email":"ann@example.com"}]}`, 40)[1:]
		body := `{"from":{"email":"donotreply@example.com"},"subject":"Hi","content":[{"type":"text/plain","value":"Hello"}],"personalizations":[` + people + `]}`
		began := time.Now()
		sent, err := w.Any().SendAll(t.Context(), gateway.Request{Caller: shop, Body: strings.NewReader(body), BodyBytes: -1}, sendgrid.Source())
		if err != nil || len(sent) != 40 || w.ACS.Most() != 8 || time.Since(began) > 18*time.Second {
			t.Errorf("%d were sent in %s, %d at once, %v", len(sent), time.Since(began), w.ACS.Most(), err)
		}
	})
}
