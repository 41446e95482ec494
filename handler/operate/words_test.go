package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// typed runs words as an operator types them, without any settings.
func typed(t *testing.T, words ...string) (code int, out, said string) {
	t.Helper()
	var o, s bytes.Buffer
	code = run(t.Context(), words, &console{environ: []string{"POSTHORN_CONNECTION=no-such-file"}, in: strings.NewReader(""), out: &o, said: &s})
	return code, o.String(), s.String()
}

// Help is there at every depth, without settings, and has what one can paste.
func TestHelpIsAtEveryDepth(t *testing.T) {
	t.Parallel()
	parser := kong.Must(&program{}, kong.Bind(&console{}))
	err := kong.Visit(parser.Model.Node, func(n kong.Visitable, next kong.Next) error {
		node, ok := n.(*kong.Node)
		if !ok {
			return next(nil)
		}
		words := strings.Fields(node.FullPath())[1:]
		for _, asked := range [][]string{append(words, "--help"), append([]string{"help"}, words...)} {
			code, out, said := typed(t, asked...)
			if code != 0 || !strings.HasPrefix(out, "Usage: posthorn") || said != "" {
				t.Errorf("%q: exit code %d, %q, on standard error %q", asked, code, out, said)
			}
			if len(node.Children) == 0 && !strings.Contains(out, "Examples:\n    ") {
				t.Errorf("%q has no example:\n%s", asked, out)
			}
			if lines := strings.Count(out, "\n"); lines > helpLines {
				t.Errorf("%q: %d lines do not fit a terminal", asked, lines)
			}
			for line := range strings.Lines(out) {
				if len(line) > 81 && !strings.HasPrefix(line, "    posthorn") {
					t.Errorf("%q: a line is %d wide: %s", asked, len(line)-1, line)
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, out, _ := typed(t); code != 0 || !strings.HasPrefix(out, "Usage: ") {
		t.Errorf("without words: %d, %q", code, out)
	}
}

// The version is data, and needs no settings.
func TestVersionIsTold(t *testing.T) {
	t.Parallel()
	if code, out, said := typed(t, "--version"); code != 0 || out != "posthorn devel\n" || said != "" {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}

// A mistake is told in a sentence, with where to look, and before any setting is read.
func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	add := "callers add shop --sender a@example.com"
	for _, c := range []struct{ name, words, says, look string }{
		{"no such noun", "caller list", `there is no command "caller". Did you mean "callers"?`, "posthorn"},
		{"nothing like it", "frobnicate", `there is no command "frobnicate".`, "posthorn"},
		{"no verb", "callers", `callers needs a verb: add, list, set, pause, resume, rotate, retire, revoke`, "posthorn callers"},
		{"no such verb", "hooks remov x", `hooks has no verb "remov". Did you mean "remove"?`, "posthorn hooks"},
		{"no name", "callers rotate", `callers rotate needs "<name>".`, "posthorn callers rotate"},
		{"no name but flags", "callers add --sender a@example.com", `callers add needs "<name>".`, "posthorn callers add"},
		{"one word too many", add + " and", `callers add does not expect "and".`, "posthorn callers add"},
		{"no sender", "callers add shop", `callers add needs --sender=ADDRESS.`, "posthorn callers add"},
		{"no such flag", "callers add shop --sendr a@example.com", `callers add has no flag --sendr. Did you mean "--sender"?`, "posthorn callers add"},
		{"no value", "callers add shop --sender", `--sender: missing value`, "posthorn callers add"},
		{"no number", add + " --cap many", `--cap: expected a valid 64 bit int but got "many".`, "posthorn callers add"},
		{"no tag", "hooks add x --caller a --sender b --tag team", `--tag: a tag is NAME=VALUE.`, "posthorn hooks add"},
		{"no header", "hooks test --header x alert.json", `--header: a header is NAME: VALUE.`, "posthorn hooks test"},
		{"half of a copy", "hooks copy grafana", `hooks copy needs "<dir>"`, "posthorn hooks copy"},
		{"no document", "callers import", `callers import needs "<file>".`, "posthorn callers import"},
		{"no payload", "hooks test", `hooks test needs "<file>"`, "posthorn hooks test"},
		{"a sender of all", "sending pause shop", `sending pause does not expect "shop".`, "posthorn sending pause"},
		{"no such state", "messages list --state gone", `a state is waiting, scheduled, backoff, doubt, paused or unreadable.`, "posthorn messages list"},
		{"no such time", "messages list --older-than soon", `--older-than: expected duration`, "posthorn messages list"},
		{"all or what", "messages drop", `select messages by id, --caller, --hook, --state, --older-than or --all.`, "posthorn messages drop"},
		{"given up where", "dead list --state waiting", `dead list has no flag --state.`, "posthorn dead list"},
		{"retried what", "dead retry --yes", `select dead letters by id, --caller, --hook, --reason or --all.`, "posthorn dead retry"},
		{"dropped what", "dead drop", `select dead letters`, "posthorn dead drop"},
		{"a link that is none", "links revoke https://mail.example.com/files/nothing", `This is no link to a file`, "posthorn links revoke"},
		{"a test to nobody", "send-test", `send-test needs "<to>"`, "posthorn send-test"},
		{"a test to no address", "send-test ann", `the recipient is an address`, "posthorn send-test"},
		{"a key for ACS", "send-test a@example.com --direct --key-file k", `exclude each other`, "posthorn send-test"},
		{"a key and a caller", "send-test a@example.com --caller shop --key-file k", `exclude each other`, "posthorn send-test"},
		{"no time", "send-test a@example.com --wait 0s", `--wait must be longer`, "posthorn send-test"},
		{"released what", "messages release --yes", `select messages`, "posthorn messages release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, said := typed(t, strings.Fields(c.words)...)
			look := fmt.Sprintf("\nRun %q for all ", c.look+" --help")
			if code != exitUsage || out != "" || !strings.HasPrefix(said, "posthorn: ") || !strings.Contains(said, c.says) || !strings.Contains(said, look) {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
		})
	}
}

// Words that are right need settings: a half of them is named, and none is one sentence.
func TestSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, environ, says, not string }{
		{"none", "", "posthorn: no deployment is connected\nRun \"posthorn connect\"", "is missing"},
		{"some", "POSTHORN_BLOB_ENDPOINT=https://a.blob.core.windows.net", "POSTHORN_TABLE_ENDPOINT: is missing", "no deployment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, said bytes.Buffer
			code := run(t.Context(), []string{"messages", "list"}, &console{
				environ: []string{c.environ, "POSTHORN_CONNECTION=no-such-file"}, in: strings.NewReader(""), out: &out, said: &said,
			})
			if s := said.String(); code != exitFailed || out.Len() > 0 || !strings.Contains(s, c.says) || strings.Contains(s, c.not) || !strings.Contains(s, ". .local/env") {
				t.Errorf("exit code %d, %q, %q", code, out.String(), s)
			}
		})
	}
}
