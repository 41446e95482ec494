package host

import (
	"context"
	"net/http"
	"net/url"
	"sync"
)

// Triggers is the half of a Host that calls, for a handler that somebody else
// starts, and kills: it calls the timer and queue functions of the app in c.Dir at
// the handler's address until ctx ends. A call waits for a handler that does not
// answer, as it waits in the real host for one that is started again. What is under
// way when ctx ends stays hidden in its queue, as if the instance had been lost.
// c.Output is not used.
func Triggers(ctx context.Context, c Config, handler *url.URL) error {
	h, err := New(c)
	if err != nil {
		return err
	}
	h.ready = func(ctx context.Context) (*child, error) {
		k := &child{url: handler, exited: make(chan struct{}), recycled: make(chan string, 1)}
		return k, h.handler.awaitAnswer(ctx, k)
	}
	// A connection of its own for each call: none can be to a handler of the past.
	h.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	h.listen(ctx, &wg)
	wg.Wait()
	return nil
}
