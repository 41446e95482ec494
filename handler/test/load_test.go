package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// loadMessage is a message of a load, and what its caller knows of it.
type loadMessage struct {
	n       int
	subject string // no other's
	key     string // of its caller
	body    string
	cancels bool // its caller wants it back at once
	linked  bool // it has an attachment that becomes a link
	refuses bool // it does not wait: 429 is an end
	dead    bool // ACS will refuse it

	id    string // once a 202 was seen
	state string // the end
	tries int
	last  string // the last answer, for a complaint
}

// compose makes message n: what it is like is drawn from rng. The first one, which comes
// before any accident, surely waits and is then refused: such ones are rare.
func compose(n int, rng *rand.Rand, keys []string) *loadMessage {
	m := &loadMessage{n: n, subject: fmt.Sprintf("%s %d", world.Subject, n), key: keys[rng.IntN(len(keys))]}
	delivery := map[string]any{"priority": []string{"high", "normal", "normal", "bulk"}[rng.IntN(4)]}
	in := func(least, most int) {
		at := time.Now().Add(time.Duration(least+rng.IntN(most-least)) * time.Second)
		delivery["sendAt"] = at.UTC().Format(time.RFC3339)
	}
	edits := []func(map[string]any){
		world.With("content", map[string]any{"subject": m.subject, "plainText": world.Text}), world.With("delivery", delivery),
	}
	kind := rng.IntN(100)
	if n == 0 {
		kind = 99
	}
	switch {
	case kind < 45: // as it comes
	case kind < 55:
		m.refuses = true
		delivery["whenBusy"] = "refuse"
	case kind < 75:
		in(2, 8)
	case kind < 85:
		m.cancels = true
		in(1, 40)
	case kind < 95:
		m.linked = true
		edits = append(edits, world.With("attachments", []any{map[string]any{
			"name": "a.zip", "contentType": "application/zip", "contentInBase64": file(int64(1000 + n)), "placement": "link",
		}}))
	default:
		m.dead = true
		in(6, 10)
		edits = append(edits, world.To(fmt.Sprintf("400+%d@example.net", n)))
	}
	m.body = world.Message(edits...)
	return m
}

// load gives messages to several instances, as callers do who want to know: they
// repeat with the same key, at another instance, until they are told.
type load struct {
	instances []*world.World
	client    *http.Client
	// unanswered are the sends that did not end in a 202: each may have left a
	// message in the spool that nobody was promised.
	unanswered atomic.Int64
}

// pause is between the tries of one caller, tryTime the longest of them.
const (
	pause   = time.Second
	tryTime = 25 * time.Second
)

// see sends m until it is safe or refused for good, takes it back if it is one of
// those, and follows it to its end.
func (l *load) see(ctx context.Context, m *loadMessage) {
	steps := []func(context.Context, *loadMessage) bool{l.send, l.follow}
	if m.cancels {
		steps = []func(context.Context, *loadMessage) bool{l.send, l.cancel, l.follow}
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for _, step := range steps {
		for m.state == "" && !step(ctx, m) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *load) send(ctx context.Context, m *loadMessage) (done bool) {
	status, d := l.ask(ctx, m, http.MethodPost, "/emails:send", m.body)
	switch {
	case status == http.StatusAccepted:
		m.id = d.ID
		return true
	case status == http.StatusUnprocessableEntity && m.dead:
		m.state = "failed"
		return true
	case status == http.StatusTooManyRequests && m.refuses:
		m.state = "refused"
		return true
	}
	l.unanswered.Add(1)
	return false
}

func (l *load) cancel(ctx context.Context, m *loadMessage) (done bool) {
	status, _ := l.ask(ctx, m, http.MethodDelete, world.Operation(m.id), "")
	return status == http.StatusOK || status == http.StatusConflict
}

// follow asks once what became of m. A caller who is told that nobody knows, and
// nobody asks, repeats the message: then somebody does.
func (l *load) follow(ctx context.Context, m *loadMessage) (done bool) {
	status, d := l.ask(ctx, m, http.MethodGet, world.Operation(m.id), "")
	if status != http.StatusOK {
		return false
	}
	switch s := d.Delivery.State; {
	case s == "failed" && d.Error.Code == "":
		m.last = "failed without a reason"
	case s == "failed" && m.refuses && d.Error.Code == "OverQuota":
		l.send(ctx, m) // its repeat was refused, and the answer was lost: the id is free
		return m.state != ""
	case s == "accepted", s == "failed", s == "cancelled":
		m.state = s
		return true
	case s == "unknown" && !d.Delivery.Resolving:
		if status, d := l.ask(ctx, m, http.MethodPost, "/emails:send", m.body); status == http.StatusAccepted && d.Delivery.State == "unknown" {
			m.state = "unknown"
			return true
		}
	}
	return false
}

// ask makes one request as m's caller. The status is 0 if there was no answer.
func (l *load) ask(ctx context.Context, m *loadMessage, method, path, body string) (status int, d world.Document) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	instance := l.instances[(m.n+m.tries)%len(l.instances)]
	m.tries++
	req, err := http.NewRequestWithContext(ctx, method, instance.URL+path, strings.NewReader(body))
	if err != nil {
		m.last = err.Error()
		return 0, d
	}
	req.Header.Set("Authorization", "Bearer "+m.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprintf("canary-key-%d", m.n))
	}
	res, err := l.client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			m.last = err.Error()
		}
		return 0, d
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	m.last = method + ": " + res.Status + " " + string(text)
	if err != nil || json.Unmarshal(text, &d) != nil {
		return 0, d
	}
	return res.StatusCode, d
}
