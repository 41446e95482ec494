package test

import (
	"os"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// The bounds of size and memory, in decimal megabytes.
const (
	maxHandlerBytes = 31_000_000 // one of them the tables of charsets in which forms come
	maxIdleBytes    = 40_000_000
)

func (p *product) testSize(t *testing.T) {
	info, err := os.Stat(p.HandlerFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	if info.Size() > maxHandlerBytes {
		t.Errorf("the handler has %d bytes, more than %d", info.Size(), maxHandlerBytes)
	}
}

func (p *product) testIdleMemory(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	w.MustSend(t, world.Message())
	resident := w.Handler.ResidentBytes(t)
	t.Logf("%.1f MB", float64(resident)/1e6)
	if resident > maxIdleBytes {
		t.Errorf("the handler has %d bytes of memory, more than %d", resident, maxIdleBytes)
	}
}
