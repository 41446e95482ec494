package offload

import (
	"io"
	"runtime"
	"sync/atomic"
)

// crowd is how many readers run without yielding.
const crowd = 4

// yielding is one of several readers. When they are more than crowd, it yields before each
// Read. A reader of a body that is already there keeps a processor for 10 ms at a time.
// Behind 32 such readers a new request waits for 160 ms on two processors.
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
