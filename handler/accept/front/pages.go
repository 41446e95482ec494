package front

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"strconv"
	"sync"
	"time"
)

func (f *front) healthz(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "alive"})
	return nil
}

// readyLife keeps strangers who ask for readiness from asking storage.
const readyLife = 2 * time.Second

// readiness is the last outcome of the probes.
type readiness struct {
	mu     sync.Mutex
	at     time.Time
	checks map[string]string
	ok     bool
}

func (f *front) readyz(w http.ResponseWriter, req *http.Request) error {
	r := &f.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil || f.Now().Sub(r.at) > readyLife {
		r.checks, r.ok = f.probe(context.WithoutCancel(req.Context()))
		r.at = f.Now()
	}
	status, word := http.StatusOK, "ready"
	if !r.ok {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	writeJSON(w, status, "application/json", struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{word, r.checks})
	return nil
}

// probe asks all probes at once. Their errors are for the log alone.
func (f *front) probe(ctx context.Context) (map[string]string, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	errs := make([]error, len(f.Probes))
	var all sync.WaitGroup
	for i, p := range f.Probes {
		all.Go(func() { errs[i] = p.Check(ctx) })
	}
	all.Wait()
	checks, ok := make(map[string]string, len(errs)), true
	for i, err := range errs {
		checks[f.Probes[i].Name] = "ok"
		if err != nil {
			checks[f.Probes[i].Name], ok = "failed", false
			f.Log.WarnContext(ctx, "probe failed", "probe", f.Probes[i].Name, "error", err)
		}
	}
	return checks, ok
}

func (f *front) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Length", strconv.Itoa(len(openAPI)))
	_, _ = w.Write(openAPI)
	return nil
}

func emptyHash(sum []byte) bool {
	empty := sha256.Sum256(nil)
	return bytes.Equal(sum, empty[:])
}
