package test

import (
	"context"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/local/queues"
	"github.com/posthorn/posthorn/handler/test/world"
)

// A wake-up message that has failed too often is complained about and dropped, as soon as a
// handler is there to do it, and once.
func (p *product) testPoisonedWakeUp(t *testing.T) {
	own := &product{p.Anew(t)}
	w := newDeployment(t, own, world.Options{})
	other := w.Another(t)
	for _, instance := range []*world.World{w.World, other} {
		instance.PlayHost(t, 0)
	}
	open, err := queues.At(own.Storage.Queue, own.Storage.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	poison, err := open("posthorn-dispatch-poison")
	if err != nil {
		t.Fatal(err)
	}
	w.Handler.Kill(t)
	other.Handler.Kill(t)
	for range 3 {
		if err := poison.Send(t.Context(), "a message of "+world.Recipient, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.Restart(t)
	other.Restart(t)
	complaints := func() int {
		const complaint = `"msg":"wake-up message failed too often, dropped; the watchdog replaces it"`
		return strings.Count(w.Handler.Stdout.String(), complaint) + strings.Count(other.Handler.Stdout.String(), complaint)
	}
	world.Await(t, "three complaints", func(context.Context) bool { return complaints() >= 3 })
	if n := complaints(); n != 3 {
		t.Errorf("%d complaints, want 3", n)
	}
}
