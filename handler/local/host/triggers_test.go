package host

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

// A call waits for a handler that is not there yet, and then ends its message.
func TestTriggersCallAHandlerThatSomebodyElseStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "host.json"),
		`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"none"},"enableProxyingHttpRequest":true}}`)
	write(t, filepath.Join(dir, "mail", "function.json"),
		`{"bindings":[{"type":"queueTrigger","direction":"in","name":"msg","queueName":"mail"}]}`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	q := &memory{}
	q.put(store.Message{ID: "1", Text: "a", DequeueCount: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Triggers(ctx, Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Queue: func(name string) (Queue, error) {
			if strings.HasSuffix(name, "-poison") {
				return poison{q}, nil
			}
			return q, nil
		}}, &url.URL{Scheme: "http", Host: l.Addr().String()})
	}()
	eventually(t, "the message taken", func() bool { return q.asked() > 0 })
	var got calls
	server := httptest.NewUnstartedServer(got.handler("mail"))
	server.Listener.Close()
	if server.Listener, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	eventually(t, "the message to end", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.ended != ""
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if q.ended != "deleted" || len(got.all) != 1 {
		t.Errorf("%s after %d calls", q.ended, len(got.all))
	}
}
