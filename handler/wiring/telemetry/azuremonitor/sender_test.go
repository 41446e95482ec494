package azuremonitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"pgregory.net/rapid"
)

// script is a transport that answers in order. It notes the names of the items
// of each request and when it came.
type script struct {
	answers []answer
	start   time.Time
	calls   []call
}

type call struct {
	items string
	after time.Duration
}

// Statuses that no server sends.
const (
	unreachable = -1 // the network is away
	silent      = -2 // no answer until the request is given up
)

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	items, err := read(req)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range items {
		names = append(names, i["data"].(map[string]any)["baseData"].(map[string]any)["name"].(string))
	}
	s.calls = append(s.calls, call{strings.Join(names, " "), time.Since(s.start)})
	a := answer{status: http.StatusOK}
	if len(s.answers) > 0 {
		a, s.answers = s.answers[0], s.answers[1:]
	}
	switch a.status {
	case unreachable:
		return nil, errors.New("connection refused")
	case silent:
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: req}, nil
}

func refused(list ...string) answer {
	return answer{status: http.StatusPartialContent, body: `{"itemsReceived":4,"itemsAccepted":1,"errors":[` + strings.Join(list, ",") + `]}`}
}

func item(index, status int) string {
	return fmt.Sprintf(`{"index":%d,"statusCode":%d,"message":"Invalid instrumentation key %s"}`, index, status, testKey)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const all = "a b c d"
	status := func(codes ...int) (list []answer) {
		for _, c := range codes {
			list = append(list, answer{status: c, body: "the key is " + testKey})
		}
		return list
	}
	later := func(text, date string) answer {
		h := http.Header{"Retry-After": {text}}
		if date != "" {
			h.Set("Date", date)
		}
		return answer{status: http.StatusTooManyRequests, header: h}
	}
	const when, soon = "Wed, 04 Mar 2026 05:06:07 GMT", "Wed, 04 Mar 2026 05:06:12 GMT"
	for _, tt := range []struct {
		name    string
		answers []answer
		timeout time.Duration
		calls   []call
		err     string // "" if nothing is lost
	}{
		{name: "200", calls: []call{{all, 0}}},
		{name: "206, all taken in the end", answers: []answer{refused(item(1, 500), item(3, 429))}, calls: []call{{all, 0}, {"b d", time.Second}}},
		{name: "206, one never taken", answers: []answer{refused(item(0, 400), item(2, 503))}, calls: []call{{all, 0}, {"c", time.Second}}, err: "1 of 4 items are lost: status 400"},
		{name: "206, all refused for good", answers: []answer{refused(item(0, 400), item(1, 402), item(2, 439), item(3, 403))}, calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 403"},
		{name: "206 that names nothing", answers: []answer{refused()}, calls: []call{{all, 0}}},
		{name: "206 that names items twice, and items that were not sent", answers: []answer{refused(item(1, 500), item(1, 500), item(4, 500), item(-1, 400))}, calls: []call{{all, 0}, {"b", time.Second}}},
		{name: "206 that cannot be read", answers: []answer{{status: 206, body: "<html>"}}, calls: []call{{all, 0}}, err: "4 of 4 items are lost: the answer to a part that was not taken cannot be read"},
		{name: "206 again and again", answers: []answer{refused(item(0, 500), item(1, 500)), refused(item(1, 500)), refused(item(0, 500))}, calls: []call{{all, 0}, {"a b", time.Second}, {"b", 3 * time.Second}}, err: "1 of 4 items are lost: status 500"},

		{name: "429 once", answers: status(429), calls: []call{{all, 0}, {all, time.Second}}},
		{name: "429 with seconds", answers: []answer{later("7", "")}, calls: []call{{all, 0}, {all, 7 * time.Second}}},
		{name: "429 with a date", answers: []answer{later(soon, when)}, calls: []call{{all, 0}, {all, 5 * time.Second}}},
		{name: "429 with a date that is over", answers: []answer{later(when, soon)}, calls: []call{{all, 0}, {all, time.Second}}},
		{name: "429 with a date and no clock to hold against", answers: []answer{later(soon, "")}, calls: []call{{all, 0}, {all, time.Second}}},
		{name: "429 with nonsense", answers: []answer{later("soon", when)}, calls: []call{{all, 0}, {all, time.Second}}},
		{name: "429 with too long a wait", answers: []answer{later("60", "")}, calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 429"},
		{name: "429 for good", answers: status(429, 429, 429), calls: []call{{all, 0}, {all, time.Second}, {all, 3 * time.Second}}, err: "4 of 4 items are lost: status 429"},
		{name: "408 once", answers: status(408), calls: []call{{all, 0}, {all, time.Second}}},
		{name: "500 twice", answers: status(500, 500), calls: []call{{all, 0}, {all, time.Second}, {all, 3 * time.Second}}},
		{name: "502, 503, 504", answers: status(502, 503, 504), calls: []call{{all, 0}, {all, time.Second}, {all, 3 * time.Second}}, err: "4 of 4 items are lost: status 504"},
		{name: "400", answers: status(400), calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 400"},
		{name: "401", answers: status(401), calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 401"},
		{name: "402, quota of the day", answers: status(402), calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 402"},
		{name: "439, quota of the day", answers: status(439), calls: []call{{all, 0}}, err: "4 of 4 items are lost: status 439"},

		{name: "network away once", answers: status(unreachable), calls: []call{{all, 0}, {all, time.Second}}},
		{name: "network away", answers: status(unreachable, unreachable, unreachable), calls: []call{{all, 0}, {all, time.Second}, {all, 3 * time.Second}},
			err: `4 of 4 items are lost: Post "https://dc.services.visualstudio.com/v2.1/track": connection refused`},
		{name: "no answer once", answers: status(silent), calls: []call{{all, 0}, {all, 11 * time.Second}}},
		{name: "time is up while an answer is awaited", answers: status(silent), timeout: 2 * time.Second, calls: []call{{all, 0}},
			err: `4 of 4 items are lost: Post "https://dc.services.visualstudio.com/v2.1/track": context deadline exceeded`},
		{name: "time is up between two tries", answers: status(500, 500), timeout: 2 * time.Second, calls: []call{{all, 0}, {all, time.Second}},
			err: "4 of 4 items are lost: status 500, then context deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: tt.answers, start: time.Now()}
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				spans, _ := open(t, Config{ConnectionString: "InstrumentationKey=" + testKey, Transport: s})
				err := spans.ExportSpans(ctx, tracetest.SpanStubs{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}.Snapshots())
				if !reflect.DeepEqual(s.calls, tt.calls) {
					t.Errorf("calls %v, want %v", s.calls, tt.calls)
				}
				if got := text(err); got != tt.err {
					t.Errorf("error %q, want %q", got, tt.err)
				}
				if tt.timeout > 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v does not say that the time is up", err)
				}
			})
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCancelledBeforeTheFirstTry(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	spans, _ := open(t, in.config())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := spans.ExportSpans(ctx, tracetest.SpanStubs{{Name: "a"}}.Snapshots())
	if !errors.Is(err, context.Canceled) || len(in.seen()) != 0 {
		t.Errorf("error %v, %d requests", err, len(in.seen()))
	}
}

// Whatever the service answers: each item is sent three times at most, the error
// counts what is lost, and it never quotes the key.
func TestNoAnswerSendsForeverOrLeaksTheKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		status := rapid.SampledFrom([]int{unreachable, 200, 206, 302, 400, 401, 408, 429, 439, 500, 503})
		one := rapid.Custom(func(r *rapid.T) answer {
			return answer{
				status: status.Draw(r, "status"),
				header: http.Header{"Retry-After": {rapid.SampledFrom([]string{"", "0", "3", "99999999999", "-1", testKey}).Draw(r, "wait")}},
				body: rapid.SampledFrom([]string{"", testKey, `{"errors":null}`, `{"errors":[{}]}`,
					`{"errors":[` + item(0, 500) + `,` + item(1, 400) + `]}`}).Draw(r, "body"),
			}
		})
		answers := rapid.SliceOfN(one, 0, 5).Draw(r, "answers")
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: answers, start: time.Now()}
			spans, _, err := New(Config{ConnectionString: "InstrumentationKey=" + testKey, Transport: s})
			if err != nil {
				r.Fatal(err)
			}
			err = spans.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "a"}, {Name: "b"}, {Name: "c"}}.Snapshots())
			if len(s.calls) == 0 || len(s.calls) > maxTries {
				r.Errorf("%d calls", len(s.calls))
			}
			if strings.Contains(text(err), testKey) {
				r.Errorf("error quotes the key: %v", err)
			}
		})
	})
}
