package gateway_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// cleanUpWorld is a deployment over days at 20,000 messages an hour, with a hundredth of the
// parallel deletes: 32 at 5 ms become one at 15.6 ms. It is a sample of one message in a hundred,
// whose calls of storage take a hundred times as long: each wait, and each share, is the same.
type cleanUpWorld struct {
	*gatewaytest.Harness
	// rows and blobs are until when retention asks for each.
	rows, blobs []time.Time
	listed      map[string]int // in this hour
	named       int
}

const (
	sampleOf     = 100
	sampleCall   = sampleOf * 5 * time.Millisecond * 100 / 32
	sampleHourly = 20_000 / sampleOf
	sampleLinks  = sampleHourly / 50
	sampleOrphan = 3
	oneDay       = 24 * time.Hour
)

// In the long run storage has what retention asks for, and little more: rows and blobs at
// rest are within 1.3 times of it, and no list is read twice.
func TestSimCleanUpKeepsUp(t *testing.T) {
	t.Parallel()
	long(t)
	synctest.Test(t, func(t *testing.T) {
		w := &cleanUpWorld{Harness: gatewaytest.New(t, plenty)}
		w.Records.Keeping(oneDay)
		w.CleanUpBeside = 1
		for hour := range 10 * 24 {
			begun := time.Now()
			w.send(t)
			w.cleanUp(t)
			time.Sleep(time.Until(begun.Add(time.Hour)))
			if hour < 9*24 {
				continue
			}
			rows, blobs := w.LastingRecords.Rows()+w.Days.Rows()+w.Links.Rows(), w.Visible(t)+w.orphans(t)
			asked, askedBlobs := asked(w.rows), asked(w.blobs)
			if ratio := float64(rows) / float64(asked); ratio > 1.3 {
				t.Errorf("hour %d: %d rows at rest, %.2f of what retention asks for", hour, rows, ratio)
			}
			if ratio := float64(blobs) / float64(askedBlobs); ratio > 1.3 {
				t.Errorf("hour %d: %d blobs at rest, %.2f of what retention asks for", hour, blobs, ratio)
			}
			if hour == 10*24-1 {
				t.Logf("after ten days: %d rows, asked for %d; %d blobs, asked for %d", rows, asked, blobs, askedBlobs)
			}
		}
	})
}

// send writes what the messages of an hour leave: half of them are named.
func (w *cleanUpWorld) send(t *testing.T) {
	t.Helper()
	now := time.Now()
	for i := range sampleHourly - sampleLinks {
		r := record.Record{Caller: "shop", Fingerprint: "f"}
		w.named++
		if i%2 == 0 {
			r.ID = record.DerivedID("sample", "", strconv.Itoa(w.named))
			w.rows = append(w.rows, now.Add(oneDay))
		} else {
			r.ID = w.Records.MakeID(strconv.Itoa(w.named), now.Add(mail.MaxWait))
			w.rows = append(w.rows, now.Add(mail.MaxWait+oneDay))
		}
		if err := w.Records.Finish(t.Context(), &r, record.Accepted, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range sampleLinks {
		body := strings.TrimSuffix(gatewaytest.Large(), "}") + `,"delivery":{"linkExpiresAfter":"PT1H"}}`
		if _, err := w.Send(t.Context(), request(body)); err != nil {
			t.Fatal(err)
		}
		w.rows = append(w.rows, now.Add(mail.MaxWait+oneDay), now.Add(25*time.Hour))
		w.blobs = append(w.blobs, now.Add(25*time.Hour))
	}
	for i := range sampleOrphan {
		name := fmt.Sprintf("000-1-now-0/%016d-%d", now.UnixMicro(), i)
		if err := w.Content.Put(t.Context(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
		w.blobs = append(w.blobs, now.Add(time.Hour)) // the next clean-up that finds it old
	}
}

// cleanUp calls the timer, and then the dispatch function for what goes on.
func (w *cleanUpWorld) cleanUp(t *testing.T) {
	t.Helper()
	w.listed = map[string]int{}
	w.Befall(func(op mem.Op, key string) mem.Fault {
		if op == mem.List {
			w.listed[key]++
		}
		return mem.Fault{Before: sampleCall}
	})
	defer w.Working()
	call := func(do func(context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		if err := do(ctx); err != nil && !problem.Is(err, problem.InProgress) {
			t.Error(err)
		}
	}
	call(w.CleanUp)
	for {
		messages, err := w.WakeUps.Receive(t.Context(), 1, 10*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			break
		}
		mark, is := spool.ParseCleanUp(messages[0].Text)
		if is {
			call(func(ctx context.Context) error { return w.GoOnCleaningUp(ctx, mark) })
		}
		if err := w.WakeUps.Delete(t.Context(), messages[0].ID, messages[0].PopReceipt); err != nil {
			t.Fatal(err)
		}
	}
	for key, n := range w.listed {
		if few := key == "tables" || strings.HasPrefix(key, "dead/"); n > 1 && !few { // a look at what there is
			t.Errorf("the list after %q was read %d times in an hour", key, n)
		}
	}
}

func (w *cleanUpWorld) orphans(t *testing.T) int {
	t.Helper()
	blobs, _, err := w.Content.List(t.Context(), "", "", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return len(blobs)
}

// asked is how many are asked for now.
func asked(until []time.Time) (n int) {
	for _, at := range until {
		if at.After(time.Now()) {
			n++
		}
	}
	return n
}
