package test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The bounds of size and memory, in decimal megabytes.
const (
	maxHandlerBytes = 30_000_000
	maxIdleBytes    = 40_000_000
)

func (p *product) testSize(t *testing.T) {
	info, err := os.Stat(p.handler)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	if info.Size() > maxHandlerBytes {
		t.Errorf("the handler has %d bytes, more than %d", info.Size(), maxHandlerBytes)
	}
}

func (p *product) testIdleMemory(t *testing.T) {
	w := newWorld(t, p, worldOptions{})
	w.mustSend(t, message())
	resident := residentBytes(t, w.handler)
	t.Logf("%.1f MB", float64(resident)/1e6)
	if resident > maxIdleBytes {
		t.Errorf("the handler has %d bytes of memory, more than %d", resident, maxIdleBytes)
	}
}

// residentBytes reads VmRSS; see proc_pid_status(5).
func residentBytes(tb testing.TB, p *program) int64 {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("only Linux tells the memory of a process in /proc")
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kib << 10
}

// BenchmarkStartToFirstAnswer is the time from the start of the process until the
// host's first question is answered, asked again every millisecond.
func BenchmarkStartToFirstAnswer(b *testing.B) {
	p := newProduct(b)
	p.openStorage(b)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.Loop() {
		b.StopTimer()
		port := freePort(b)
		address := "http://127.0.0.1:" + strconv.Itoa(port)
		env := p.settings(address, "http://127.0.0.1:9", port)
		b.StartTimer()
		h := start(b, env, p.handler)
		for {
			res, err := client.Get(address + "/")
			if err == nil {
				res.Body.Close()
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		h.kill(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
}

// BenchmarkSmallMessages sends small messages, eight at a time, through the
// handler, and the same number through a reverse proxy that does nothing. The
// ratio says what the promises cost; Azurite has most of it. The quota's ledger
// holds 8,192 messages an hour, enough for a benchmark of some seconds.
func BenchmarkSmallMessages(b *testing.B) {
	p := newProduct(b)
	p.openStorage(b)
	w := newWorld(b, p, worldOptions{})
	target, err := url.Parse(w.acs.send)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer proxy.Close()
	w.mustSend(b, message()) // opens connections, tables and caches
	b.ResetTimer()
	sendMany(b, w.client, w.url, w.key, b.N)
	b.StopTimer()
	through := b.Elapsed()
	begin := time.Now()
	// The emulator takes any bearer token that has the form of one.
	sendMany(b, w.client, proxy.URL, "e30.e30.e30", b.N)
	past := time.Since(begin)
	b.ReportMetric(float64(b.N)/through.Seconds(), "messages/s")
	b.ReportMetric(float64(through)/float64(past), "times-a-proxy")
	b.ReportMetric(float64(residentBytes(b, w.handler))/1e6, "MB-resident")
}

func sendMany(b *testing.B, client *http.Client, address, token string, n int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	results := make(chan error)
	offers := make(chan struct{})
	for range 8 {
		go func() {
			for range offers {
				results <- sendOne(ctx, client, address, token)
			}
		}()
	}
	go func() {
		defer close(offers)
		for range n {
			offers <- struct{}{}
		}
	}()
	for range n {
		if err := <-results; err != nil {
			b.Fatal(err)
		}
	}
}

func sendOne(ctx context.Context, client *http.Client, address, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/emails:send?api-version=2025-09-01", strings.NewReader(message()))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return errors.New("answered " + res.Status)
	}
	return nil
}
