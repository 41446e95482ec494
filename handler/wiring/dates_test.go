package wiring

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/posthorn/posthorn/handler/store/clock"
)

// Whatever a table answers, refusals included, tells the time.
func TestEachAnswerOfATableTellsTheTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		date  string
		knows bool
	}{
		"a date":       {"Sat, 01 Jan 2000 00:00:07 GMT", true},
		"no date":      {"", false},
		"another form": {"2000-01-01", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = []string{c.date}
				w.WriteHeader(http.StatusNotFound)
			}))
			t.Cleanup(server.Close)
			local := time.Date(2000, 1, 1, 8, 0, 0, 0, time.UTC) // the clock here is wrong
			storage := clock.New(func() time.Time { return local })
			options := policy.ClientOptions{PerRetryPolicies: []policy.Policy{dates{storage}}}
			pipeline := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{}, &options)
			req, err := runtime.NewRequest(t.Context(), http.MethodGet, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			res, err := pipeline.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			now, knows := storage.Now()
			if knows != c.knows || knows && !now.Equal(time.Date(2000, 1, 1, 0, 0, 7, 0, time.UTC)) {
				t.Errorf("it is %v, %t", now, knows)
			}
		})
	}
}
