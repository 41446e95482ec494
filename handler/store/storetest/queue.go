package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Messages is a whole queue. Users of queues declare the part that they need.
type Messages interface {
	Send(ctx context.Context, text string, delay time.Duration) error
	Receive(ctx context.Context, n int, hide time.Duration) ([]store.Message, error)
	Hide(ctx context.Context, m store.Message, d time.Duration) error
	Delete(ctx context.Context, id, popReceipt string) error
}

// Queue checks a queue. pass lets time go by on the service's clock.
func Queue(t *testing.T, open func(*testing.T) (m Messages, pass func(time.Duration))) {
	for name, check := range map[string]func(*testing.T, Messages, func(time.Duration)){
		"a queue that was never used is empty":            emptyQueue,
		"a text comes back as it was, and is then hidden": sendReceive,
		"a message that is not deleted comes again":       comesAgain,
		"only the last receiver can delete":               lastReceiver,
		"a hidden message comes when it shall":            hiddenMessage,
		"a delayed message waits":                         delayed,
		"no more are received than asked for":             someOf,
		"a cancelled call is unavailable":                 cancelledMessage,
		"what a queue cannot do is refused before a call": refusedMessages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, pass := open(t)
			check(t, m, pass)
		})
	}
}

func emptyQueue(t *testing.T, m Messages, _ func(time.Duration)) {
	receive(t, m, time.Minute)
	wantErr(t, "delete", m.Delete(t.Context(), "9c1b8f0c-0000-0000-0000-000000000000", "AgAAAAMAAAAAAAAA"), store.ErrMissing)
}

func sendReceive(t *testing.T, m Messages, _ func(time.Duration)) {
	text := `{"grüße":"<&> \u0000 ` + strings.Repeat("x", 40<<10) + `"}`
	wantErr(t, "send", m.Send(t.Context(), text, 0), nil)
	got := receive(t, m, time.Minute, text)[0]
	if got.DequeueCount != 1 || got.Foreign || got.ID == "" || got.PopReceipt == "" {
		t.Errorf("received %q %q, count %d, foreign %t", got.ID, got.PopReceipt, got.DequeueCount, got.Foreign)
	}
	if got.InsertedAt.IsZero() || !got.VisibleAt.After(got.InsertedAt) || got.ExpiresAt.Year() < got.InsertedAt.Year()+50 {
		t.Errorf("inserted %v, visible %v, expires %v", got.InsertedAt, got.VisibleAt, got.ExpiresAt)
	}
	receive(t, m, time.Minute)
	wantErr(t, "delete", m.Delete(t.Context(), got.ID, got.PopReceipt), nil)
	wantErr(t, "second delete", m.Delete(t.Context(), got.ID, got.PopReceipt), store.ErrMissing)
}

func comesAgain(t *testing.T, m Messages, pass func(time.Duration)) {
	wantErr(t, "send", m.Send(t.Context(), "a", 0), nil)
	first := receive(t, m, time.Second, "a")[0]
	pass(2 * time.Second)
	second := receive(t, m, time.Minute, "a")[0]
	if second.ID != first.ID || second.DequeueCount != 2 || second.PopReceipt == first.PopReceipt {
		t.Errorf("received %+v after %+v", second, first)
	}
}

func lastReceiver(t *testing.T, m Messages, pass func(time.Duration)) {
	wantErr(t, "send", m.Send(t.Context(), "a", 0), nil)
	first := receive(t, m, time.Second, "a")[0]
	pass(2 * time.Second)
	second := receive(t, m, time.Minute, "a")[0]
	wantErr(t, "delete by the first", m.Delete(t.Context(), first.ID, first.PopReceipt), store.ErrMissing)
	wantErr(t, "delete by the second", m.Delete(t.Context(), second.ID, second.PopReceipt), nil)
}

func delayed(t *testing.T, m Messages, pass func(time.Duration)) {
	wantErr(t, "send", m.Send(t.Context(), "a", 2*time.Second), nil)
	receive(t, m, time.Minute)
	pass(3 * time.Second)
	receive(t, m, time.Minute, "a")
}

func someOf(t *testing.T, m Messages, _ func(time.Duration)) {
	for range 3 {
		wantErr(t, "send", m.Send(t.Context(), "a", 0), nil)
	}
	for _, want := range []int{2, 1, 0} {
		got, err := m.Receive(t.Context(), 2, time.Minute)
		wantErr(t, "receive", err, nil)
		if len(got) != want {
			t.Errorf("received %d, want %d", len(got), want)
		}
	}
}

func hiddenMessage(t *testing.T, m Messages, _ func(time.Duration)) {
	wantErr(t, "send", m.Send(t.Context(), "again", 0), nil)
	first := receive(t, m, time.Hour, "again")[0]
	wantErr(t, "show at once", m.Hide(t.Context(), first, 0), nil)
	second := receive(t, m, time.Hour, "again")[0]
	if second.ID != first.ID || second.DequeueCount != 2 {
		t.Errorf("received %+v after %+v", second, first)
	}
	wantErr(t, "hide by an old receipt", m.Hide(t.Context(), first, 0), store.ErrMissing)
	wantErr(t, "hide for an hour", m.Hide(t.Context(), second, time.Hour), nil)
	receive(t, m, time.Minute)
	wantErr(t, "delete by an old receipt", m.Delete(t.Context(), second.ID, second.PopReceipt), store.ErrMissing)
}

func cancelledMessage(t *testing.T, m Messages, _ func(time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCancelled(t, "send", m.Send(ctx, "a", 0))
	_, err := m.Receive(ctx, 1, time.Minute)
	wantCancelled(t, "receive", err)
	wantCancelled(t, "delete", m.Delete(ctx, "9c1b8f0c-0000-0000-0000-000000000000", "AgAAAAMAAAAAAAAA"))
	receive(t, m, time.Minute)
}

func refusedMessages(t *testing.T, m Messages, _ func(time.Duration)) {
	wantRefused(t, "empty", m.Send(t.Context(), "", 0))
	wantRefused(t, "too long", m.Send(t.Context(), strings.Repeat("x", limits.MessageBytes+1), 0))
	wantRefused(t, "too late", m.Send(t.Context(), "a", limits.LongestDelay+time.Second))
	wantRefused(t, "too early", m.Send(t.Context(), "a", -time.Second))
	_, err := m.Receive(t.Context(), 33, time.Minute)
	wantRefused(t, "too many", err)
	_, err = m.Receive(t.Context(), 1, 0)
	wantRefused(t, "not hidden", err)
}

func receive(t *testing.T, m Messages, hide time.Duration, want ...string) []store.Message {
	t.Helper()
	got, err := m.Receive(t.Context(), limits.ReceiveMessages, hide)
	wantErr(t, "receive", err, nil)
	if len(got) != len(want) {
		t.Fatalf("received %d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Text != want[i] {
			t.Errorf("text of %d bytes %.40q, want %d bytes %.40q", len(got[i].Text), got[i].Text, len(want[i]), want[i])
		}
	}
	return got
}
