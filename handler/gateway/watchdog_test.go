package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// kept stores the content of a message that waits since a time, and its record, but
// no row.
func kept(t *testing.T, h *gatewaytest.Harness, id string, since time.Time) (*record.Record, spool.Entry) {
	t.Helper()
	h.Spool.InTable(0)
	line := spool.Line{Class: 1, Caller: "shop"}
	entry := spool.Entry{Line: line, Key: spool.KeyFor(line, since, record.OperationID("shop", id)), Due: since, ID: id}
	r, _, err := h.Records.Claim(t.Context(), record.Record{ID: id, Caller: "shop", Fingerprint: "f", Spooled: entry.Key, Deadline: since.Add(mail.MaxWait)})
	if err == nil {
		err = h.Records.MarkWaiting(t.Context(), r)
	}
	if err == nil {
		err = h.Spool.PutMessage(t.Context(), &entry, spool.Message{Record: r.Snapshot(), Message: &mail.Message{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, entry
}

// CleanUp deletes stored messages that have no row. The record of one is released if the
// process that was to insert the row is dead, and only if it names this stored message.
func TestOrphansAreReleasedWhenTheirOwnersAreDead(t *testing.T) {
	t.Parallel()
	const hour, dead = -time.Hour, record.OwnerLife + time.Second
	nothing := func(context.Context, *gatewaytest.Harness, *record.Record, spool.Entry) error { return nil }
	for _, c := range []struct {
		name   string
		since  time.Duration // from now
		age    time.Duration // of what the owner wrote last
		meddle func(context.Context, *gatewaytest.Harness, *record.Record, spool.Entry) error
		fault  mem.Op
		err    problem.Kind // 0 for none
		state  record.State // empty if it is gone
		blobs  int
	}{
		{name: "its owner is dead", since: hour, age: dead, meddle: nothing, state: record.Failed},
		{name: "its owner lives", since: hour, age: record.OwnerLife - time.Second, meddle: nothing, err: problem.InProgress, state: record.Waiting, blobs: 1},
		{name: "it is young", since: 0, age: 2*record.OwnerLife - time.Second, meddle: nothing, state: record.Waiting, blobs: 1},
		{name: "it is just old enough", since: 0, age: 2*record.OwnerLife + time.Second, meddle: nothing, state: record.Failed},
		{name: "it has a row", since: hour, age: dead, state: record.Waiting, blobs: 1, meddle: func(ctx context.Context, h *gatewaytest.Harness, _ *record.Record, s spool.Entry) error {
			return h.Spool.InsertEntry(ctx, &s)
		}},
		{name: "the operator sees it", since: hour, age: dead, state: record.Waiting, blobs: 1, meddle: func(ctx context.Context, h *gatewaytest.Harness, _ *record.Record, s spool.Entry) error {
			return h.Spool.MoveToDeadLetters(ctx, spool.DeadLetter{Entry: s, At: time.Now(), Reason: "no"})
		}},
		{name: "it was sent", since: hour, age: dead, state: record.Accepted, meddle: func(ctx context.Context, h *gatewaytest.Harness, r *record.Record, _ spool.Entry) error {
			return h.Records.Finish(ctx, r, record.Accepted, nil)
		}},
		{name: "it may have been sent", since: hour, age: dead, state: record.Sending, meddle: func(ctx context.Context, h *gatewaytest.Harness, r *record.Record, _ spool.Entry) error {
			return h.Records.MarkSending(ctx, r)
		}},
		{name: "it waits elsewhere", since: hour, age: dead, state: record.Waiting, meddle: func(ctx context.Context, h *gatewaytest.Harness, r *record.Record, _ spool.Entry) error {
			r.Spooled = store.Key{Partition: "elsewhere", Row: "1"}
			return h.Records.MarkWaiting(ctx, r)
		}},
		{name: "it has no record", since: hour, age: dead, meddle: func(ctx context.Context, h *gatewaytest.Harness, r *record.Record, _ spool.Entry) error {
			return h.Records.Release(ctx, r)
		}},
		{name: "it cannot be read", since: hour, age: dead, state: record.Waiting, meddle: func(ctx context.Context, h *gatewaytest.Harness, _ *record.Record, s spool.Entry) error {
			name := s.Key.Partition + "/" + s.Key.Row
			if err := h.Content.Delete(ctx, name); err != nil {
				return err
			}
			return h.Content.Put(ctx, name, []byte("no message"))
		}},
		{name: "what it keeps of its record cannot be read", since: hour, age: dead, state: record.Waiting, meddle: func(ctx context.Context, h *gatewaytest.Harness, _ *record.Record, s spool.Entry) error {
			if err := h.Spool.DeleteBlob(ctx, s.Key); err != nil {
				return err
			}
			return h.Spool.PutMessage(ctx, &s, spool.Message{Record: []byte("7"), Message: &mail.Message{}})
		}},
		{name: "content cannot be read now", since: hour, age: dead, meddle: nothing, fault: mem.Read, err: problem.Unavailable, state: record.Waiting, blobs: 1},
		{name: "records cannot be read now", since: hour, age: dead, meddle: nothing, fault: mem.Get, err: problem.Unavailable, state: record.Waiting, blobs: 1},
		{name: "nothing can be deleted now", since: hour, age: dead, meddle: nothing, fault: mem.Delete, err: problem.Unavailable, state: record.Failed, blobs: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				r, entry := kept(t, h, "11111111-1111-4111-8111-111111111111", time.Now().Add(c.since))
				if err := c.meddle(t.Context(), h, r, entry); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.age)
				if c.fault != "" {
					h.Failing(c.fault, mem.Refused)
				}
				err := h.CleanUp(t.Context())
				h.Working()
				if c.err == 0 && err != nil || c.err != 0 && !problem.Is(err, c.err) {
					t.Errorf("got %v, want %v", err, c.err)
				}
				state := record.State("")
				if there, err := h.Records.Read(t.Context(), "shop", r.ID); err == nil {
					state = there.State
				} else if !problem.Is(err, problem.NotFound) {
					t.Error(err)
				}
				if _, blobs, _ := left(t, h); state != c.state || blobs != c.blobs {
					t.Errorf("its record is %q, %d blobs; want %q, %d", state, blobs, c.state, c.blobs)
				}
			})
		})
	}
}

// An orphan that must stay does not keep others.
func TestCleanUpGoesOnAfterAnOrphanThatStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		begun := time.Now()
		old, _ := kept(t, h, "22222222-2222-4222-8222-222222222222", begun.Add(-time.Hour))
		time.Sleep(record.OwnerLife + time.Second)
		young, _ := kept(t, h, "11111111-1111-4111-8111-111111111111", begun.Add(-2*time.Hour))
		if err := h.CleanUp(t.Context()); !problem.Is(err, problem.InProgress) {
			t.Errorf("got %v", err)
		}
		if got := reads(t, h, old); got.State != record.Failed || !got.Repeatable {
			t.Errorf("the old one is %+v", got)
		}
		if got := reads(t, h, young); got.State != record.Waiting {
			t.Errorf("the young one is %+v", got)
		}
		time.Sleep(record.OwnerLife + time.Second)
		if err := h.CleanUp(t.Context()); err != nil {
			t.Errorf("when its owner is dead, too: %v", err)
		}
		if _, blobs, _ := left(t, h); blobs != 0 {
			t.Errorf("%d blobs are left", blobs)
		}
	})
}

// Old records go when CleanUp has come so often that each was looked at, and what the
// operator did not look at goes after its time.
func TestCleanUpForgetsOldDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = refusal
		given(t, h, gatewaytest.Small("one"))
		cleanUps := func(n int) {
			for range n {
				if err := h.CleanUp(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
			}
		}
		cleanUps(24 * 13)
		if _, blobs, reasons := left(t, h); blobs != 1 || len(reasons) != 1 {
			t.Errorf("after 13 days: %d blobs, the operator sees %q", blobs, reasons)
		}
		cleanUps(26)
		if _, blobs, reasons := left(t, h); blobs != 0 || len(reasons) != 0 {
			t.Errorf("after 14 days: %d blobs, the operator sees %q", blobs, reasons)
		}
	})
}

// A record goes a day after its message has ended, when CleanUp has come so often that it
// has looked at all.
func TestCleanUpForgetsOldRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.Records.Keeping(24 * time.Hour)
		req := request(gatewaytest.Small("one"))
		req.IdempotencyKey = "one"
		answer, err := h.Send(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		cleanUps := func(n int) {
			for range n {
				time.Sleep(time.Hour)
				if err := h.CleanUp(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		cleanUps(23)
		reads(t, h, answer.Record)
		cleanUps(4)
		if _, err := h.Records.Read(t.Context(), "shop", answer.Record.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("it is still there: %v", err)
		}
	})
}

// A Dispatch that could not do its work says so, and its wake-up message comes again. One that
// could has sent what waits.
func TestADispatchThatFailedSaysSo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		site sim.Site
	}{
		{"the ledger cannot be read", sim.Site{Where: "ledger", Op: mem.Get}},
		{"the ledger cannot be written", sim.Site{Where: "ledger", Op: mem.Replace}},
		{"the line cannot be read", sim.Site{Where: "lines", Op: mem.List}},
		{"no wake-up message can be sent", sim.Site{Where: "wake-ups", Op: mem.Send}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &trouble{}
				w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Plan: tr.plan})
				cr := newCrowd(w)
				for _, d := range []time.Duration{10 * time.Second, time.Hour} {
					cr.offer(t, shop, "", sim.Message("one", `"delivery":{"sendAt":"`+rfc(d)+`"}`))
				}
				cr.all.Wait()
				time.Sleep(time.Minute)
				tr.set(at(c.site, sim.Refuse))
				if err := w.Any().Dispatch(t.Context(), mail.CustomDomain, 0); !problem.Is(err, problem.Unavailable) {
					t.Errorf("got %v", err)
				}
				tr.set(nil)
				time.Sleep(3 * time.Minute) // the lease of the one that failed has ended
				wakeUps := sim.Site{Where: "wake-ups", Op: mem.Send}
				before := w.Counts()[wakeUps]
				if err := w.Any().Dispatch(t.Context(), mail.CustomDomain, 0); err != nil {
					t.Errorf("without the fault: %v", err)
				}
				if n := len(w.ACS.Arrivals()); n != 1 {
					t.Errorf("%d messages were sent", n)
				}
				if n := w.Counts()[wakeUps] - before; n > 1 || w.Waiting() != 1 {
					t.Errorf("%d wake-up messages, %d rows", n, w.Waiting())
				}
			})
		})
	}
}

// All wake-up messages are lost. Watch says when it could not wake a shard, and wakes it the next
// time.
func TestAWatchThatFailedSaysSo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		site sim.Site
	}{
		{"the lines cannot be read", sim.Site{Where: "lines", Op: mem.List}},
		{"the ledger cannot be read", sim.Site{Where: "ledger", Op: mem.Get}},
		{"no wake-up message can be sent", sim.Site{Where: "wake-ups", Op: mem.Send}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &trouble{}
				w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Plan: tr.plan})
				wakeUps := sim.Site{Where: "wake-ups", Op: mem.Send}
				tr.set(at(wakeUps, sim.Refuse))
				cr := newCrowd(w)
				cr.offer(t, shop, "", sim.Message("one", `"delivery":{"sendAt":"`+rfc(10*time.Second)+`"}`))
				cr.all.Wait()
				time.Sleep(2 * time.Minute)
				tr.set(at(c.site, sim.Refuse))
				if err := w.Any().Watch(t.Context()); !problem.Is(err, problem.Unavailable) {
					t.Errorf("got %v", err)
				}
				tr.set(nil)
				time.Sleep(2 * time.Minute)
				before := w.Counts()[wakeUps]
				if err := w.Any().Watch(t.Context()); err != nil || w.Counts()[wakeUps] != before+1 {
					t.Errorf("without the fault: %v, %d wake-up messages", err, w.Counts()[wakeUps]-before)
				}
			})
		})
	}
}
