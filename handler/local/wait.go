package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// patience bounds each wait of a start. It is long, because a machine that
	// compiles or tests something else meanwhile takes minutes; a part whose process
	// has ended is told at once and not waited for.
	patience = 10 * time.Minute
	// firstWord and wordEvery say when a wait is told.
	firstWord = 10 * time.Second
	wordEvery = 30 * time.Second
	// pause lies between two tries.
	pause = time.Second
)

// teller says that something is still waited for: not at once, and not too often.
type teller struct {
	out         io.Writer
	what        string
	start, next time.Time
}

func newTeller(out io.Writer, what string) *teller {
	now := time.Now()
	return &teller{out, what, now, now.Add(firstWord)}
}

// still tells the wait and its reason, which may be "".
func (t *teller) still(reason string) {
	now := time.Now()
	if now.Before(t.next) {
		return
	}
	t.next = now.Add(wordEvery)
	if reason != "" {
		reason = ": " + reason
	}
	fmt.Fprintf(t.out, "Still waiting for %s (%s)%s\n", t.what, now.Sub(t.start).Round(time.Second), reason)
}

// during does work, and tells meanwhile that what it makes is still waited for.
func during(out io.Writer, what string, work func() error) error {
	t := newTeller(out, what)
	done := make(chan error, 1)
	go func() { done <- work() }()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			t.still("")
		}
	}
}

// until tries again until a try is done or failed for good, and gives up after
// bound. What stood in the way last is returned as reason, also when ctx has ended.
func until(ctx context.Context, bound time.Duration, t *teller, try func(context.Context) (reason string, err error)) (reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		reason, err := try(ctx)
		if reason == "" || err != nil {
			return "", err
		}
		select {
		case <-time.After(pause):
			t.still(reason)
		case <-ctx.Done():
			return reason, nil
		}
	}
}
