package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/hook"
)

// rendersOnly says whether a command needs no settings: one may try a template
// before there is a deployment.
func rendersOnly(args []string) bool {
	return args[0] == "hooks" && (args[1] == "copy" || args[1] == "test" && !namesHook(args))
}

func namesHook(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		name, _, _ := strings.Cut(a, "=")
		return name == "-hook" || name == "--hook"
	})
}

// renderOnly runs a command that needs no settings.
func renderOnly(ctx context.Context, verb string, args []string, out io.Writer) error {
	if verb == "copy" {
		return copyTemplate(args)
	}
	return testHook(ctx, nil, args, out)
}

// copyTemplate writes what is built in to a new folder.
func copyTemplate(args []string) error {
	if len(args) != 2 {
		return errors.New("a sender and a folder are needed\n" + usage)
	}
	t, err := hook.Builtin(args[0])
	if err != nil {
		return err
	}
	if err := os.Mkdir(args[1], 0o750); err != nil { //nolint:gosec // the operator names the folder
		return err
	}
	for name, source := range map[string]string{"subject.tmpl": t.Subject, "text.tmpl": t.Text, "html.tmpl": t.HTML} {
		if err := os.WriteFile(filepath.Join(args[1], name), []byte(source), 0o600); err != nil { //nolint:gosec // the operator names the folder
			return err
		}
	}
	return nil
}

// readTemplate reads a folder like those in handler/accept/hook/builtin.
func readTemplate(dir string) (t hook.Template, err error) {
	for name, to := range map[string]*string{"subject.tmpl": &t.Subject, "text.tmpl": &t.Text, "html.tmpl": &t.HTML} {
		source, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && name != "subject.tmpl" {
			continue
		}
		if err != nil {
			return hook.Template{}, err
		}
		*to = string(source)
	}
	return t, nil
}

// testHook renders a payload. Without --hook it needs no settings and no storage.
func testHook(ctx context.Context, hooks *hook.Registry, args []string, out io.Writer) error {
	var name, builtin, template, page string
	head := http.Header{}
	rest, err := parse(args, func(flags *flag.FlagSet) {
		flags.StringVar(&name, "hook", "", "hook that there is")
		flags.StringVar(&builtin, "builtin", "generic", "sender whose template is built in")
		flags.StringVar(&template, "template", "", "folder of an own template")
		flags.StringVar(&page, "out", "", "page to write")
		flags.Func("header", "header of the delivery", func(v string) error {
			name, of, ok := strings.Cut(v, ":")
			if !ok {
				return errors.New("a header is NAME: VALUE")
			}
			head.Set(strings.TrimSpace(name), strings.TrimSpace(of))
			return nil
		})
	})
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("one file with a payload is needed\n" + usage)
	}
	h := hook.Hook{Name: "test", Policy: hook.Policy{Builtin: builtin, Sender: "sender@example.com", To: []string{"recipient@example.com"}}}
	if template != "" {
		if h.Template, err = readTemplate(template); err != nil {
			return err
		}
	}
	if name != "" {
		if hooks == nil {
			return errors.New("a hook that there is stands in storage, and the settings do not lead there")
		}
		if h, err = hooks.Hook(ctx, name); err != nil {
			return err
		}
	}
	if err := h.Usable(); err != nil {
		return err
	}
	body, err := os.ReadFile(rest[0])
	if err != nil {
		return err
	}
	if head.Get("Content-Type") == "" {
		head.Set("Content-Type", "application/json")
	}
	messages, err := h.Messages(ctx, hook.Delivery{Header: head, Body: body, At: time.Now()})
	if err != nil {
		return err
	}
	if page == "" {
		page = strings.TrimSuffix(rest[0], filepath.Ext(rest[0])) + ".preview.html"
	}
	return printMessages(messages, page, out)
}

func printMessages(messages []hook.Message, page string, out io.Writer) error {
	for _, m := range messages {
		if m.Refused != nil {
			return m.Refused
		}
		if m.Fault != nil {
			fmt.Fprintf(out, "The template failed, and the payload would go out as it came: %s\n\n", m.Fault)
		}
		fmt.Fprintf(out, "Subject: %s\n\n%s\n", m.Content.Subject, m.Content.PlainText)
	}
	if len(messages) == 0 {
		fmt.Fprintln(out, "The subject is empty, so nothing would be sent.")
	}
	preview, err := hook.Preview(messages)
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, preview, 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "To look at: %s\n", page)
	return err
}
