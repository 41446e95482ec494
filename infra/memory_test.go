package infra

import (
	"testing"

	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

// Memory of an instance, in bytes, that is not there for requests: what the plan keeps, what
// the Functions host takes at rest, and the handler.
const (
	planPart     = 0.1
	hostAtRest   = 250e6
	handlerAtAll = 64e6
)

// A request costs the host up to four times its body, which it reads whole before it calls the
// handler, and the handler what it may hold of it at most: the host was seen at two to four
// times, and offload.Memory has the other.
const (
	hostFactor   = 4
	handlerBytes = 12.6e6
)

// Whatever profile is chosen, as many requests as come at once, each as large as it may be, fit
// into an instance; and the host lets through what the handler is to refuse.
func TestMemoryOfEveryProfileSuffices(t *testing.T) {
	t.Parallel()
	for _, p := range settings.Profiles() {
		name := p.Name
		free := float64(p.InstanceMB)*(1<<20)*(1-planPart) - hostAtRest - handlerAtAll
		if need := float64(p.RequestsAtOnce) * (hostFactor*float64(p.HostBodyBytes) + handlerBytes); need > free {
			t.Errorf("%s: %d requests at once need %.0f MB, and %.0f are free", name, p.RequestsAtOnce, need/1e6, free/1e6)
		}
		if p.BodyBytes >= p.HostBodyBytes {
			t.Errorf("%s: the host refuses a body of %d bytes before the handler can say why", name, p.BodyBytes)
		}
		if float64(wiring.CommonBytes(p.HandlerMB)) < float64(p.RequestsAtOnce)*handlerBytes {
			t.Errorf("%s: the handler sends requests away that the instance has room for", name)
		}
	}
}
