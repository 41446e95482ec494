package sim

import (
	"cmp"
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	polling = 5 * time.Second // host.json: maxPollingInterval
	hidden  = 10 * time.Minute
	tries   = 5 // host.json: maxDequeueCount
)

// Host is how the host behaves.
type Host struct {
	// AfterFail is host.json's visibilityTimeout: how long a message of the queue is
	// hidden after its call failed; 0: 30 s.
	AfterFail time.Duration
	// WatchEvery is how often the watchdog runs; 0: each minute.
	WatchEvery time.Duration
	// Outlives says that the host lives on when an instance dies, and shows the message
	// again as after a failure. Otherwise both die, and it stays hidden for ten minutes.
	Outlives bool
}

// Play lets the host work until Stop: it looks for wake-up messages, calls Watch every minute
// and CleanUp every hour, each on any instance that lives.
func (w *World) Play() {
	w.every(polling, func(ctx context.Context) {
		messages, err := w.wakeUps.Receive(ctx, 16, hidden)
		if err != nil || w.away.Load() {
			return
		}
		for _, m := range messages {
			w.playing.Go(func() { w.dispatch(ctx, m) })
		}
	})
	w.every(w.watchEvery(), func(ctx context.Context) {
		if i := w.Any(); i != nil {
			_ = i.Watch(ctx) // it comes again
		}
	})
	w.every(time.Hour, func(ctx context.Context) {
		if i := w.Any(); i != nil {
			_ = i.CleanUp(ctx) // as above
		}
	})
}

func (w *World) every(d time.Duration, work func(context.Context)) {
	w.playing.Go(func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-ticker.C:
				work(context.Background())
			}
		}
	})
}

func (w *World) watchEvery() time.Duration { return cmp.Or(w.Host.WatchEvery, time.Minute) }

// dispatch is a call of the queue function, with the host's rules for its end.
func (w *World) dispatch(ctx context.Context, m store.Message) {
	i := w.Any()
	if i == nil {
		return // it shows again
	}
	domain, shard, err := spool.ParseWakeUp(m.Text)
	if mark, is := spool.ParseCleanUp(m.Text); is {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
		err = i.GoOnCleaningUp(ctx, mark)
		cancel()
	} else if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
		err = i.Dispatch(ctx, domain, shard)
		cancel()
	}
	afterFail := cmp.Or(w.Host.AfterFail, 30*time.Second)
	switch {
	case w.away.Load(), i.killed.Load() && !w.Host.Outlives:
		return
	case i.killed.Load():
		_ = w.wakeUps.Hide(ctx, m, afterFail) // else it shows again later
		return
	}
	if err != nil && m.DequeueCount < tries {
		_ = w.wakeUps.Hide(ctx, m, afterFail) // else it shows again later
		return
	}
	_ = w.wakeUps.Delete(ctx, m.ID, m.PopReceipt) // as above
}

// Stop ends the host, and waits for what it has begun, and for the calls that ledgers make
// for those who do not wait for them.
func (w *World) Stop() {
	close(w.stop)
	w.playing.Wait()
	time.Sleep(2 * stall)
}

// Stopped says whether the host has been told to end.
func (w *World) Stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}
