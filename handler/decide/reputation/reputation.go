// Package reputation pauses a caller or a hook when ACS refuses or drops too many of its
// messages. Microsoft blocks a subscription that fails too often, and so all its callers.
//
// In: what ACS said of each message, as it becomes known. Out: the pause of the caller or,
// for what came by a hook, of the hook alone. What is taken is counted in memory; a row is
// written only where something is refused or dropped, once a second at most for a sender.
// So a process that sees no refusal adds nothing to the count: senders' messages come to
// all processes alike, and it then has seen few. It sends nothing and reads no message.
package reputation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Outcome is what ACS said of one message.
type Outcome int

// The outcomes. A message that was taken may be dropped later.
const (
	Taken   Outcome = iota
	Refused         // as it was sent
	Dropped         // after it was taken
)

const (
	// Least is how many messages must have been refused or dropped before a sender is
	// paused: below it, a part of them says little.
	Least = 20
	// Window is the time that counts, in hours that begin with the clock's.
	Window = 24
	// between is the least time from one write for a sender to the next.
	between = time.Second
	// mostSenders bounds what is kept in memory.
	mostSenders = 10_000
	// tries bounds how often a row is written that others change at the same time.
	tries = 5

	partition = "reputation"
)

// Table is where the counts are kept. See package store for the errors.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
}

// Pauser pauses one of a list, unless it is paused already.
type Pauser interface {
	Suspend(ctx context.Context, name, reason string) error
}

// Watch counts for one deployment. It is safe for concurrent use.
type Watch struct {
	Config

	mu   sync.Mutex
	seen map[string]*seen
}

// Config is what a Watch is made of. All of it is required.
type Config struct {
	Table          Table
	Callers, Hooks Pauser
	// Percent of a sender's messages may be refused or dropped; 0: no sender is paused.
	Percent int
	Now     func() time.Time
	Log     *slog.Logger
}

// seen is what this process has not written yet.
type seen struct {
	Hour
	written time.Time
}

// Hour is the count of one hour.
type Hour struct {
	At   int64 `json:"at"`   // hours since 1970
	Sent int   `json:"sent"` // given to ACS
	Bad  int   `json:"bad"`  // of them refused or dropped
}

// New makes a Watch of c.
func New(c Config) *Watch { return &Watch{Config: c, seen: map[string]*seen{}} }

// CountOutcome counts a message of a caller, which came by a hook if that is not empty. Where it
// is one too many, the sender is paused before CountOutcome returns. Failures are logged alone:
// the message has had its end.
func (w *Watch) CountOutcome(ctx context.Context, caller, hook string, o Outcome) {
	if w.Percent == 0 {
		return
	}
	sender, name, pauser, kind := "caller "+caller, caller, w.Callers, "caller"
	if hook != "" {
		sender, name, pauser, kind = "hook "+hook, hook, w.Hooks, "hook"
	}
	fresh, due := w.add(sender, o)
	if !due {
		return
	}
	sent, bad, err := w.keep(ctx, sender, fresh)
	if err != nil {
		w.putBack(sender, fresh)
	}
	if err == nil && w.tooMany(sent, bad) {
		reason := fmt.Sprintf("ACS refused or dropped %d of its last %d messages, more than %d percent.", bad, sent, w.Percent)
		if err = pauser.Suspend(ctx, name, reason); err == nil {
			w.Log.ErrorContext(ctx, "sender paused: ACS refuses or drops too many of its messages", kind, name, "sent", sent, "bad", bad)
			err = w.forget(ctx, sender)
		}
	}
	if err != nil {
		w.Log.WarnContext(ctx, "refusals of ACS could not be counted", kind, name, "error", err)
	}
}

func (w *Watch) tooMany(sent, bad int) bool { return bad >= Least && bad*100 > w.Percent*sent }

// add counts in memory. due says that fresh is to be written, and is no longer here.
func (w *Watch) add(sender string, o Outcome) (fresh Hour, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	s := w.seen[sender]
	if s == nil {
		if len(w.seen) >= mostSenders {
			clear(w.seen)
		}
		s = &seen{}
		w.seen[sender] = s
	}
	if hour := now.Unix() / 3600; s.At != hour {
		s.Hour = Hour{At: hour}
	}
	if o != Dropped {
		s.Sent++
	}
	if o != Taken {
		s.Bad++
	}
	if s.Bad == 0 || now.Sub(s.written) < between {
		return Hour{}, false
	}
	fresh = s.Hour
	s.Hour, s.written = Hour{At: fresh.At}, now
	return fresh, true
}

// putBack counts again what could not be written, for the next that is refused.
func (w *Watch) putBack(sender string, fresh Hour) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.seen[sender]; s != nil && s.At == fresh.At {
		s.Sent += fresh.Sent
		s.Bad += fresh.Bad
	}
}

// keep adds fresh to what all processes have counted, and returns the sums.
func (w *Watch) keep(ctx context.Context, sender string, fresh Hour) (sent, bad int, err error) {
	err = w.change(ctx, sender, func(all []Hour) []Hour {
		kept := []Hour{fresh}
		for _, h := range all {
			switch {
			case h.At == fresh.At:
				kept[0].Sent += h.Sent
				kept[0].Bad += h.Bad
			case h.At > fresh.At-Window && h.At < fresh.At+Window:
				kept = append(kept, h)
			}
		}
		sent, bad = 0, 0
		for _, h := range kept {
			sent += h.Sent
			bad += h.Bad
		}
		return kept
	})
	return sent, bad, err
}

// forget lets the count of a sender begin anew, which is just paused: when it goes on, it
// is judged by what follows.
func (w *Watch) forget(ctx context.Context, sender string) error {
	return w.change(ctx, sender, func([]Hour) []Hour { return nil })
}

func (w *Watch) change(ctx context.Context, sender string, f func([]Hour) []Hour) error {
	for range tries {
		e, _, err := w.Table.Get(ctx, partition, sender)
		missing := errors.Is(err, store.ErrMissing)
		if err != nil && !missing {
			return fmt.Errorf("read the count of %s: %w", sender, err)
		}
		var all []Hour
		if text, ok := e.Values["hours"].(string); ok {
			_ = json.Unmarshal([]byte(text), &all) // what cannot be read counts for nothing
		}
		text, err := json.Marshal(f(all))
		if err != nil {
			return fmt.Errorf("encode the count of %s: %w", sender, err)
		}
		e.Partition, e.Row, e.Values = partition, sender, map[string]any{"hours": string(text)}
		if missing {
			_, err = w.Table.Insert(ctx, e)
		} else {
			_, err = w.Table.Replace(ctx, e)
		}
		if !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrExists) {
			return wrap(err, sender)
		}
	}
	return problem.New(problem.Unavailable, "The count of a sender is written by too many at once.")
}

func wrap(err error, sender string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write the count of %s: %w", sender, err)
}
