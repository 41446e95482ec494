package azuremonitor

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// ingestion is a fake of the service. It answers as told, in order, and then 200.
type ingestion struct {
	*httptest.Server

	mu       sync.Mutex
	answers  []answer
	requests []received
}

type answer struct {
	status int
	header http.Header
	body   string
}

type received struct {
	path, authorization string
	items               []map[string]any
}

func newIngestion(t *testing.T, answers ...answer) *ingestion {
	t.Helper()
	in := &ingestion{answers: answers}
	in.Server = httptest.NewTLSServer(in)
	t.Cleanup(in.Close)
	return in
}

func (in *ingestion) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	items, err := read(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.requests = append(in.requests, received{req.Method + " " + req.URL.Path, req.Header.Get("Authorization"), items})
	if len(in.answers) == 0 {
		return
	}
	a := in.answers[0]
	in.answers = in.answers[1:]
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func read(req *http.Request) (items []map[string]any, err error) {
	zip, err := gzip.NewReader(req.Body)
	if err != nil {
		return nil, err
	}
	return items, json.NewDecoder(zip).Decode(&items)
}

func (in *ingestion) seen() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.requests
}

func (in *ingestion) config() Config {
	return Config{
		ConnectionString: "InstrumentationKey=" + testKey + ";IngestionEndpoint=" + in.URL + "/",
		Transport:        in.Client().Transport,
	}
}
