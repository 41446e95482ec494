package trigger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/problem"
)

const timerBody = `{"Data":{"timer":{"Schedule":{},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{}}`

func TestTheOutcomeDecidesTheStatus(t *testing.T) {
	t.Parallel()
	again := map[problem.Kind]bool{
		problem.Internal: true, problem.InProgress: true, problem.OverQuota: true, problem.RequestTimeout: true,
		problem.ACSBusy: true, problem.ACSFailed: true, problem.ACSMisconfigured: true, problem.Unavailable: true, problem.Paused: true,
	}
	type row struct {
		name   string
		f      func(context.Context, Invocation) error
		status int
	}
	rows := []row{
		{"done", func(context.Context, Invocation) error { return nil }, 200},
		{"an error without a kind", func(context.Context, Invocation) error { return errors.New("x") }, 500},
		{"panic", func(context.Context, Invocation) error { panic("x") }, 500},
	}
	for _, k := range problem.Kinds() {
		status := 200
		if again[k] {
			status = 500
		}
		rows = append(rows, row{k.Slug(), func(context.Context, Invocation) error { return problem.New(k, "x") }, status})
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/cleanup", strings.NewReader(timerBody))
			r.Header.Set("X-Azure-Functions-InvocationId", "inv-1")
			w := call(r, c.f, &log)
			checkAnswer(t, w, c.status)
			if !strings.Contains(log.String(), `"function":"cleanup","invocation":"inv-1"`) {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

func TestTheCallReachesTheFunction(t *testing.T) {
	t.Parallel()
	var got Invocation
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/cleanup", strings.NewReader(timerBody))
	r.Header.Set("X-Azure-Functions-InvocationId", "inv-1")
	call(r, func(ctx context.Context, in Invocation) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		got = in
		return nil
	}, io.Discard)
	if !strings.Contains(string(got.Trigger), "IsPastDue") || got.Queue != nil {
		t.Errorf("got %+v", got)
	}
}

func TestWhatIsNoCallNeverReachesTheFunction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		body         io.Reader
		status       int
	}{
		{"GET", http.MethodGet, nil, 405},
		{"malformed", http.MethodPost, strings.NewReader("{"), 400},
		{"too large", http.MethodPost, io.LimitReader(zeros{}, MaxEnvelopeBytes+1), 400},
		{"connection lost", http.MethodPost, iotest.ErrReader(io.ErrUnexpectedEOF), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := call(httptest.NewRequestWithContext(t.Context(), c.method, "/cleanup", c.body),
				func(context.Context, Invocation) error { t.Error("called"); return nil }, io.Discard)
			checkAnswer(t, w, c.status)
		})
	}
}

func TestWorkEndsBeforeTheHostKills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/cleanup", strings.NewReader(timerBody))
		w := call(r, func(ctx context.Context, _ Invocation) error {
			<-ctx.Done()
			return problem.Wrap(problem.Unavailable, "x", ctx.Err())
		}, io.Discard)
		checkAnswer(t, w, 500)
	})
}

func call(r *http.Request, f func(context.Context, Invocation) error, log io.Writer) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Handler("cleanup", f, slog.New(slog.NewJSONHandler(log, nil))).ServeHTTP(w, r)
	return w
}

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" ||
		w.Body.String() != `{"Outputs":{},"Logs":[],"ReturnValue":null}` {
		t.Errorf("got %d %q %q, want %d and the explicit answer", w.Code, w.Header().Get("Content-Type"), w.Body, status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
