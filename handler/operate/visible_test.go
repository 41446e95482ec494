package main

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

const evil = "a\x1b[2K\x1b[1;31m\u009b5m\u202e\x07\r\ngreen  all is right\tb"

// What others wrote steers no terminal, and makes no row of its own.
func TestTextOfOthersDoesNotSteer(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.Put(testManaged+"/senderUsernames/x", object{"properties": object{"username": "x", "displayName": evil}})
	for name, words := range map[string][]string{
		"a table": {"sender", "list"}, "JSON": {"sender", "list", "--json"}, "a sentence": {"domain", "status", "example.com"}, "a mistake": {"domain", "lsit" + evil},
	} {
		d.Fail("GET", "/domains/example.com", -1, http.StatusBadRequest, "Bad"+evil, evil)
		out, said, _ := d.runAs(t, func(c *console) { c.colour = true }, words...)
		for _, bad := range []string{"\x1b", "\u009b", "\u202e", "\x07", "\r"} {
			if strings.Contains(out+said, bad) {
				t.Errorf("%s: %q is in %q", name, bad, out+said)
			}
		}
		if name == "a table" && strings.Contains(out, "\ngreen") {
			t.Errorf("a row of its own: %q", out)
		}
		if name == "JSON" && !strings.Contains(out, `\u001b[2K`) {
			t.Errorf("JSON has other text: %s", out)
		}
	}
	if _, said, _ := d.run(t, "cal%d%s"); !strings.Contains(said, `"cal%d%s"`) {
		t.Errorf("a percent sign: %s", said)
	}
}

func TestColoursPass(t *testing.T) {
	t.Parallel()
	for colour, want := range map[bool]string{true: "\x1b[31mx\x1b[0m", false: `\u001b[31mx\u001b[0m`} {
		var b bytes.Buffer
		if n, err := (visible{&b, colour}).Write([]byte("\x1b[31mx\x1b[0m")); n != 10 || err != nil || b.String() != want {
			t.Errorf("%d, %v, %q", n, err, b.String())
		}
	}
}

// A word of a line is one word in a shell, and is never run.
func TestWordsForShells(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mail":                       "mail",
		"":                           "''",
		"my(group)":                  "'my(group)'",
		"$(touch x)":                 "'$(touch x)'",
		"a b":                        "'a b'",
		"it's":                       "'it?s'",
		"a’; calc; ’":                "'a?; calc; ?'", // PowerShell ends quotes there
		"x&calc":                     "'x?calc'",      // the batch file of az would run it
		"A=@Microsoft.KeyVault(S=/)": "'A=@Microsoft.KeyVault(S=/)'",
		"/a?b=1":                     "'/a?b=1'", // zsh looks for files
		"a\nb\x1b":                   "'a?b?'",
	} {
		if got := word(text); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+word(text)).Output(); err != nil || string(out) != strings.Trim(want, "'") {
			t.Errorf("sh makes %q of %q: %v", out, text, err)
		}
	}
}

// Names of Azure come into lines that are pasted.
func TestLinesOfAzureAreQuoted(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	scope := "/subscriptions/1/resourceGroups/my(mail)'; rm -rf ~; '"
	d.Fail("GET", "/domains/example.com", -1, http.StatusForbidden, "AuthorizationFailed", denied("Microsoft.Communication/x", "/subscriptions/1/resourceGroups/my(mail); $(rm)"))
	_, said, _ := d.run(t, "domain", "status", "example.com")
	if !strings.Contains(said, "--scope '/subscriptions/1/resourceGroups/my(mail); $(rm)'") {
		t.Errorf("%s", said)
	}
	d.Put(testService+"/smtpUsernames/x", azuretest.Object{"properties": azuretest.Object{"username": "x", "entraApplicationId": scope}})
	out, said, _ := d.run(t, "smtp-username", "list", "--json")
	if !strings.Contains(out+said, "--assignee '/subscriptions/1/resourceGroups/my(mail)?; rm -rf ~; ?' ") {
		t.Errorf("%s%s", out, said)
	}
}
