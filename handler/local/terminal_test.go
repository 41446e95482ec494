package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block is a piece of code of a page.
type block struct {
	language, text string
	mark           string // what the comment on the line before says it needs
	line           int
}

var (
	fence = regexp.MustCompile(`^\s*` + "```" + `(\w*)`)
	needs = regexp.MustCompile(`^<!-- needs (.+) -->$`)
)

// blocks are those of a page, in order.
func blocks(page string) (all []block) {
	var open *block
	before, n := "", 0
	for line := range strings.Lines(page) {
		n++
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			open = &block{language: m[1], line: n}
			if marked := needs.FindStringSubmatch(strings.TrimSpace(before)); marked != nil {
				open.mark = marked[1]
			}
		case m != nil:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line
		}
		before = line
	}
	return all
}

// terminal is where a reader of the pages types, in a folder like the project's.
type terminal struct {
	c               config
	dir, state      string
	emulator, inbox string // of the emulator that the reader starts
	key             string
	addresses       *strings.Replacer // those of `make run` become this run's
	server          *strings.Replacer // or those of the emulator that the reader starts
	id              string            // of the latest message, as the reader would copy it
	last            string            // what was said last
}

// shims stand first on PATH. curl tells the status of each call, since it ends well
// on a 401 too. mkcert is Azurite's certificate, which is for localhost.
var shims = map[string]string{
	"curl":   `exec CURL --write-out '%{stderr}\nstatus %{http_code}\n' "$@"`,
	"mkcert": `cp .local/azurite/cert.pem localhost.pem && cp .local/azurite/key.pem localhost-key.pem`,
}

func newTerminal(t *testing.T, c config) *terminal {
	t.Helper()
	usual, err := readConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := freeConfig(t)
	term := &terminal{c: c, dir: t.TempDir(), emulator: own.Emulator, inbox: own.Inbox}
	term.state = filepath.Join(term.dir, "state")
	term.key = strings.TrimSpace(read(t, c.path("key")))
	term.addresses = strings.NewReplacer(usual.Gateway, c.Gateway, usual.Inbox, c.Inbox, usual.Emulator, c.Emulator, usual.Identity, c.Identity)
	term.server = strings.NewReplacer(usual.Emulator, term.emulator, usual.Inbox, term.inbox)
	term.layOut(t)
	bin := t.TempDir()
	file, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	for name, script := range shims {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+strings.ReplaceAll(script, "CURL", file)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	begin := "export PATH='" + bin + "':\"$PATH\"\n"
	if err := os.WriteFile(term.state, []byte(begin), 0o600); err != nil {
		t.Fatal(err)
	}
	return term
}

// layOut makes the folder look like the project's, with this run's data in .local.
func (term *terminal) layOut(t *testing.T) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(here)
	if err != nil {
		t.Fatal(err)
	}
	link := func(from, name string) {
		if err := os.Symlink(from, filepath.Join(term.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, ".") && n != "dist" && n != "emulator" {
			link(filepath.Join(here, n), n)
		}
	}
	link(term.c.Dir, ".local")
}

// bash is a shell that knows what the blocks before have set.
func (term *terminal) bash(ctx context.Context, text string) *exec.Cmd {
	script := ". ./state\nid='" + term.id + "'\n" + text + "\nexport -p > state\n"
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = term.dir
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

var statusLine = regexp.MustCompile(`(?m)^status (\d+)$`)

// run types a block and returns what it says, and the statuses of its calls.
func (term *terminal) run(t *testing.T, text string) (said string, statuses []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := term.bash(ctx, term.addresses.Replace(text))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), complaint.String())
	}
	for _, m := range statusLine.FindAllStringSubmatch(complaint.String(), -1) {
		statuses = append(statuses, m[1])
	}
	term.note(out.String())
	return out.String(), statuses
}

var idMember = regexp.MustCompile(`"id":"([^"]+)","status"`)

// note keeps the id of a message that an answer tells.
func (term *terminal) note(answer string) {
	term.last = answer
	if m := idMember.FindStringSubmatch(answer); m != nil {
		term.id = m[1]
	}
}

// serve types a block that starts the emulator and lets ask look at it. The
// emulator replaces the shell, so that it can be told to end.
func (term *terminal) serve(t *testing.T, text string, ask func(*terminal, *testing.T)) (said string) {
	t.Helper()
	_, port, _ := strings.Cut(term.emulator, ":")
	text = strings.ReplaceAll(text, "./emulator", "exec ./emulator -listen "+term.emulator+" -inbox "+term.inbox)
	text = strings.ReplaceAll(text, "localhost:8026", "localhost:"+port)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := term.bash(ctx, text)
	out := &localRun{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(out.screen(), "Ctrl-C") {
		select {
		case err := <-ended:
			t.Fatalf("ended with %v: %s", err, out.screen())
		case <-time.After(20 * time.Millisecond):
		}
	}
	ask(term, t)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v: %s", err, out.screen())
	}
	return out.screen()
}

// post sends a message as the sample caller.
func (term *terminal) post(t *testing.T, body any) (status int, answer []byte) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return term.ask(t, http.MethodPost, "/emails:send", bytes.NewReader(text))
}

// ask makes a request as the sample caller, with more headers by name and value.
func (term *terminal) ask(t *testing.T, method, path string, body io.Reader, headers ...string) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, term.c.publicURL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+term.key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// became is what the gateway says of a message.
type became struct {
	Delivery struct {
		State string
		Links []struct {
			Name    string
			Revoked bool
		}
	}
}

func (term *terminal) operation(t *testing.T) (o became) {
	t.Helper()
	status, answer := term.ask(t, http.MethodGet, "/emails/operations/"+term.id, http.NoBody)
	if err := json.Unmarshal(answer, &o); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v: %s", status, err, answer)
	}
	return o
}
