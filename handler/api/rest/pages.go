package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

func (a *api) healthz(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, "application/json", struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}{"alive", a.Version})
	return nil
}

// readyLife keeps strangers who ask for readiness from asking storage.
const readyLife = 2 * time.Second

// readiness is the last outcome of the probes.
type readiness struct {
	mu      sync.Mutex
	at      time.Time
	checks  map[string]string
	ok      bool
	paused  *problem.Pause
	probing chan struct{} // closed at the end of what is under way; nil without that
}

func (a *api) readyz(w http.ResponseWriter, req *http.Request) error {
	r := &a.ready
	r.mu.Lock()
	if r.probing == nil && (r.checks == nil || a.Now().Sub(r.at) > readyLife) {
		r.probing = make(chan struct{})
		go a.look(context.WithoutCancel(req.Context()), r.probing)
	}
	probing := r.probing
	r.mu.Unlock()
	if probing != nil {
		select {
		case <-probing:
		case <-req.Context().Done():
			return req.Context().Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status, word := http.StatusOK, "ready"
	switch {
	case !r.ok:
		status, word = http.StatusServiceUnavailable, "not ready"
	case r.paused != nil: // requests are still to come here: they wait, or hear why not
		word = "paused"
	}
	writeJSON(w, status, "application/json", struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{word, r.checks})
	return nil
}

// look probes for all who wait.
func (a *api) look(ctx context.Context, done chan struct{}) {
	defer close(done)
	checks, paused, ok := a.probe(ctx)
	r := &a.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks, r.paused, r.ok, r.at, r.probing = checks, paused, ok, a.Now(), nil
}

// probe asks all probes at once, and the ledger whether sending is paused. Their errors are
// for the log alone.
func (a *api) probe(ctx context.Context) (checks map[string]string, paused *problem.Pause, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ledger := Probe{"quota", func(ctx context.Context) (err error) { paused, err = a.Gateway.Paused(ctx); return err }}
	probes := append(slices.Clip(a.Probes), ledger)
	errs := make([]error, len(probes))
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() { errs[i] = p.Check(ctx) })
	}
	all.Wait()
	checks, ok = make(map[string]string, len(errs)), true
	for i, err := range errs {
		checks[probes[i].Name] = "ok"
		if err != nil {
			checks[probes[i].Name], ok = "failed", false
			a.Log.WarnContext(ctx, "probe failed", "probe", probes[i].Name, "error", err)
		}
	}
	return checks, paused, ok
}

func (a *api) openapi(w http.ResponseWriter, _ *http.Request) error {
	writeDocument(w, a.versioned(openAPI))
	return nil
}

// writeDocument answers with a document of the API.
func writeDocument(w http.ResponseWriter, doc []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	_, _ = w.Write(doc)
}

// documentVersion stands in openapi.json and swagger.json for the program's version.
var documentVersion = []byte(`"version": "devel"`)

// versioned is a document of the API with the version of the program.
func (a *api) versioned(doc []byte) []byte {
	return bytes.Replace(doc, documentVersion, []byte(`"version": `+strconv.Quote(a.Version)), 1)
}

func emptyHash(sum []byte) bool {
	empty := sha256.Sum256(nil)
	return bytes.Equal(sum, empty[:])
}
