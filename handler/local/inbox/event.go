package inbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// waitingChanges is how far a reader may fall behind before its stream is
	// ended; EventSource then comes back by itself and the page reads anew.
	waitingChanges = 256
	// heartbeat keeps proxies from closing a silent stream.
	heartbeat = 25 * time.Second
)

// change is one event of the stream.
type change struct {
	Type string `json:"type"` // added or deleted
	ID   string `json:"id"`
}

// subscribers are the open event streams. The zero value is ready.
type subscribers struct {
	mu     sync.Mutex
	closed bool
	all    map[chan change]bool
}

// join returns a stream of changes, closed when the reader is too slow or the
// inbox ends.
func (s *subscribers) join() chan change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan change, waitingChanges)
	if s.closed {
		close(c)
		return c
	}
	if s.all == nil {
		s.all = map[chan change]bool{}
	}
	s.all[c] = true
	return c
}

func (s *subscribers) leave(c chan change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *subscribers) tell(ch change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		select {
		case c <- ch:
		default:
			delete(s.all, c)
			close(c)
		}
	}
}

func (s *subscribers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.all {
		delete(s.all, c)
		close(c)
	}
}

func (b *Inbox) handleEvents(w http.ResponseWriter, r *http.Request) {
	changes := b.subs.join()
	defer b.subs.leave(changes)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil || out.Flush() != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		line := ": still here\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
		case ch, ok := <-changes:
			if !ok {
				return
			}
			data, _ := json.Marshal(ch) // two strings: cannot fail
			line = fmt.Sprintf("event: change\ndata: %s\n\n", data)
		}
		if _, err := fmt.Fprint(w, line); err != nil || out.Flush() != nil {
			return
		}
	}
}
