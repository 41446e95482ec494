package bench

import (
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// BenchmarkStart is the time from the start of the process until the host's first
// question is answered, asked again every millisecond.
func BenchmarkStart(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.Loop() {
		b.StopTimer()
		port := world.FreePort(b)
		address := "http://127.0.0.1:" + strconv.Itoa(port)
		env := p.Settings(address, "http://127.0.0.1:9", port)
		b.StartTimer()
		h := world.Start(b, env, p.HandlerFile)
		for {
			res, err := client.Get(address + "/")
			if err == nil {
				res.Body.Close()
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		h.Kill(b)
		b.StartTimer()
	}
	each := float64(b.Elapsed().Microseconds()) / 1000 / float64(b.N)
	report(b, figure{name: "start to first answer", unit: "ms", value: each, goal: goal{atMost: 100}})
}

// BenchmarkSize is what the handler takes of disk, and of memory once it has sent a
// message.
func BenchmarkSize(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	var idle int64
	for b.Loop() {
		w := world.New(b, p, world.Options{})
		w.MustSend(b, world.Message())
		idle = w.Handler.ResidentBytes(b)
	}
	info, err := os.Stat(p.HandlerFile)
	if err != nil {
		b.Fatal(err)
	}
	report(b, figure{name: "idle memory", unit: "MB", value: float64(idle) / mb, goal: goal{atMost: 40}})
	report(b, figure{name: "size of the binary", unit: "MB", metric: "MB-binary", value: float64(info.Size()) / mb, goal: goal{atMost: 30}})
}
