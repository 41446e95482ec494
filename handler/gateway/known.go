package gateway

import (
	"context"
	"sync"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/store"
)

// knownEntries are those in line that this process has seen. A message leaves its place only
// when its record has changed, so to have seen it once is enough.
type knownEntries struct {
	mu   sync.Mutex
	seen map[store.Key]bool
}

// mostKnown bounds what knownEntries keeps; to forget one costs a read.
const mostKnown = 10_000

func (p *knownEntries) has(k store.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[k]
}

func (p *knownEntries) add(k store.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= mostKnown {
		p.seen = map[store.Key]bool{}
	}
	p.seen[k] = true
}

// inLine says whether a message stands at the place that its record names.
func (g *Gateway) inLine(ctx context.Context, rec *record.Record) (bool, error) {
	if rec.Spooled == (store.Key{}) || g.known.has(rec.Spooled) {
		return rec.Spooled != store.Key{}, nil
	}
	there, err := g.Spool.HasEntry(ctx, rec.Spooled)
	if there {
		g.known.add(rec.Spooled)
	}
	return there, err
}
