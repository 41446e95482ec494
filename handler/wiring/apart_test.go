package wiring

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/api/trigger"
)

// The public side makes one path of several. None of them may be a trigger's.
func TestATriggerIsCalledByItsPathAlone(t *testing.T) {
	t.Parallel()
	called := 0
	public := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	h := apart(public, map[string]func(context.Context, trigger.Invocation) error{
		CleanUpFunction: func(context.Context, trigger.Invocation) error { called++; return nil },
	}, slog.New(slog.DiscardHandler))
	ask := func(method, path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(`{"Data":{"timer":{}},"Metadata":{}}`)))
		return w.Code
	}
	if got := ask("POST", "/cleanup"); got != http.StatusOK || called != 1 {
		t.Errorf("the host's own call: %d, called %d times", got, called)
	}
	for _, path := range []string{"//cleanup", "/cleanup/", "/./cleanup", "/v3/../cleanup", "/v3/%2e%2e/cleanup", "/%63leanup", "/cleanup%2F", "/CLEANUP"} {
		if got := ask("POST", path); got != http.StatusNotFound {
			t.Errorf("POST %s: %d", path, got)
		}
	}
	if got := ask("GET", "/cleanup"); got != http.StatusNotFound || called != 1 {
		t.Errorf("GET: %d, called %d times", got, called)
	}
}
