package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

const (
	// workers is how many messages are dealt with at once, and progressEvery after how
	// many a line tells it.
	workers       = 8
	progressEvery = 1000
	// namedPlaces bounds the parts of a plan's sentence.
	namedPlaces = 8
)

// careful are the flags of what is done to many.
type careful struct {
	All    bool `help:"Select all."`
	DryRun bool `help:"List what would change, and change nothing."`
	Yes    bool `help:"Do not ask for confirmation."`
}

// job is what is done to each of many. It may be repeated.
type job[T any] struct {
	verb, done string          // as in "Drop" and "Dropped"
	none       string          // what it says if there is nothing to do
	of         func(T) string  // what a plan counts by
	list       func([]T) error // shows what would be touched
	do         func(context.Context, *T) error
	// skipReason is why an error leaves one as it is; "" if the error ends the job.
	skipReason func(error) string
}

// confirmAndRun says what would be done to all, asks, and does it.
func confirmAndRun[T any](ctx context.Context, c *console, f careful, j job[T], all []T) error {
	if len(all) == 0 {
		c.tell("Nothing to %s: %s.", strings.ToLower(j.verb), j.none)
		return nil
	}
	question := j.verb + " " + plan(all, j.of) + "?"
	if f.DryRun {
		c.tell("%s Nothing was done.", question)
		return j.list(all)
	}
	if err := c.confirm(f.Yes, question); err != nil {
		return err
	}
	return eachOf(ctx, c, j, all)
}

// plan counts messages.
func plan[T any](all []T, of func(T) string) string {
	counts := map[string]int{}
	for _, m := range all {
		counts[of(m)]++
	}
	return fmt.Sprintf("%s (%s)", messages(len(all)), counted(counts, ", "))
}

// counted names what there is, and how much of it.
func counted(counts map[string]int, between string) string {
	var parts []string
	for i, of := range slices.Sorted(maps.Keys(counts)) {
		if i == namedPlaces {
			parts = append(parts, "others")
			break
		}
		parts = append(parts, fmt.Sprintf("%d %s", counts[of], of))
	}
	return strings.Join(parts, between)
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// eachOf does a job to all, a few beside each other, and says to how many it was done.
// The first error that ends the job leaves the rest; the same command then goes on.
func eachOf[T any](ctx context.Context, c *console, j job[T], all []T) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed error
	finished, left := 0, map[string]int{}
	one := func(m *T) {
		err := j.do(ctx, m)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			if finished++; finished%progressEvery == 0 {
				c.tell("%s %d of %d ...", j.done, finished, len(all))
			}
			return
		}
		if why := j.skipReason(err); why != "" {
			left[why]++
		} else if ctx.Err() == nil {
			failed = err
			cancel()
		}
	}
	next := make(chan *T)
	var working sync.WaitGroup
	for range min(workers, len(all)) {
		working.Go(func() {
			for m := range next {
				one(m)
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
	c.tell("%s %s.", j.done, messages(finished))
	skipped := 0
	for _, n := range left {
		skipped += n
	}
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted with %d left. Run the same command again", len(all)-finished-skipped)
	case skipped > 0:
		return fmt.Errorf("%s left: %s", messages(skipped), reasons(left))
	}
	return nil
}

// reasons tell why messages were left; how many each is only where they differ.
func reasons(left map[string]int) string {
	if len(left) > 1 {
		return counted(left, "; ")
	}
	for why := range left {
		return why
	}
	return ""
}
