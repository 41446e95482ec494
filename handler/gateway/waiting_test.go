package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// afterAnHour is a message for an hour from now.
func afterAnHour(body string) string {
	return strings.TrimSuffix(body, "}") + `,"delivery":{"sendAt":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}}`
}

// scheduled sends a message for an hour from now, and returns its place.
func scheduled(t *testing.T, h *gatewaytest.Harness, body string) (*record.Record, *spool.Entry) {
	t.Helper()
	answer, err := h.Send(t.Context(), request(afterAnHour(body)))
	if err != nil || answer.Record.State != record.Waiting {
		t.Fatalf("got %+v, %v", answer.Record, err)
	}
	return answer.Record, entryOf(t, h, answer.Record.ID)
}

func entryOf(t *testing.T, h *gatewaytest.Harness, id string) *spool.Entry {
	t.Helper()
	for entry, err := range h.Spool.AllEntries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.ID == id {
			return &entry
		}
	}
	t.Fatalf("%s does not wait", id)
	return nil
}

// waitsStill counts what wants room by the ledger, rows, and stored messages.
func waitsStill(t *testing.T, h *gatewaytest.Harness) (counted, rows, contents int) {
	t.Helper()
	usage, err := h.Usage(t.Context(), mail.CustomDomain, gatewaytest.Shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range h.Spool.AllEntries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	return usage.WaitingAll, rows, h.Contents(t)
}

// What the operator drops ends as what its caller cancels: record, row, content, count
// and links.
func TestADropOfWhatWaitsIsWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		rec, entry := scheduled(t, h, gatewaytest.Large())
		for range 2 { // it may be repeated
			if err := h.Drop(t.Context(), entry); err != nil {
				t.Errorf("the drop got %v", err)
			}
		}
		found, err := h.Find(t.Context(), gatewaytest.Shop, rec.ID)
		if err != nil || found.State != record.Cancelled || !found.Revoked {
			t.Errorf("the record is %+v, %v", found, err)
		}
		if counted, rows, blobs := waitsStill(t, h); counted+rows+blobs != 0 {
			t.Errorf("%d counted, %d rows, %d blobs are left", counted, rows, blobs)
		}
		h.Play(t, 2*time.Hour)
		if len(h.ACS.Arrivals) != 0 {
			t.Error("it was sent")
		}
	})
}

func TestADropOfWhatWaitsForQuotaIsCountedOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, quota.Limits{PerMinute: 1, PerHour: 1})
		var last *record.Record
		for range 3 {
			answer, err := h.Send(t.Context(), request(gatewaytest.Small("x")))
			if err != nil {
				t.Fatal(err)
			}
			last = answer.Record
		}
		if counted, rows, blobs := waitsStill(t, h); counted != 2 || rows != 2 || blobs != 2 {
			t.Fatalf("%d counted, %d rows, %d blobs", counted, rows, blobs)
		}
		if err := h.Drop(t.Context(), entryOf(t, h, last.ID)); err != nil {
			t.Error(err)
		}
		if counted, rows, blobs := waitsStill(t, h); counted != 1 || rows != 1 || blobs != 1 {
			t.Errorf("%d counted, %d rows, %d blobs", counted, rows, blobs)
		}
	})
}

func TestADropLeavesWhatACSMayHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = silence(false)
		answer, err := h.Send(t.Context(), request(gatewaytest.Small("one")))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Drop(t.Context(), entryOf(t, h, answer.Record.ID)); !problem.Is(err, problem.TooLate) {
			t.Errorf("the drop got %v", err)
		}
		if counted, rows, blobs := waitsStill(t, h); counted != 0 || rows != 1 || blobs != 1 {
			t.Errorf("%d counted, %d rows, %d blobs", counted, rows, blobs)
		}
	})
}

// A row may be left of a message that was never promised.
func TestADropTakesAwayWhatHasNoRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		rec, entry := scheduled(t, h, gatewaytest.Small("one"))
		if err := h.Records.Release(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if err := h.Drop(t.Context(), entry); err != nil {
			t.Errorf("the drop got %v", err)
		}
		if counted, rows, blobs := waitsStill(t, h); counted+rows+blobs != 0 {
			t.Errorf("%d counted, %d rows, %d blobs are left", counted, rows, blobs)
		}
	})
}

// What is released goes at once, from among others that wait for the same time.
func TestWhatIsReleasedGoesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		scheduled(t, h, gatewaytest.Small("first"))
		rec, entry := scheduled(t, h, gatewaytest.Small("second"))
		if err := h.Release(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		if counted, rows, blobs := waitsStill(t, h); counted != 1 || rows != 2 || blobs != 2 {
			t.Errorf("%d counted, %d rows, %d blobs, want 1 that waits for room of 2", counted, rows, blobs)
		}
		if err := h.Release(t.Context(), entry); !problem.Is(err, problem.TooLate) {
			t.Errorf("released twice: %v", err)
		}
		h.Play(t, time.Minute)
		if len(h.ACS.Sent) != 1 || h.ACS.Sent[0].Content.Subject != "second" {
			t.Errorf("ACS has %+v", h.ACS.Sent)
		}
		if found, err := h.Find(t.Context(), gatewaytest.Shop, rec.ID); err != nil || found.State != record.Accepted {
			t.Errorf("the record is %+v, %v", found.Record, err)
		}
		h.Play(t, 2*time.Hour)
		if counted, rows, blobs := waitsStill(t, h); len(h.ACS.Sent) != 2 || counted+rows+blobs != 0 {
			t.Errorf("ACS has %d; %d counted, %d rows, %d blobs are left", len(h.ACS.Sent), counted, rows, blobs)
		}
	})
}

func TestWhatIsReleasedWaitsForQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, quota.Limits{PerMinute: 1, PerHour: 2})
		for range 3 {
			scheduled(t, h, gatewaytest.Small("x"))
		}
		var all []*spool.Entry
		for entry, err := range h.Spool.AllEntries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &entry)
		}
		for _, entry := range all {
			if err := h.Release(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
		}
		h.Play(t, 50*time.Minute)
		if len(h.ACS.Arrivals) != 2 {
			t.Errorf("ACS was called %d times, and the quota of an hour is 2", len(h.ACS.Arrivals))
		}
		if s := entryOf(t, h, all[2].ID); s.Line.Later {
			t.Errorf("the last waits for its time: %+v", s)
		}
	})
}

// A back-off ends with a release; the tries are not forgotten.
func TestABackOffEndsWithARelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		rec, entry := scheduled(t, h, gatewaytest.Small("x"))
		entry.Tries, entry.NotBefore = 3, time.Now().Add(2*time.Hour)
		if err := h.Spool.UpdateEntry(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		if s := entryOf(t, h, rec.ID); s.Tries != 3 || !s.NotBefore.IsZero() {
			t.Errorf("it waits as %+v", s)
		}
		h.Play(t, time.Minute)
		if len(h.ACS.Sent) != 1 {
			t.Errorf("ACS has %d messages", len(h.ACS.Sent))
		}
	})
}

// Whatever call of storage fails, the message is sent once, and nothing is left over.
func TestAReleaseThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	for _, op := range []mem.Op{mem.Get, mem.Insert, mem.Replace, mem.Transact} {
		for _, outcome := range []mem.Outcome{mem.Refused, mem.Lost, mem.Repeated} {
			t.Run(fmt.Sprint(op, outcome), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := gatewaytest.New(t, plenty)
					rec, entry := scheduled(t, h, gatewaytest.Small("x"))
					h.Failing(op, outcome)
					failed := h.Release(t.Context(), entry)
					h.Working()
					h.Play(t, 2*time.Hour)
					found, err := h.Find(t.Context(), gatewaytest.Shop, rec.ID)
					if err != nil || found.State != record.Accepted || len(h.ACS.Sent) != 1 {
						t.Errorf("released with %v: %+v, %v; ACS has %d", failed, found.Record, err, len(h.ACS.Sent))
					}
					if err := h.CleanUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					if counted, rows, blobs := waitsStill(t, h); counted+rows+blobs != 0 {
						t.Errorf("%d counted, %d rows, %d blobs are left", counted, rows, blobs)
					}
				})
			})
		}
	}
}

// What is released during a pause goes once that ends.
func TestWhatIsReleasedDuringAPauseGoesAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		_, entry := scheduled(t, h, gatewaytest.Small("x"))
		if err := h.PauseSending(t.Context(), "", false); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		h.Play(t, time.Minute)
		if len(h.ACS.Sent) != 0 {
			t.Error("it was sent during the pause")
		}
		if err := h.ResumeSending(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Play(t, time.Minute)
		if len(h.ACS.Sent) != 1 {
			t.Errorf("ACS has %d messages", len(h.ACS.Sent))
		}
	})
}
