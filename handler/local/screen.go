package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// curl is a command that sends a message, to be pasted into any shell.
func curl(c config, key string) string {
	return strings.NewReplacer("URL", c.publicURL(), "KEY", key, "SENDER", callerSender).Replace(
		`curl -i 'URL/emails:send?api-version=2025-09-01' \
  -H "Authorization: Bearer KEY" -H 'Content-Type: application/json' \
  -d '{"senderAddress": "SENDER",
       "recipients": {"to": [{"address": "ann@example.com"}]},
       "content": {"subject": "Hello", "plainText": "Hello from Posthorn"}}'`)
}

// outcome is a sample and what became of it.
type outcome struct{ subject, became string }

// show prints the one screen of a run.
func show(out io.Writer, c config, s secrets, sent []outcome) {
	line := func(name, value string) { fmt.Fprintf(out, "  %-11s %s\n", name, value) }
	fmt.Fprint(out, "\n  Posthorn is running.\n\n")
	line("Gateway", c.publicURL())
	line("Inbox", "http://"+c.Inbox)
	line("Emulator", "http://"+c.Emulator)
	line("Logs", short(c.path("log")))
	fmt.Fprintln(out)
	line("Key", s.key)
	line("", "also in "+short(c.path("key"))+"; may send as "+callerSender)
	line("ACS SDKs", s.connection)
	line("", "in JavaScript with the option { allowInsecureConnection: true }")
	line("Operate", ". "+short(c.path("env"))+" && posthorn --help")
	fmt.Fprint(out, "\n  Sent just now, to be seen in the inbox\n")
	for _, o := range sent {
		fmt.Fprintf(out, "    %s: %s\n", o.subject, o.became)
	}
	fmt.Fprintf(out, "\n  Send one yourself\n\n%s\n\n  Ctrl-C ends all of it. `make reset` clears the data.\n\n", curl(c, s.key))
}

// short is a path as seen from here, if that is shorter.
func short(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
