package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/local/emulator"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		args  string
		wrong string // part of what is printed; empty: the flags are right
		check func(options) bool
	}{
		{name: "none", check: func(o options) bool {
			return o.config.Limits == emulator.Limits{} && o.config.Keys[0] == emulator.DevelopmentKey && o.scheme() == "http"
		}},
		{name: "preset", args: "-preset custom", check: func(o options) bool { return o.config.Limits == emulator.CustomDomain }},
		{name: "preset with one limit changed", args: "-preset managed -per-hour 7", check: func(o options) bool {
			return o.config.Limits == emulator.Limits{Send: emulator.Limit{PerMinute: 5, PerHour: 7}, Status: emulator.ManagedDomain.Status}
		}},
		{name: "words", args: "-window fixed -repeat double -sender-domains a.example,b.example", check: func(o options) bool {
			return o.config.Window == emulator.WindowFixed && o.config.Repeat == emulator.RepeatDouble && len(o.config.SenderDomains) == 2
		}},
		{name: "https", args: "-tls-cert a -tls-key b", check: func(o options) bool { return o.scheme() == "https" }},
		{name: "unknown preset", args: "-preset big", wrong: "-preset is custom or managed"},
		{name: "unknown window", args: "-window round", wrong: "-window is sliding or fixed"},
		{name: "unknown policy", args: "-repeat never", wrong: "-repeat is dedup, refuse or double"},
		{name: "half of TLS", args: "-tls-cert a", wrong: "go together"},
		{name: "a word too many", args: "now", wrong: `"now" is no flag`},
		{name: "unknown flag", args: "-x", wrong: "not defined"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var printed bytes.Buffer
			o, err := parseFlags(strings.Fields(test.args), &printed)
			if test.wrong != "" {
				if !errors.Is(err, errUsage) || !strings.Contains(printed.String(), test.wrong) {
					t.Errorf("got %v and %q, want %q", err, printed.String(), test.wrong)
				}
				return
			}
			if err != nil || !test.check(o) {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	err = run(t.Context(), []string{"-listen", l.Addr().String()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "choose another address with -listen") {
		t.Errorf("got %v", err)
	}
}

// The screen has what one needs, both servers answer, and the end of the
// context ends it all, an open event stream too.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-inbox", "127.0.0.1:0", "-dir", t.TempDir(), "-preset", "custom"}, in, io.Discard)
		_ = in.Close()
	}()
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	shown := string(buf[:n])
	if !strings.Contains(shown, "accesskey="+emulator.DevelopmentKey) || !strings.Contains(shown, "send 30 a minute and 100 an hour") {
		t.Errorf("the screen shows %s", shown)
	}
	fields := strings.Fields(shown)
	var urls []string
	for _, f := range fields {
		if strings.HasPrefix(f, "http://") {
			urls = append(urls, f)
		}
	}
	for _, url := range []string{urls[0] + "/", urls[1] + "/api/messages", urls[1] + "/api/events"} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d", url, resp.StatusCode)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("run ended with %v", err)
	}
}

// The README's table lists the flags; POSTHORN_UPDATE_DOCS=1 writes it.
func TestReadmeListsFlags(t *testing.T) {
	t.Parallel()
	const path = "../../README.md"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(readme), "<!-- flags -->\n")
	_, after, ok := strings.Cut(rest, "<!-- end of flags -->\n")
	if !ok {
		t.Fatal("the README has lost the marks around its table of flags")
	}
	want := before + "<!-- flags -->\n" + flagTable() + "<!-- end of flags -->\n" + after
	if want == string(readme) {
		return
	}
	if os.Getenv("POSTHORN_UPDATE_DOCS") != "1" {
		t.Fatal("the README's table of flags is out of date; run the test with POSTHORN_UPDATE_DOCS=1")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
