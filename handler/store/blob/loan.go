package blob

import (
	"bytes"
	"errors"
	"sync"
)

// loan is a block while the SDK may read it. net/http may go on reading a body
// after the call has returned, early answers and cancelled calls being two cases;
// by then the caller fills the same memory with the next block.
type loan struct {
	mu    sync.Mutex
	r     *bytes.Reader
	ended bool
}

func lend(block []byte) *loan { return &loan{r: bytes.NewReader(block)} }

func (l *loan) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// Read implements io.Reader.
func (l *loan) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, errors.New("block was taken back")
	}
	return l.r.Read(p)
}

// Seek implements io.Seeker; the SDK rewinds before each attempt.
func (l *loan) Seek(offset int64, whence int) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Seek(offset, whence)
}

// Close implements io.Closer. The SDK closes after an attempt and may read again.
func (l *loan) Close() error { return nil }
