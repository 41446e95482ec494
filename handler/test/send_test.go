package test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// Everything that a small message may have arrives at ACS as it was sent.
func (p *product) testSend(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	image := []byte("\x89PNG canary")
	sent := world.Message(
		world.With("recipients", map[string]any{
			"to":  []world.Address{mailbox(world.Recipient, "Ann canary"), mailbox("canary-second@example.net", "")},
			"cc":  []world.Address{mailbox("canary-cc@example.net", "")},
			"bcc": []world.Address{mailbox("canary-bcc@example.net", "")},
		}),
		world.With("replyTo", []world.Address{mailbox("canary-reply@example.com", "Grüße")}),
		world.With("headers", map[string]string{"X-Canary": "canary-header"}),
		world.With("attachments", []any{map[string]any{"name": "logo.png", "contentType": "image/png", "contentId": "logo", "contentInBase64": image}}),
		world.With("delivery", map[string]any{"tags": []any{map[string]string{"name": "order", "value": "canary-tag"}}}),
	)
	a := w.Send(t, sent)
	d := a.Document(t)
	if a.StatusCode != http.StatusAccepted || d.Status != "Running" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%s: %s", a.Status, a.Body)
	}
	location, err := url.Parse(a.Header.Get("Operation-Location"))
	if err != nil || location.Scheme+"://"+location.Host != w.URL || location.Path != world.Operation(d.ID) {
		t.Fatalf("Operation-Location is %q, %v", a.Header.Get("Operation-Location"), err)
	}

	got := w.ACS.Message(t)
	if got.From != world.Sender || got.Subject != world.Subject || got.Text != world.Text || got.HTML != "<p>"+world.Text+"</p>" || got.Headers["X-Canary"] != "canary-header" {
		t.Errorf("arrived as %+v", got)
	}
	r := got.Recipients
	if !reflect.DeepEqual(r.To, []world.Address{mailbox(world.Recipient, "Ann canary"), mailbox("canary-second@example.net", "")}) ||
		!reflect.DeepEqual(r.CC, []world.Address{mailbox("canary-cc@example.net", "")}) || !reflect.DeepEqual(r.BCC, []world.Address{mailbox("canary-bcc@example.net", "")}) ||
		!reflect.DeepEqual(got.ReplyTo, []world.Address{mailbox("canary-reply@example.com", "Grüße")}) {
		t.Errorf("arrived to %+v, answers to %+v", r, got.ReplyTo)
	}
	sum := sha256.Sum256(image)
	if len(got.Attachments) != 1 || got.Attachments[0].SHA256 != hex.EncodeToString(sum[:]) || got.Attachments[0].ContentID != "logo" {
		t.Errorf("arrived with %+v", got.Attachments)
	}

	if d := w.Ended(t, location.RequestURI()); d.Status != "Succeeded" || d.Delivery.State != "accepted" {
		t.Errorf("it has ended as %+v", d)
	}
	w.Do(t, http.MethodDelete, location.RequestURI(), nil).Want(t, http.StatusConflict, "too-late")
	w.Do(t, http.MethodGet, location.RequestURI(), nil, "Authorization", "").Want(t, http.StatusUnauthorized, "unauthenticated")

	stranger := newDeployment(t, p, world.Options{})
	stranger.Get(t, location.RequestURI()).Want(t, http.StatusNotFound, "not-found")
}

// The same Idempotency-Key or Operation-Id is one message, however often it is sent.
func (p *product) testRepeat(t *testing.T) {
	for _, c := range []struct{ name, header, value string }{
		{"a key", "Idempotency-Key", "canary-order-4711"},
		{"an operation id", "Operation-Id", "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDeployment(t, p, world.Options{})
			first := w.MustSend(t, world.Message(), c.header, c.value)
			for range 3 {
				a := w.Send(t, world.Message(), c.header, c.value)
				if d := a.Document(t); a.StatusCode != http.StatusAccepted || d.ID != first.ID || a.Header.Get("Idempotency-Replayed") != "true" {
					t.Errorf("%s: %s", a.Status, a.Body)
				}
			}
			w.Send(t, world.Message(world.With("headers", map[string]string{"X-Other": "1"})), c.header, c.value).Want(t, http.StatusUnprocessableEntity, "key-reused")
			w.Restart(t)
			if d := w.MustSend(t, world.Message(), c.header, c.value); d.ID != first.ID {
				t.Errorf("after a restart the id is %s, not %s", d.ID, first.ID)
			}
			w.ACS.Message(t)

			// Another caller's key of the same name is another message.
			other := newDeployment(t, p, world.Options{})
			if d := other.MustSend(t, world.Message(), c.header, c.value); c.header == "Idempotency-Key" && strings.EqualFold(d.ID, first.ID) {
				t.Error("two callers share an id")
			}
			other.ACS.Message(t)
		})
	}
}

func mailbox(address, name string) world.Address {
	return world.Address{Address: address, DisplayName: name}
}
