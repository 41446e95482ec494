package wiring

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// town is a gateway whose callers and hooks are listed in tables.
type town struct {
	*gatewaytest.Harness
	authority
	down bool // the tables of callers and hooks
}

func newTown(t *testing.T, limits quota.Limits) *town {
	t.Helper()
	o := &town{Harness: gatewaytest.New(t, limits)}
	table := func() *mem.Table {
		return mem.NewTable(time.Now, func(mem.Op, string) mem.Fault {
			if o.down {
				return mem.Fault{Outcome: mem.Refused}
			}
			return mem.Fault{}
		})
	}
	master := bytes.Repeat([]byte("m"), 32)
	o.authority = authority{
		caller.NewRegistry(table(), keyring.Masters{master}, false, time.Now),
		hook.NewRegistry(table(), keyring.Masters{master}, rand.Reader, time.Now),
	}
	o.Authority = o.authority
	if _, err := o.callers.Add(t.Context(), "thief", everywhere()); err != nil {
		t.Fatal(err)
	}
	alerts := hook.Hook{Holder: keyring.Holder{Name: "alerts"}, Policy: hook.Policy{Caller: "thief", Sender: "donotreply@example.com", To: []string{"ann@example.com"}}}
	if _, err := o.hooks.Add(t.Context(), alerts, ""); err != nil {
		t.Fatal(err)
	}
	return o
}

func everywhere() caller.Policy {
	return caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}}
}

// offer is a message of the thief, by a hook or none, that goes after a while.
func (o *town) offer(t *testing.T, by string, wait time.Duration) string {
	t.Helper()
	c, err := o.callers.Named(t.Context(), "thief")
	if err != nil {
		t.Fatal(err)
	}
	body := gatewaytest.Small("phish")
	if wait > 0 {
		body = strings.TrimSuffix(body, "}") + `,"delivery":{"sendAt":"` + time.Now().Add(wait).UTC().Format(time.RFC3339) + `"}}`
	}
	a, err := o.Send(t.Context(), gateway.Request{Caller: c, Hook: by, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return a.Record.ID
}

// What the operator takes away from a caller or a hook in its list holds for what waits.
func TestWhatWaitsDoesNotOutliveItsAuthority(t *testing.T) {
	t.Parallel()
	narrow := everywhere()
	narrow.RecipientDomains = []string{"example.org"}
	for _, c := range []struct {
		name string
		by   string
		take func(t *testing.T, o *town) error
		dead bool
	}{
		{"the caller is revoked", "", func(t *testing.T, o *town) error { return o.callers.End(t.Context(), "thief") }, true},
		{"its policy is narrower", "", func(t *testing.T, o *town) error { return o.callers.SetPolicy(t.Context(), "thief", narrow) }, true},
		{"its key is rotated", "", func(t *testing.T, o *town) error { _, err := o.callers.Rotate(t.Context(), "thief"); return err }, false},
		{"its hook is removed", "alerts", func(t *testing.T, o *town) error { return o.hooks.End(t.Context(), "alerts") }, true},
		{"its hook's key is rotated", "alerts", func(t *testing.T, o *town) error { _, err := o.hooks.Rotate(t.Context(), "alerts"); return err }, false},
		{"a hook is removed by which it did not come", "", func(t *testing.T, o *town) error { return o.hooks.End(t.Context(), "alerts") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTown(t, quota.CustomDomainSend)
				var ids []string
				for range 2 {
					ids = append(ids, o.offer(t, c.by, 75*time.Second))
				}
				if err := c.take(t, o); err != nil {
					t.Fatal(err)
				}
				o.Play(t, 5*time.Minute)
				want, sent := record.Accepted, 2
				if c.dead {
					want, sent = record.Failed, 0
				}
				for _, id := range ids {
					rec, err := o.Records.Read(t.Context(), "thief", id)
					if err != nil || rec.State != want || c.dead && rec.Failure.Kind != problem.Forbidden.Slug() {
						t.Errorf("%+v, %v", rec, err)
					}
				}
				if len(o.ACS.Sent) != sent {
					t.Errorf("%d were sent", len(o.ACS.Sent))
				}
			})
		})
	}
}

// However much of a caller waits, nothing of it arrives later than 30 s after it was revoked
// or paused, and what is not sent costs no quota.
func TestNothingOfARevokedCallerArrives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		take func(ctx context.Context, o *town) error
		dead bool
	}{
		{"the caller is revoked", func(ctx context.Context, o *town) error { return o.callers.End(ctx, "thief") }, true},
		{"the hook is removed", func(ctx context.Context, o *town) error { return o.hooks.End(ctx, "alerts") }, true},
		{"the caller is paused", func(ctx context.Context, o *town) error { return o.callers.Pause(ctx, "thief", "", false) }, false},
		{"the hook is paused", func(ctx context.Context, o *town) error { return o.hooks.Pause(ctx, "alerts", "", false) }, false},
		{"the hook is suspended", func(ctx context.Context, o *town) error { return o.hooks.Suspend(ctx, "alerts", "ACS refuses it.") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTown(t, quota.Limits{PerMinute: 30, PerHour: 1000})
				for range 200 {
					o.offer(t, "alerts", 0)
				}
				o.Play(t, time.Minute)
				revoked := time.Now()
				if err := c.take(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				o.Play(t, 10*time.Minute)
				for _, at := range o.ACS.Arrivals {
					if late := at.Sub(revoked); late > 30*time.Second {
						t.Errorf("one arrived %v after the revocation", late)
					}
				}
				dead, err := o.Dead(t.Context())
				u, usageErr := o.Usage(t.Context(), mail.CustomDomain, caller.Caller{Holder: keyring.Holder{Name: "thief"}})
				if err != nil || usageErr != nil || len(dead)+u.HeldOwn+len(o.ACS.Sent) != 200 || (len(dead) > 0) != c.dead {
					t.Errorf("%d dead, %d sent, %+v, %v, %v", len(dead), len(o.ACS.Sent), u, err, usageErr)
				}
				if len(o.ACS.Sent) > 100 || u.Used != len(o.ACS.Sent) {
					t.Errorf("%d sent, and %d tokens used", len(o.ACS.Sent), u.Used)
				}
			})
		})
	}
}

// While the lists cannot be read, nothing leaves the queue, and then all of it does.
func TestWhatWaitsStaysWhileTheListsAreAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newTown(t, quota.CustomDomainSend)
		o.offer(t, "alerts", time.Minute)
		o.down = true
		o.Play(t, 10*time.Minute)
		if len(o.ACS.Arrivals) > 0 {
			t.Error("it was sent")
		}
		o.down = false
		o.Play(t, time.Minute)
		if len(o.ACS.Sent) != 1 {
			t.Error("it was not sent then")
		}
	})
}
