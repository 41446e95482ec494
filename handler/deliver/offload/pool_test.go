package offload

import (
	"sync"
	"testing"
)

// countingPool is a pool that knows how many blocks are out.
type countingPool struct {
	mu        sync.Mutex
	free      []any
	out, most int
	kept      func() int // bytes beside the blocks; nil if nobody asks
	mostBytes int        // of blocks and kept at one time
}

// look notes what is held now. It is for the goroutine that keeps.
func (p *countingPool) look() {
	if p.kept != nil {
		p.mostBytes = max(p.mostBytes, p.out*BlockBytes+p.kept())
	}
}

func (p *countingPool) Get() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out++
	p.most = max(p.most, p.out)
	p.look()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return new(block)
}

func (p *countingPool) Put(b any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out--
	p.free = append(p.free, b)
}

// pooled is a setting whose blocks are counted.
func pooled() (*setting, *countingPool) {
	s, p := newSetting(), new(countingPool)
	s.blocks = p
	return s, p
}

func (p *countingPool) assertReturned(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != 0 {
		t.Errorf("%d blocks were not given back", p.out)
	}
}
