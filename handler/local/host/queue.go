package host

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// hideFor is how long a message is invisible while a function has it. The real
	// host renews it half-way; the stand-in hides a message for functionTimeout
	// from the start if that is longer. Source: QueueListener.cs.
	hideFor = 10 * time.Minute
	// minPolling is the wait after the first empty answer; it doubles up to
	// maxPollingInterval. Source: QueuePollingIntervals.cs.
	minPolling = 100 * time.Millisecond
)

// Queue is what the host asks of a queue. An error of Receive may leave messages
// hidden until their time is over; after one of Hide or Delete the message comes
// again; after one of Send it may be in the queue.
type Queue interface {
	Receive(ctx context.Context, n int, hide time.Duration) ([]store.Message, error)
	Hide(ctx context.Context, m store.Message, d time.Duration) error
	Delete(ctx context.Context, id, popReceipt string) error
	Send(ctx context.Context, text string, delay time.Duration) error
}

// listener is what a function is triggered by, and where that ends that fails.
// What fails in a poison queue ends nowhere.
type listener struct {
	function      function
	queue, poison Queue
}

// poisonSuffix: source: QueueListenerFactory.cs, CreatePoisonQueueReference.
const poisonSuffix = "-poison"

func openQueues(functions []function, open func(name string) (Queue, error)) (all []listener, err error) {
	for _, f := range functions {
		if f.queue == "" {
			continue
		}
		if open == nil {
			return nil, fmt.Errorf("function %s is triggered by a queue, and the host was given none", f.name)
		}
		l := listener{function: f}
		if l.queue, err = open(f.queue); err != nil {
			return nil, err
		}
		if !strings.HasSuffix(f.queue, poisonSuffix) {
			if l.poison, err = open(f.queue + poisonSuffix); err != nil {
				return nil, err
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// poll calls f with every message of q until ctx ends, and returns when the last
// call has. One that takes long does not hold up the next batch. What fails too
// often goes to poison. Source: QueueListener.cs, ExecuteAsync.
func (h *Host) poll(ctx context.Context, f function, q, poison Queue) {
	hide := max(hideFor, h.settings.functionTimeout+time.Minute)
	wait := minPolling
	ended := make(chan struct{})
	running := 0
	for ctx.Err() == nil {
		messages, err := q.Receive(ctx, h.settings.queues.batch, hide)
		if err != nil && ctx.Err() == nil {
			h.log.Error("queue not read", "function", f.name, "error", err)
		}
		if len(messages) == 0 {
			sleep(ctx, wait)
			wait = min(2*wait, h.settings.queues.maxPolling)
			continue
		}
		wait = minPolling
		running += len(messages)
		for _, m := range messages {
			go func() {
				defer func() { ended <- struct{}{} }()
				if err := h.deliver(ctx, f, m, q, poison); err != nil {
					h.log.Error("message not completed", "function", f.name, "message", m.ID, "error", err)
				}
			}()
		}
		for ; running > h.settings.queues.threshold; running-- {
			<-ended
		}
	}
	for ; running > 0; running-- {
		<-ended
	}
}

// deliver calls f with one message and then deletes it, shows it again or moves
// it to poison. A message whose count is beyond the limit already, because the
// handler died with it each time, is moved without a call. Without a poison queue
// a message that fails stays hidden for its time, and comes again for ever. Source:
// QueueProcessor.cs, BeginProcessingMessageAsync and CompleteProcessingMessageAsync.
func (h *Host) deliver(ctx context.Context, f function, m store.Message, q, poison Queue) error {
	limit := int64(h.settings.queues.maxDequeueCount)
	last := poison != nil && (m.Foreign || m.DequeueCount > limit)
	if !last {
		err := h.invoke(ctx, f, f.messageEnvelope(m))
		if err == nil {
			return q.Delete(ctx, m.ID, m.PopReceipt)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the host has stopped; the message comes again
		}
		h.log.Error("queue call failed", "function", f.name, "message", m.ID, "count", m.DequeueCount, "error", err)
		if poison == nil {
			return nil
		}
		last = m.DequeueCount == limit
	}
	if !last {
		return q.Hide(ctx, m, h.settings.queues.hiddenAfterFail)
	}
	if err := poison.Send(ctx, m.Text, 0); err != nil {
		return err
	}
	return q.Delete(ctx, m.ID, m.PopReceipt)
}

// dotNetTime is a DateTimeOffset as ToString and Parse leave it, in whole seconds.
const dotNetTime = "2006-01-02T15:04:05-07:00"

// messageEnvelope is the call with one message, which is a string whatever it holds.
// The members of a message that is a JSON object stand in Metadata too, as strings
// but for objects, and take the place of the host's own: names are told apart
// without regard to case. Source: ScriptInvocationContextExtensions.cs; Binder.cs.
func (f *function) messageEnvelope(m store.Message) envelope {
	metadata := map[string]any{
		"DequeueCount":    strconv.FormatInt(m.DequeueCount, 10),
		"Id":              text(m.ID),
		"PopReceipt":      text(m.PopReceipt),
		"InsertionTime":   m.InsertedAt.UTC().Format(dotNetTime),
		"ExpirationTime":  m.ExpiresAt.UTC().Format(dotNetTime),
		"NextVisibleTime": m.VisibleAt.UTC().Format(dotNetTime),
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal([]byte(m.Text), &members) // nil, but of an object
	for name, value := range members {
		for own := range metadata {
			if strings.EqualFold(own, name) {
				name = own
			}
		}
		switch value[0] {
		case '[': // is left out
		case '{':
			metadata[name] = value
		default:
			metadata[name] = string(value)
		}
	}
	return f.newEnvelope(text(m.Text), metadata)
}
