package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// workers is how many messages are dealt with at once, and progressEvery after how
	// many a line tells it.
	workers       = 8
	progressEvery = 1000
	// namedPlaces bounds the parts of a plan's sentence.
	namedPlaces = 8
)

// action is what is done to one message. It may be repeated.
type action func(ctx context.Context, s *spool.Slip) error

// touch says what would be done to those selected that it is for, asks, and does it.
func (b *bulk) touch(ctx context.Context, c *console, d deployment, isFor func(held) bool, verb, done string, do action) error {
	all, err := d.selected(ctx, b.selection)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(h held) bool { return !isFor(h) })
	if len(all) == 0 {
		c.tell("Nothing to %s: no such message waits.", strings.ToLower(verb))
		return nil
	}
	question := verb + " " + plan(all) + "?"
	if b.DryRun {
		c.tell("%s Nothing was done.", question)
		return printList(c, listing{}, all)
	}
	if err := c.confirm(b.Yes, question); err != nil {
		return err
	}
	return eachOf(ctx, c, done, all, do)
}

// plan counts messages by caller and state.
func plan(all []held) string {
	counts := map[string]int{}
	for _, h := range all {
		counts[string(h.state)+" of "+h.Line.Caller]++
	}
	var parts []string
	for i, of := range slices.Sorted(maps.Keys(counts)) {
		if i == namedPlaces {
			parts = append(parts, "others")
			break
		}
		parts = append(parts, fmt.Sprintf("%d %s", counts[of], of))
	}
	return fmt.Sprintf("%s (%s)", messages(len(all)), strings.Join(parts, ", "))
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// eachOf does it to all, a few beside each other, and says to how many it was done. The
// first error of storage ends it; the same command then goes on with the rest.
func eachOf(ctx context.Context, c *console, done string, all []held, do action) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed error
	touched, late := 0, 0
	one := func(h *held) {
		err := do(ctx, &h.Slip)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			if touched++; touched%progressEvery == 0 {
				c.tell("%s %d of %d ...", done, touched, len(all))
			}
		case problem.Is(err, problem.TooLate), problem.Is(err, problem.NotFound):
			late++
		case ctx.Err() == nil:
			failed = err
			cancel()
		}
	}
	next := make(chan *held)
	var working sync.WaitGroup
	for range min(workers, len(all)) {
		working.Go(func() {
			for h := range next {
				one(h)
			}
		})
	}
	for i := range all {
		select {
		case next <- &all[i]:
		case <-ctx.Done():
		}
	}
	close(next)
	working.Wait()
	c.tell("%s %s.", done, messages(touched))
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted with %d left; the same command goes on", len(all)-touched-late)
	case late > 0:
		return fmt.Errorf("%s left: on the way to ACS, ended, or in doubt", messages(late))
	}
	return nil
}
