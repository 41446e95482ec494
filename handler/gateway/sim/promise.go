package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// Promise is what a caller was told: that its message has been taken over.
type Promise struct {
	Caller, ID, OperationID string
	At                      time.Time
	Expected                time.Time // zero if it was sent at once
}

// Over lists the windows that held more calls than the limit of their kind of domain.
func (w *World) Over() []string {
	return append(w.over(mail.CustomDomain), w.over(mail.ManagedDomain)...)
}

func (w *World) over(domain mail.DomainKind) []string {
	var faults []string
	at, limits := w.ACS.ArrivalsFrom(domain), w.limits(domain)
	slices.SortFunc(at, time.Time.Compare)
	for _, win := range []struct {
		limit int
		width time.Duration
	}{{limits.PerMinute, time.Minute}, {limits.PerHour, time.Hour}} {
		for i := win.limit; i < len(at); i++ {
			if d := at[i].Sub(at[i-win.limit]); d < win.width {
				faults = append(faults, fmt.Sprintf("%d calls of a %v domain within %v at %v", win.limit+1, domain, d, at[i]))
				break
			}
		}
	}
	return faults
}

// Doubled are the operations that ACS has sent twice, and among them the operations whose
// record had not said `unknown` before.
func (w *World) Doubled() (all, unshown []string) {
	w.ACS.mu.Lock()
	defer w.ACS.mu.Unlock()
	return slices.Clone(w.ACS.doubled), slices.Clone(w.ACS.unshown)
}

// Ends says what has become of promises: how many are in which state, and what is
// wrong with them. Storage must work.
func (w *World) Ends(ctx context.Context, promises []Promise) (states map[record.State]int, faults []string) {
	states = map[record.State]int{}
	for _, p := range promises {
		// Its caller asks, as callers do, and waits as long as it is told: so many who ask at
		// once use up their half of an hour's questions.
		r, err := w.Any().Find(ctx, caller.Caller{Holder: keyring.Holder{Name: p.Caller}}, p.ID)
		for tries := 0; err == nil && r.State == record.Unknown && r.Again > 0 && tries < 300; tries++ {
			time.Sleep(r.Again)
			r, err = w.Any().Find(ctx, caller.Caller{Holder: keyring.Holder{Name: p.Caller}}, p.ID)
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: lost: %v", p.ID, err))
			continue
		}
		states[r.State]++
		_, sent := w.ACS.Sent(r.OperationID)
		switch {
		case !r.Final():
			faults = append(faults, fmt.Sprintf("%s: %s for ever", p.ID, r.State))
		case r.State == record.Accepted && sent == 0:
			faults = append(faults, p.ID+": said to be accepted, and ACS has never seen it")
		case (r.State == record.Failed || r.State == record.Cancelled) && sent > 0:
			faults = append(faults, fmt.Sprintf("%s: said to be %s (%+v), and ACS has sent it", p.ID, r.State, r.Failure))
		}
	}
	return states, faults
}

// Left is what is left in the spool: stored messages, and rows of lines.
func (w *World) Left(ctx context.Context) (messages, rows int) {
	blobs, _, _ := w.content.List(ctx, "", "", 1<<30)
	return len(blobs) + len(contents(ctx, w.lines)) + len(contents(ctx, w.dead)), w.Waiting()
}

// Waiting is how many rows there are in lines.
func (w *World) Waiting() int {
	rows, _ := w.lines.ListBefore(context.Background(), store.Key{}, "~", 1<<30)
	return len(rows) - len(contents(context.Background(), w.lines))
}

// Records is how many rows of records there are.
func (w *World) Records() int {
	rows, _ := w.records.ListBefore(context.Background(), store.Key{}, "~", 1<<30)
	return len(rows)
}

// Between lists what is at work: records that say neither that a message has ended nor
// that it stands in a line, and how many messages are noted as such.
func (w *World) Between(ctx context.Context) (records []string, noted int) {
	for _, e := range w.recordRows(ctx) {
		if keys, note := e.Values["keys"].([]byte); note {
			noted += len(keys) / 16
			continue
		}
		r := recordIn(e)
		switch _, _, err := w.lines.Get(ctx, r.Spooled.Partition, r.Spooled.Row); {
		case err == nil, r.State == record.Unknown && !r.Resolving:
		case slices.Contains([]record.State{record.Claimed, record.Waiting, record.Sending, record.Unknown}, r.State):
			records = append(records, fmt.Sprintf("%s %s", e.Partition, r.State))
		}
	}
	return records, noted
}
