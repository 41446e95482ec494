package acs_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

// polled is a client whose service gives one answer after another, the last one forever.
func polled(t *testing.T, answers ...http.HandlerFunc) *acs.Client {
	t.Helper()
	return keyClient(t, "https://name.example.com", withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		answers[0](w, r)
		answers = answers[min(1, len(answers)-1):]
		return w.Result(), nil
	})))
}

func TestPollUntilDone(t *testing.T) {
	t.Parallel()
	running := say(200, `{"id":"`+id+`","status":"Running"}`)
	runningFor7 := say(200, `{"id":"`+id+`","status":"Running"}`, "Retry-After", "7")
	done := say(200, `{"id":"`+id+`","status":"Succeeded"}`)
	failed := say(200, `{"id":"`+id+`","status":"Failed","error":{"code":"EmailDropped"}}`)
	const usual = acs.DefaultPollFrequency
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		options *acs.PollUntilDoneOptions
		want    acs.Status
		err     string
		took    time.Duration
	}{
		"done at once":                      {answers: []http.HandlerFunc{done}, want: acs.Succeeded},
		"failed at once":                    {answers: []http.HandlerFunc{failed}, want: acs.Failed},
		"after a delay":                     {answers: []http.HandlerFunc{done}, options: &acs.PollUntilDoneOptions{Delay: time.Minute}, want: acs.Succeeded, took: time.Minute},
		"at the usual frequency":            {answers: []http.HandlerFunc{running, running, done}, want: acs.Succeeded, took: 2 * usual},
		"at a frequency of its own":         {answers: []http.HandlerFunc{running, done}, options: &acs.PollUntilDoneOptions{Frequency: time.Hour}, want: acs.Succeeded, took: time.Hour},
		"when the service says":             {answers: []http.HandlerFunc{runningFor7, done}, want: acs.Succeeded, took: 7 * time.Second},
		"not known yet":                     {answers: []http.HandlerFunc{say(404, ""), running, done}, want: acs.Succeeded, took: 2 * usual},
		"over quota":                        {answers: []http.HandlerFunc{say(429, "", "Retry-After", "100"), done}, want: acs.Succeeded, took: 100 * time.Second},
		"over quota, no word how long":      {answers: []http.HandlerFunc{say(429, ""), done}, want: acs.Succeeded, took: acs.DefaultRetryAfter},
		"the service is away":               {answers: []http.HandlerFunc{say(503, ""), done}, want: acs.Succeeded, took: usual},
		"refused for good":                  {answers: []http.HandlerFunc{running, say(403, "")}, want: acs.Running, err: "acs: status: HTTP 403", took: usual},
		"running until the context ends":    {answers: []http.HandlerFunc{running}, want: acs.Running, err: "acs: status: no answer in time", took: 24 * time.Hour},
		"not known until the context ends":  {answers: []http.HandlerFunc{say(404, "")}, err: "acs: status: no answer in time", took: 24 * time.Hour},
		"the context ends during the delay": {answers: []http.HandlerFunc{done}, options: &acs.PollUntilDoneOptions{Delay: 48 * time.Hour}, err: "acs: status: no answer in time", took: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				begun := time.Now()
				op, err := polled(t, c.answers...).PollUntilDone(ctx, id, c.options)
				if took := time.Since(begun); op.Status != c.want || took != c.took {
					t.Errorf("%q after %v, want %q after %v", op.Status, took, c.want, c.took)
				}
				if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if _, ok := errors.AsType[*acs.Error](err); err != nil && !ok {
					t.Errorf("the error is a %T", err)
				}
			})
		})
	}
}

func TestPollThatIsCutShortSaysBothReasons(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := polled(t, say(404, "")).PollUntilDone(ctx, id, &acs.PollUntilDoneOptions{
		Sleep: func(ctx context.Context, d time.Duration) error {
			if d != 0 {
				cancel()
			}
			return ctx.Err()
		},
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, acs.ErrNotFound) || err.Error() != "acs: status: canceled" {
		t.Errorf("got %v", err)
	}
}

func TestPollOfNoIDAsksNothing(t *testing.T) {
	t.Parallel()
	_, err := polled(t).PollUntilDone(t.Context(), "x", &acs.PollUntilDoneOptions{})
	if !errors.Is(err, acs.ErrOperationID) {
		t.Errorf("got %v", err)
	}
}

// The clock is the caller's where it gives one.
func TestPollSleepsAsItIsTold(t *testing.T) {
	t.Parallel()
	var slept []time.Duration
	_, err := polled(t, say(200, `{"status":"Running"}`, "Retry-After", "5"), say(500, ""), say(200, `{"status":"Succeeded"}`)).PollUntilDone(t.Context(), id,
		&acs.PollUntilDoneOptions{Delay: time.Second, Frequency: time.Minute, Sleep: func(_ context.Context, d time.Duration) error {
			slept = append(slept, d)
			return nil
		}})
	if want := []time.Duration{time.Second, 5 * time.Second, time.Minute}; err != nil || !slices.Equal(slept, want) {
		t.Errorf("slept %v, want %v; %v", slept, want, err)
	}
}
