package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/api/trigger"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

func TestWhatTheHostTakesForSuccess(t *testing.T) {
	t.Parallel()
	const good = `{"Outputs":{},"Logs":[],"ReturnValue":null}`
	for _, c := range []struct {
		name         string
		status       int
		kind, answer string
		ok, hangs    bool
	}{
		{"explicit", 200, "application/json", good, true, false},
		{"with a charset", 201, "application/json; charset=utf-8", good, true, false},
		{"empty", 200, "application/json", "", false, true},
		{"no content", 204, "", "", false, true},
		{"null", 200, "application/json", " null\n", false, true},
		{"text", 200, "text/plain; charset=utf-8", good, false, false},
		{"null as text", 200, "text/plain", "null", false, false},
		{"cut off", 200, "application/json", good[:20], false, false},
		{"an array", 200, "application/json", "[]", false, false},
		{"refused", 400, "application/json", good, false, false},
		{"failed", 500, "application/json", good, false, false},
		{"redirected", 302, "application/json", good, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := judge(c.status, c.kind, []byte(c.answer))
			if (err == nil) != c.ok || errors.Is(err, errHangs) != c.hangs {
				t.Errorf("got %v", err)
			}
		})
	}
}

// newTestHost has a handler in this process, which is always ready.
func newTestHost(handler http.Handler) *Host {
	s := settings{functionTimeout: 5 * time.Minute, initialization: 30 * time.Second,
		queues: queueSettings{batch: 16, threshold: 8, maxDequeueCount: 5, hiddenAfterFail: 30 * time.Second, maxPolling: 5 * time.Second}}
	h := &Host{
		settings: s,
		handler:  newSupervisor(s, Config{}),
		client:   &http.Client{Transport: inProcess{handler}},
		log:      slog.New(slog.DiscardHandler),
	}
	h.ready = h.handler.ready
	h.handler.set(&child{url: &url.URL{Scheme: "http", Host: "handler"}, exited: make(chan struct{}), recycled: make(chan string, 1)}, nil)
	return h
}

type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// calls records what a trigger function was told.
type calls struct {
	mu  sync.Mutex
	all []trigger.Invocation
	at  []time.Time
	err error
	// metadata are what the envelopes had beside the trigger.
	metadata []map[string]json.RawMessage
}

func (c *calls) handler(name string) http.Handler {
	mux := http.NewServeMux()
	handler := trigger.Handler(name, func(_ context.Context, in trigger.Invocation) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all, c.at = append(c.all, in), append(c.at, time.Now())
		return c.err
	}, slog.New(slog.DiscardHandler))
	mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var envelope struct{ Metadata map[string]json.RawMessage }
		_ = json.Unmarshal(body, &envelope)
		c.mu.Lock()
		c.metadata = append(c.metadata, envelope.Metadata)
		c.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	})
	return mux
}

func TestAMessageIsDeliveredAndEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		message store.Message
		err     error
		trigger string // "" if there was no call
		ended   string
	}{
		{"text", store.Message{Text: "hello", DequeueCount: 1}, nil, `"hello"`, "deleted"},
		{"object", store.Message{Text: `{"v":1,"list":[1]}`, DequeueCount: 2}, nil, `{"v":1,"list":[1]}`, "deleted"},
		{"given up", store.Message{Text: "hello", DequeueCount: 1}, problem.New(problem.Gone, "x"), `"hello"`, "deleted"},
		{"failed", store.Message{Text: "hello", DequeueCount: 4}, problem.New(problem.Unavailable, "x"), `"hello"`, "hidden 30s"},
		{"failed for the last time", store.Message{Text: "hello", DequeueCount: 5}, problem.New(problem.Unavailable, "x"), `"hello"`, "poison hello, deleted"},
		{"died with the handler each time", store.Message{Text: "hello", DequeueCount: 6}, nil, "", "poison hello, deleted"},
		{"foreign", store.Message{Text: "<xml>", Foreign: true, DequeueCount: 1}, nil, "", "poison <xml>, deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := calls{err: c.err}
			h := newTestHost(got.handler("mail"))
			c.message.ID, c.message.PopReceipt = "id-1", "receipt/+="
			c.message.InsertedAt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			q := &memory{}
			if err := h.deliver(t.Context(), function{name: "mail", binding: "msg"}, c.message, q, poison{q}); err != nil {
				t.Fatal(err)
			}
			if q.ended != c.ended {
				t.Errorf("ended: %q, want %q", q.ended, c.ended)
			}
			if c.trigger == "" {
				if len(got.all) > 0 {
					t.Error("called")
				}
				return
			}
			want := &trigger.Queue{ID: "id-1", Inserted: c.message.InsertedAt}
			if len(got.all) != 1 || string(got.all[0].Trigger) != c.trigger || !reflect.DeepEqual(got.all[0].Queue, want) {
				t.Errorf("calls %+v", got.all)
			}
		})
	}
}

// A message of a poison queue has nowhere to go: it comes again when its time is over.
func TestWhatFailsInAPoisonQueueStaysThere(t *testing.T) {
	t.Parallel()
	for _, count := range []int64{1, 5, 500} {
		got := calls{err: problem.New(problem.Unavailable, "x")}
		q := &memory{}
		err := newTestHost(got.handler("mail")).deliver(t.Context(), function{name: "mail", binding: "msg"}, store.Message{Text: "hello", DequeueCount: count}, q, nil)
		if err != nil || q.ended != "" || len(got.all) != 1 {
			t.Errorf("call %d: ended %q after %d calls, %v", count, q.ended, len(got.all), err)
		}
	}
	listeners, err := openQueues([]function{{name: "mail", queue: "mail"}, {name: "dead", queue: "mail-poison"}}, func(name string) (Queue, error) { return named(name), nil })
	if err != nil || listeners[0].poison != named("mail-poison") || listeners[1].poison != nil {
		t.Errorf("listeners %+v, %v", listeners, err)
	}
}

type named string

func (named) Receive(context.Context, int, time.Duration) ([]store.Message, error) { return nil, nil }
func (named) Hide(context.Context, store.Message, time.Duration) error             { return nil }
func (named) Delete(context.Context, string, string) error                         { return nil }
func (named) Send(context.Context, string, time.Duration) error                    { return nil }

func TestTheEnvelopeOfAMessage(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 5e8, time.UTC)
	message := store.Message{ID: "4711", PopReceipt: "a\"b", DequeueCount: 2, InsertedAt: at, ExpiresAt: at, VisibleAt: at}
	const times = `"ExpirationTime":"2026-11-23T12:00:00+00:00",`
	for _, c := range []struct{ name, text, data, metadata string }{
		{"text", "hello", `{"msg":"\"hello\""}`,
			`{"DequeueCount":"2",` + times + `"Id":"\"4711\"","InsertionTime":"2026-11-23T12:00:00+00:00","NextVisibleTime":"2026-11-23T12:00:00+00:00","PopReceipt":"\"a\\\"b\""}`},
		{"object", `{"v":1,"on":true,"s":"x","o":{"a":1},"list":[1],"id":"other","dequeuecount":9,"insertionTime":null}`,
			`{"msg":"\"{\\\"v\\\":1,\\\"on\\\":true,\\\"s\\\":\\\"x\\\",\\\"o\\\":{\\\"a\\\":1},\\\"list\\\":[1],\\\"id\\\":\\\"other\\\",\\\"dequeuecount\\\":9,\\\"insertionTime\\\":null}\""}`,
			`{"DequeueCount":"9",` + times + `"Id":"\"other\"","InsertionTime":"null","NextVisibleTime":"2026-11-23T12:00:00+00:00","PopReceipt":"\"a\\\"b\"","o":{"a":1},"on":"true","s":"\"x\"","v":"1"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			message.Text = c.text
			e := (&function{name: "mail", binding: "msg"}).messageEnvelope(message)
			delete(e.Metadata, "sys")
			data, _ := json.Marshal(e.Data)
			metadata, _ := json.Marshal(e.Metadata)
			if string(data) != c.data || string(metadata) != c.metadata {
				t.Errorf("got  %s %s\nwant %s %s", data, metadata, c.data, c.metadata)
			}
		})
	}
}

func TestPollingBacksOffWhileAQueueIsEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got calls
		h := newTestHost(got.handler("mail"))
		q := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		go h.poll(ctx, function{name: "mail", binding: "msg"}, q, poison{q})
		time.Sleep(time.Minute)
		asked := q.asked()
		if asked < 12 || asked > 20 { // 100 ms doubled up to 5 s
			t.Errorf("asked %d times in a minute", asked)
		}
		q.put(store.Message{ID: "1", Text: "a", DequeueCount: 1}, store.Message{ID: "2", Text: "b", DequeueCount: 1})
		time.Sleep(5 * time.Second)
		cancel()
		synctest.Wait()
		if len(got.all) != 2 {
			t.Errorf("%d calls", len(got.all))
		}
	})
}

func TestACallThatTakesLongHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int64
		h := newTestHost(trigger.Handler("mail", func(ctx context.Context, _ trigger.Invocation) error {
			started.Add(1)
			sleep(ctx, time.Minute)
			return nil
		}, slog.New(slog.DiscardHandler)))
		h.settings.queues.threshold = 1
		q := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		go h.poll(ctx, function{name: "mail", binding: "msg"}, q, poison{q})
		for _, want := range []int64{1, 2, 2} { // the third has to wait
			q.put(store.Message{ID: "1", Text: "a", DequeueCount: 1})
			time.Sleep(6 * time.Second)
			if got := started.Load(); got != want {
				t.Errorf("%d calls, want %d", got, want)
			}
		}
		time.Sleep(time.Minute)
		if got := started.Load(); got != 3 {
			t.Errorf("%d calls after the first has ended, want 3", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestATimerKeepsItsSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the bubble's clock starts at 2000-01-01T00:00:00Z
		got := calls{err: problem.New(problem.Unavailable, "x")} // a failure changes no schedule
		h := newTestHost(got.handler("cleanup"))
		hourly, err := parseSchedule("0 7 * * * *")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go h.keepTime(ctx, function{name: "cleanup", binding: "timer", timer: hourly, runOnStartup: true})
		time.Sleep(2 * time.Hour)
		cancel()
		synctest.Wait()
		midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		want := []time.Time{midnight, midnight.Add(7 * time.Minute), midnight.Add(67 * time.Minute)}
		if fmt.Sprint(utc(got.at)) != fmt.Sprint(want) {
			t.Errorf("fired at %v", got.at)
		}
		var first, third struct {
			ScheduleStatus *struct{ Last, Next time.Time }
		}
		if err := errors.Join(json.Unmarshal(got.all[0].Trigger, &first), json.Unmarshal(got.all[2].Trigger, &third)); err != nil {
			t.Fatal(err)
		}
		if first.ScheduleStatus != nil {
			t.Errorf("first run was told %+v", first.ScheduleStatus)
		}
		if last := third.ScheduleStatus; last == nil || !last.Last.Equal(want[1]) || !last.Next.Equal(want[2]) {
			t.Errorf("third run was told %+v", last)
		}
	})
}

func utc(times []time.Time) []time.Time {
	all := make([]time.Time, len(times))
	for i, t := range times {
		all[i] = t.UTC()
	}
	return all
}

func TestAHangingCallIsEndedByFunctionTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newTestHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "") }))
		started := time.Now()
		err := h.invoke(t.Context(), function{name: "f"}, envelope{})
		if !errors.Is(err, errTimeout) || time.Since(started) != 5*time.Minute {
			t.Errorf("ended with %v after %v", err, time.Since(started))
		}
		if k, _ := h.handler.ready(t.Context()); len(k.recycled) != 1 {
			t.Error("the handler was not told to go")
		}
	})
}

// memory is a queue that remembers how its last message ended.
type memory struct {
	mu       sync.Mutex
	messages []store.Message
	ended    string
	receives int
}

func (q *memory) put(m ...store.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, m...)
}

func (q *memory) asked() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.receives
}

func (q *memory) Receive(context.Context, int, time.Duration) ([]store.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.receives++
	all := q.messages
	q.messages = nil
	return all, nil
}

func (q *memory) note(s string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended += s
	return nil
}

func (q *memory) Hide(_ context.Context, _ store.Message, d time.Duration) error {
	return q.note("hidden " + d.String())
}
func (q *memory) Delete(context.Context, string, string) error { return q.note("deleted") }
func (q *memory) Send(context.Context, string, time.Duration) error {
	return errors.New("nothing is sent to the queue itself")
}

// poison takes what its queue gave up.
type poison struct{ *memory }

func (p poison) Send(_ context.Context, text string, _ time.Duration) error {
	return p.note("poison " + text + ", ")
}
