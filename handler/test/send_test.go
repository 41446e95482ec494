package test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// Everything that a small message may have arrives at ACS as it was sent.
func (p *product) testSend(t *testing.T) {
	w := newWorld(t, p, worldOptions{})
	image := []byte("\x89PNG canary")
	sent := message(
		with("recipients", map[string]any{
			"to":  []address{{recipient, "Ann canary"}, {"canary-second@example.net", ""}},
			"cc":  []address{{"canary-cc@example.net", ""}},
			"bcc": []address{{"canary-bcc@example.net", ""}},
		}),
		with("replyTo", []address{{"canary-reply@example.com", "Grüße"}}),
		with("headers", map[string]string{"X-Canary": "canary-header"}),
		with("attachments", []any{map[string]any{"name": "logo.png", "contentType": "image/png", "contentId": "logo", "contentInBase64": image}}),
		with("delivery", map[string]any{"tags": []any{map[string]string{"name": "order", "value": "canary-tag"}}}),
	)
	a := w.send(t, sent)
	d := a.document(t)
	if a.StatusCode != http.StatusAccepted || d.Status != "Running" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	location, err := url.Parse(a.Header.Get("Operation-Location"))
	if err != nil || location.Scheme+"://"+location.Host != w.url || location.Path != operation(d.ID) {
		t.Fatalf("Operation-Location is %q, %v", a.Header.Get("Operation-Location"), err)
	}

	got := w.acs.message(t)
	if got.From != sender || got.Subject != subject || got.Text != text || got.HTML != "<p>"+text+"</p>" || got.Headers["X-Canary"] != "canary-header" {
		t.Errorf("arrived as %+v", got)
	}
	r := got.Recipients
	if !reflect.DeepEqual(r.To, []address{{recipient, "Ann canary"}, {"canary-second@example.net", ""}}) ||
		!reflect.DeepEqual(r.CC, []address{{"canary-cc@example.net", ""}}) || !reflect.DeepEqual(r.BCC, []address{{"canary-bcc@example.net", ""}}) ||
		!reflect.DeepEqual(got.ReplyTo, []address{{"canary-reply@example.com", "Grüße"}}) {
		t.Errorf("arrived to %+v, answers to %+v", r, got.ReplyTo)
	}
	sum := sha256.Sum256(image)
	if len(got.Attachments) != 1 || got.Attachments[0].SHA256 != hex.EncodeToString(sum[:]) || got.Attachments[0].ContentID != "logo" {
		t.Errorf("arrived with %+v", got.Attachments)
	}

	status := w.get(t, location.RequestURI())
	if d := status.document(t); status.StatusCode != http.StatusOK || d.Status != "Succeeded" || d.Delivery.State != "accepted" {
		t.Errorf("%s: %s", status.Status, status.body)
	}
	w.do(t, http.MethodDelete, location.RequestURI(), nil).want(t, http.StatusMethodNotAllowed, "method-not-allowed")
	w.do(t, http.MethodGet, location.RequestURI(), nil, "Authorization", "").want(t, http.StatusUnauthorized, "unauthenticated")

	stranger := newWorld(t, p, worldOptions{})
	stranger.get(t, location.RequestURI()).want(t, http.StatusNotFound, "not-found")
}

// The same Idempotency-Key or Operation-Id is one message, whoever asks twice.
func (p *product) testRepeat(t *testing.T) {
	for _, c := range []struct{ name, header, value string }{
		{"a key", "Idempotency-Key", "canary-order-4711"},
		{"an operation id", "Operation-Id", "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, p, worldOptions{})
			first := w.mustSend(t, message(), c.header, c.value)
			for range 3 {
				a := w.send(t, message(), c.header, c.value)
				if d := a.document(t); a.StatusCode != http.StatusAccepted || d.ID != first.ID || a.Header.Get("Idempotency-Replayed") != "true" {
					t.Errorf("%s: %s", a.Status, a.body)
				}
			}
			w.send(t, message(with("headers", map[string]string{"X-Other": "1"})), c.header, c.value).want(t, http.StatusUnprocessableEntity, "key-reused")
			w.restart(t)
			if d := w.mustSend(t, message(), c.header, c.value); d.ID != first.ID {
				t.Errorf("after a restart the id is %s, not %s", d.ID, first.ID)
			}
			w.acs.message(t)

			// Another caller's key of the same name is another message.
			other := newWorld(t, p, worldOptions{})
			if d := other.mustSend(t, message(), c.header, c.value); c.header == "Idempotency-Key" && strings.EqualFold(d.ID, first.ID) {
				t.Error("two callers share an id")
			}
			other.acs.message(t)
		})
	}
}
