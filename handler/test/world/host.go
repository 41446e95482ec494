package world

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/local/queues"
)

// PlayHost does for the world's handler what the Functions host does beside HTTP,
// until stop: it calls dispatch for what is in the queue, and watchdog at every second
// that watchdog divides, at most a minute apart; 0 leaves the watchdog to another instance, as
// the real host does. There is no cleanup.
//
// It outlives the handler: while that is killed, calls wait. To lose an instance as
// a whole, stop it and kill the handler; what it had received stays hidden for ten
// minutes then. All handlers of a Product share the queue, so a world that plays
// the host wants a Product of its own; see Anew.
func (w *World) PlayHost(tb testing.TB, watchdog time.Duration) (stop func()) {
	tb.Helper()
	at, err := url.Parse(w.URL)
	if err != nil {
		tb.Fatal(err)
	}
	queue, err := queues.At(w.Storage.Queue, w.Storage.CertFile)
	if err != nil {
		tb.Fatal(err)
	}
	said := &Output{}
	c := host.Config{Dir: layOut(tb, watchdog), Env: w.Env, Log: slog.New(slog.NewTextHandler(said, nil)), Queue: queue}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- host.Triggers(ctx, c, at) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("the host: %v", err)
		}
		if tb.Failed() {
			tb.Logf("the host of %s said:\n%s", w.URL, said.String())
		}
	})
	tb.Cleanup(stop)
	return stop
}

// layOut makes an app of the product's triggers, in a folder of its own.
func layOut(tb testing.TB, watchdog time.Duration) string {
	tb.Helper()
	dir, from := tb.TempDir(), root(tb)
	move := func(source, to string, edit func(string) string) {
		text, err := os.ReadFile(filepath.Join(from, source))
		if err != nil {
			tb.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(edit(string(text))), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	same := func(text string) string { return text }
	move("host.json", "host.json", same)
	for _, name := range []string{"dispatch", "dispatch-poison"} {
		move("function.json-templates/"+name+".json", name+"/function.json", same)
	}
	if watchdog > 0 {
		move("function.json-templates/watchdog.json", "watchdog/function.json", func(text string) string {
			return strings.Replace(text, `"0 * * * * *"`, fmt.Sprintf(`"*/%d * * * * *"`, max(1, watchdog/time.Second)), 1)
		})
	}
	return dir
}

// Anew is the same product with a storage account of its own.
func (p *Product) Anew(tb testing.TB) *Product {
	tb.Helper()
	other := &Product{HandlerFile: p.HandlerFile, OperateFile: p.OperateFile, emulator: p.emulator}
	other.OpenStorage(tb)
	return other
}
