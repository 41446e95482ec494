package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/problem"
)

// A repeat finds out only after it has got a place, which has the same time, that
// it is none: it must not give the first one's place back.
func TestARepeatOfWhatWaitsForItsTimeLeavesItInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		at := time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano)
		body := func(subject string) string {
			return fmt.Sprintf(`{"senderAddress":"a@example.com","recipients":{"to":[{"address":"b@example.com"}]},`+
				`"content":{"subject":%q,"plainText":"t"},"delivery":{"sendAt":%q}}`, subject, at)
		}
		first := request(body("one"))
		first.IdempotencyKey = "key"
		answer, err := h.Send(t.Context(), first)
		if err != nil || answer.Record.State != record.Waiting {
			t.Fatalf("got %+v, %v", answer, err)
		}
		repeat := request(body("one"))
		repeat.IdempotencyKey = "key"
		if again, err := h.Send(t.Context(), repeat); err != nil || !again.Replayed || again.Record.ID != answer.Record.ID {
			t.Errorf("the repeat got %+v, %v", again, err)
		}
		other := request(body("two"))
		other.IdempotencyKey = "key"
		if _, err := h.Send(t.Context(), other); !problem.Is(err, problem.KeyReused) {
			t.Errorf("another message with its key got %v", err)
		}
		h.Play(t, 2*time.Minute)
		if len(h.ACS.Sent) != 1 || h.ACS.Sent[0].Content.Subject != "one" {
			t.Errorf("ACS has %+v", h.ACS.Sent)
		}
		if rec, err := h.Find(t.Context(), gatewaytest.Shop, answer.Record.ID); err != nil || rec.State != record.Accepted {
			t.Errorf("the record is %+v, %v", rec, err)
		}
	})
}

// A dispatcher that has nothing more to do gives its lease back, so that the next message
// is not left to the timer.
func TestWhatComesAfterTheDispatcherHasEndedIsSentSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		played := make(chan struct{})
		go func() {
			defer close(played)
			h.Play(t, 6*time.Minute)
		}()
		for range 20 { // a lease that is kept shows every second time only
			at := time.Now().Add(2 * time.Second)
			body := strings.TrimSuffix(gatewaytest.Small("later"), "}") + `,"delivery":{"sendAt":"` + at.UTC().Format(time.RFC3339) + `"}}`
			answer, err := h.Send(t.Context(), request(body))
			if err != nil || answer.Record.State != record.Waiting {
				t.Fatalf("got %+v, %v", answer.Record, err)
			}
			time.Sleep(15 * time.Second)
			if f, err := h.Find(t.Context(), gatewaytest.Shop, answer.Record.ID); err != nil || f.State != record.Accepted {
				t.Errorf("15 s later it is %s, %v", f.State, err)
			}
		}
		<-played
	})
}
