package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/local/pack"
)

// slow stands in for a gateway. What it says depends on the time since its start
// and on the request.
type slow func(since time.Duration, r *http.Request) (status int, body string)

// The words of a slow gateway that are no answer.
const (
	refuses = -1 // connections
	hangs   = -2 // until the caller goes away
)

// api is how to reach the stand-in; it starts now.
func (s slow) api() api {
	start := time.Now()
	return api{url: "http://gateway", http: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		switch status, body := s(time.Since(start), r); status {
		case refuses:
			return nil, errors.New("connection refused")
		case hangs:
			<-r.Context().Done()
			return nil, r.Context().Err()
		default:
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	})}}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestASlowGatewayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ready time.Duration
		slow  slow
		tells string
	}{
		{"refuses connections", 4 * time.Minute, func(time.Duration, *http.Request) (int, string) { return refuses, "" }, "it does not answer yet"},
		{"hangs", 5 * time.Minute, func(time.Duration, *http.Request) (int, string) { return hangs, "" }, "it does not answer yet"},
		{"is not ready", 9 * time.Minute, func(time.Duration, *http.Request) (int, string) {
			return 503, `{"status":"not ready","checks":{"tables":"failed","blobs":"failed","acs":"ok"}}`
		}, "it does not reach blobs, tables"},
		{"answers by its host alone", 2 * time.Minute, func(time.Duration, *http.Request) (int, string) { return 502, "" }, "it answers 502"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				start := time.Now()
				gateway := slow(func(since time.Duration, r *http.Request) (int, string) {
					if since < c.ready {
						return c.slow(since, r)
					}
					return 200, "{}"
				})
				if err := gateway.api().awaitReady(t.Context(), config{}, &out); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > c.ready+readyTry+pause {
					t.Errorf("it was ready after %s and waited for until %s", c.ready, took)
				}
				if n := strings.Count(out.String(), "Still waiting for the gateway ("); n < 3 || n > 20 {
					t.Errorf("told %d times:\n%s", n, out.String())
				}
				if !strings.Contains(out.String(), c.tells) {
					t.Errorf("%q is not told:\n%s", c.tells, out.String())
				}
			})
		})
	}
}

func TestAGatewayThatIsReadyAtOnceIsNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		gateway := slow(func(time.Duration, *http.Request) (int, string) { return 200, "{}" })
		if err := gateway.api().awaitReady(t.Context(), config{}, &out); err != nil || out.Len() > 0 {
			t.Errorf("%v, %q", err, out.String())
		}
	})
}

func TestAGatewayThatNeverComesIsGivenUpWithItsReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := slow(func(time.Duration, *http.Request) (int, string) { return 503, `{"checks":{"tables":"failed"}}` })
		start := time.Now()
		err := gateway.api().awaitReady(t.Context(), config{}, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "the gateway is not ready after 10m0s: it does not reach tables. Look into ") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != patience {
			t.Errorf("given up after %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := gateway.api().awaitReady(ctx, config{}, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told to end: %v", err)
		}
	})
}

func TestASampleIsTriedAgainWhileItMayBeEarly(t *testing.T) {
	t.Parallel()
	const accepted, succeeded = `{"id":"4711","status":"Running"}`, `{"id":"4711","status":"Succeeded"}`
	for _, c := range []struct {
		name   string
		early  int // what the gateway says for the first minute
		body   string
		always bool // or for ever
		became string
		tries  int // at least
	}{
		{"connections refused", refuses, "", false, "succeeded", 3},
		{"a request that hangs", hangs, "", false, "succeeded", 2},
		{"unavailable", 503, `{"detail":"Storage gives no answer."}`, false, "succeeded", 3},
		{"a host without a handler", 502, "", false, "succeeded", 3},
		{"the caller is not known yet", 401, `{"detail":"The key is not valid."}`, false, "succeeded", 3},
		{"the first try is under way", 409, `{"detail":"It is being sent."}`, false, "succeeded", 3},
		{"an answer that is cut off", 202, `{"id":"47`, false, "succeeded", 3},
		{"refused for good", 400, `{"detail":"The message has 1 fault."}`, true, "not sent: The message has 1 fault. (400)", 1},
		{"storage stays away", 503, `{"detail":"Storage gives no answer."}`, true, "not sent: the gateway answers 503 Storage gives no answer.", 100},
		{"the gateway stays away", refuses, "", true, "not sent: the gateway does not answer", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var keys []string
				var out bytes.Buffer
				gateway := slow(func(since time.Duration, r *http.Request) (int, string) {
					if r.Method == http.MethodGet {
						return 200, succeeded
					}
					keys = append(keys, r.Header.Get("Idempotency-Key"))
					if c.always || since < time.Minute {
						return c.early, c.body
					}
					return 202, accepted
				})
				if became := gateway.api().deliver(t.Context(), sample{"Hello", nil}, &out); became != c.became {
					t.Errorf("became %q, want %q", became, c.became)
				}
				if len(keys) < c.tries || c.tries == 1 && len(keys) > 1 {
					t.Errorf("%d tries, want %d", len(keys), c.tries)
				}
				for _, k := range keys {
					if k == "" || k != keys[0] {
						t.Errorf("a try with another key: %q, %q", k, keys[0])
					}
				}
				if told := strings.Contains(out.String(), `Still waiting for the sample "Hello"`); told != (c.tries > 1) {
					t.Errorf("told: %q", out.String())
				}
			})
		})
	}
}

func TestWhatBecameOfASampleIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		slow   slow
		became string
	}{
		{"refuses for a while", func(since time.Duration, _ *http.Request) (int, string) {
			if since < 20*time.Second {
				return refuses, ""
			}
			return 200, `{"status":"Succeeded"}`
		}, "succeeded"},
		{"stays unavailable", func(time.Duration, *http.Request) (int, string) { return 503, "" }, "accepted"},
		{"stays under way", func(time.Duration, *http.Request) (int, string) { return 200, `{"status":"Running"}` }, "still running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if became := c.slow.api().follow(t.Context(), "4711"); became != c.became {
					t.Errorf("became %q, want %q", became, c.became)
				}
			})
		})
	}
}

// The caller's key is asked for again while storage is slow, and one of an earlier
// run is not thrown away because the gateway is.
func TestTheCallerIsMadeOnceStorageAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		kept     bool // secrets of an earlier run are there
		status   int  // the gateway's answer to them, after a minute of 503
		commands []string
		key      string
	}{
		{"no secrets", false, 0, []string{"add", "rotate", "add"}, "ph_new"},
		{"secrets that hold", true, 404, nil, "ph_kept"},
		{"secrets of other data", true, 401, []string{"add", "rotate", "add"}, "ph_new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				local := config{Dir: t.TempDir(), Gateway: "127.0.0.1:7071"}
				if c.kept {
					if err := writeSecrets(local, secrets{"ph_kept", "endpoint=http://127.0.0.1:7071/;accesskey=eA=="}); err != nil {
						t.Fatal(err)
					}
				}
				gateway := slow(func(since time.Duration, _ *http.Request) (int, string) {
					if since < time.Minute {
						return 503, ""
					}
					return c.status, ""
				})
				var commands []string
				operate := func(_ context.Context, args ...string) (string, error) {
					commands = append(commands, args[1])
					if len(commands) < 3 {
						return "", errors.New("storage gives no answer")
					}
					return "ph_new\nendpoint=http://127.0.0.1:7071/;accesskey=eA==\n", nil
				}
				s, err := gateway.api().ensureCaller(t.Context(), local, operate, io.Discard)
				if err != nil || s.key != c.key || strings.Join(commands, " ") != strings.Join(c.commands, " ") {
					t.Errorf("got %+v, %v after %q", s, err, commands)
				}
				if kept, ok := readSecrets(local); !ok || kept != s {
					t.Errorf("kept %+v, %t", kept, ok)
				}
			})
		})
	}
}

// A gateway that refuses every message is shown with that news.
func TestTheScreenComesWithoutTheSamples(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		local := config{Dir: t.TempDir(), Gateway: "127.0.0.1:7071"}
		gateway := slow(func(_ time.Duration, r *http.Request) (int, string) {
			if r.URL.Path == "/readyz" {
				return 200, "{}"
			}
			return 500, ""
		})
		operate := func(context.Context, ...string) (string, error) { return "ph_key\nendpoint=x", nil }
		var out bytes.Buffer
		if err := greet(t.Context(), local, nil, gateway.api(), operate, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Posthorn is running.", "Welcome to Posthorn: not sent: the gateway answers 500\n", "A file that does not fit: not sent: the gateway answers 500\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the screen lacks %q:\n%s", want, out.String())
			}
		}
	})
}

func TestWorkThatTakesLongIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		failed := errors.New("no such port")
		err := during(&out, "Azurite", func() error {
			time.Sleep(45*time.Second + time.Millisecond)
			return failed
		})
		if want := "Still waiting for Azurite (10s)\nStill waiting for Azurite (40s)\n"; out.String() != want || !errors.Is(err, failed) {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
}

// A handler whose process ends is told at once, whatever is still waited for.
func TestAHandlerThatEndsEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, handler, says string }{
		{"crashes", "false", "Exceeded http worker restart retry count"},
		{"closes", "true", "the handler has ended with exit code 0 and is not started again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			local, dir := freeConfig(t), t.TempDir()
			local.Dir = t.TempDir()
			program, err := exec.LookPath(c.handler)
			if err != nil {
				t.Skip(err)
			}
			// A link, because a program that was written a moment ago may be busy.
			handler := filepath.Join(dir, pack.Handler)
			if err := errors.Join(os.Symlink(program, handler), pack.Dir("../..", handler, dir), writeCertificate(t, local)); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", local.Gateway)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // bounds a hang
			defer cancel()
			err = runGateway(ctx, local, l, gatewayRun{dir: dir, operate: handler, env: local.gatewayEnv(nil)}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "the gateway has ended") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// writeCertificate writes some certificate where Azurite's would be.
func writeCertificate(t *testing.T, c config) error {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return errors.Join(os.MkdirAll(filepath.Dir(c.certFile()), 0o700), os.WriteFile(c.certFile(), text, 0o600))
}
