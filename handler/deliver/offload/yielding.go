package offload

import (
	"io"
	"runtime"
	"sync/atomic"
)

// crowd is how many readers nobody has to wait long for.
const crowd = 4

// yielding is one of several readers, and when they are a crowd it lets others go
// first before each Read. Whoever decodes and hashes a body that is there already
// waits for nothing, and then has a processor for 10 ms at a time: behind 32 of them
// a new request, be it only to be refused, waits for 160 ms on two processors.
type yielding struct {
	r       io.Reader
	readers *atomic.Int32
}

// Read implements io.Reader.
func (y yielding) Read(p []byte) (int, error) {
	if y.readers.Load() > crowd {
		runtime.Gosched()
	}
	return y.r.Read(p)
}
