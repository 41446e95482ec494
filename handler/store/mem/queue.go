package mem

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Queue is a queue in memory. It is safe for concurrent use.
type Queue struct {
	now  func() time.Time
	plan Plan

	mu       sync.Mutex
	names    int // makes ids and pop receipts, which never come again
	messages []store.Message
}

// NewQueue returns an empty queue whose service has the clock now.
func NewQueue(now func() time.Time, plan Plan) *Queue {
	return &Queue{now: now, plan: plan}
}

// Send is as in store/queue.
func (q *Queue) Send(ctx context.Context, text string, delay time.Duration) error {
	if err := limits.Message(text, delay); err != nil {
		return err
	}
	return q.call(ctx, Send, "", func() error {
		now := q.now().UTC()
		q.messages = append(q.messages, store.Message{
			ID: q.name(), PopReceipt: q.name(), Text: text,
			InsertedAt: now.Truncate(time.Second),
			ExpiresAt:  time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC), // what Azure shows for never
			VisibleAt:  now.Add(delay),
		})
		return nil
	})
}

// Receive is as in store/queue.
func (q *Queue) Receive(ctx context.Context, n int, hide time.Duration) (taken []store.Message, err error) {
	if err := limits.Receive(n, hide); err != nil {
		return nil, err
	}
	err = q.call(ctx, Receive, "", func() error {
		taken = make([]store.Message, 0, n)
		now := q.now().UTC()
		for i := range q.messages {
			m := &q.messages[i]
			if len(taken) == n || m.VisibleAt.After(now) {
				continue
			}
			m.PopReceipt = q.name()
			m.DequeueCount++
			m.VisibleAt = now.Add(hide)
			taken = append(taken, *m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Hide is as in store/queue.
func (q *Queue) Hide(ctx context.Context, m store.Message, d time.Duration) error {
	return q.call(ctx, Hide, m.ID, func() error {
		at := q.at(m.ID, m.PopReceipt)
		if at < 0 {
			return store.ErrMissing
		}
		q.messages[at].PopReceipt = q.name()
		q.messages[at].VisibleAt = q.now().UTC().Add(d)
		return nil
	})
}

// Delete is as in store/queue.
func (q *Queue) Delete(ctx context.Context, id, popReceipt string) error {
	return q.call(ctx, Delete, id, func() error {
		at := q.at(id, popReceipt)
		if at < 0 {
			return store.ErrMissing
		}
		q.messages = slices.Delete(q.messages, at, at+1)
		return nil
	})
}

// at is where the message of a receipt stands, or -1.
func (q *Queue) at(id, popReceipt string) int {
	return slices.IndexFunc(q.messages, func(m store.Message) bool { return m.ID == id && m.PopReceipt == popReceipt })
}

func (q *Queue) name() string {
	q.names++
	return strconv.Itoa(q.names)
}

func (q *Queue) call(ctx context.Context, op Op, key string, act func() error) error {
	return q.plan.run(ctx, op, key, func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		return act()
	})
}
