package test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

var hangUps = flag.Int("hangups", 250, "requests of callers that hang up")

const hangUpBy = 8 // callers at once

// Callers leave at a random moment, and nothing stays in between: each message is sent
// once and known to be, or its id is free, so that a repeat sends it.
func (p *product) testHangUps(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	ids, next := make([]string, *hangUps), make(chan int)
	subject := world.With("content", map[string]any{"subject": "THE-SUBJECT", "plainText": "canary"})
	small, large := world.Message(subject), world.Message(subject, world.Attached("a.zip", file(3<<19)))
	message := func(i int) io.Reader {
		text := small
		if i%8 == 0 { // some are cut off
			text = large
		}
		return strings.NewReader(strings.Replace(text, "THE-SUBJECT", ids[i], 1))
	}
	var callers sync.WaitGroup
	var mu sync.Mutex
	var longest time.Duration
	for range hangUpBy {
		callers.Go(func() {
			for i := range next {
				ctx, leave := context.WithTimeout(t.Context(), time.Millisecond+rand.N(120*time.Millisecond))
				_ = w.post(ctx, message(i), "Operation-Id", ids[i]) // nobody hears of it
				leave()
				left := time.Now()
				world.Await(t, "the end of what a caller has left", func(context.Context) bool { return !w.between(t, ids[i]) })
				mu.Lock()
				longest = max(longest, time.Since(left))
				mu.Unlock()
			}
		})
	}
	for i := range ids {
		ids[i] = fmt.Sprintf("0e7c7a4e-7f5c-4a6a-9a3f-%012d", i)
		next <- i
	}
	close(next)
	callers.Wait()
	// A request may begin after its caller has left.
	world.Await(t, "the last of them", func(context.Context) bool { return w.told(t, ids) == len(w.ACS.Arrivals(t)) })
	sent := w.arrived(t, ids)
	t.Logf("%d of %d were sent; none was in between for longer than %v", sent, *hangUps, longest)
	for i, id := range ids {
		if a := w.Do(t, http.MethodPost, "/emails:send", message(i), "Operation-Id", id); a.StatusCode != http.StatusAccepted {
			t.Errorf("the repeat of %s: %s %s", id, a.Status, a.Body)
		}
	}
	if sent := w.arrived(t, ids); sent != *hangUps {
		t.Errorf("after repeats %d of %d are there", sent, *hangUps)
	}
}

// between says whether a message has neither ended, nor waits, nor is free.
func (w *deployment) between(t *testing.T, id string) bool {
	t.Helper()
	a := w.Get(t, world.Operation(id))
	return a.StatusCode == http.StatusOK && slices.Contains([]string{"claimed", "sending", "unknown"}, a.Document(t).Delivery.State)
}

// told is how many messages are said to be sent.
func (w *deployment) told(t *testing.T, ids []string) (sent int) {
	t.Helper()
	for _, id := range ids {
		switch a := w.Get(t, world.Operation(id)); a.StatusCode {
		case http.StatusNotFound:
		case http.StatusOK:
			if a.Document(t).Delivery.State == "accepted" {
				sent++
			}
		default:
			t.Errorf("%s: %s %s", id, a.Status, a.Body)
		}
	}
	return sent
}

// arrived is how many of these messages ACS has, none of them twice.
func (w *deployment) arrived(t *testing.T, ids []string) int {
	t.Helper()
	seen := map[string]int{}
	for _, m := range w.ACS.Messages(t) {
		seen[m.Subject]++
	}
	for _, id := range ids {
		if seen[id] > 1 {
			t.Errorf("%s has arrived %d times", id, seen[id])
		}
	}
	return len(seen)
}
