package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
)

// copyHook and testHook need no settings, but for a hook that there is: one may try a
// template before there is a deployment.
type copyHook struct {
	Sender string `arg:"" help:"Built-in sender with the template."`
	Dir    string `arg:"" help:"Folder to create."`
}

func (copyHook) Help() string { return examples("posthorn hooks copy grafana my-template") }

func (cmd *copyHook) Run(c *console) error {
	t, err := hook.Builtin(cmd.Sender)
	if err != nil {
		return err
	}
	if err := os.Mkdir(cmd.Dir, 0o750); err != nil {
		return err
	}
	for name, source := range map[string]string{"subject.tmpl": t.Subject, "text.tmpl": t.Text, "html.tmpl": t.HTML} {
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), []byte(source), 0o600); err != nil {
			return err
		}
	}
	c.tell("Copied the template of %s to %s. Try it with \"posthorn hooks test --template %s FILE\".", cmd.Sender, cmd.Dir, cmd.Dir)
	return nil
}

// readTemplate reads a folder like those in handler/api/hook/builtin.
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

// header is NAME: VALUE.
type header struct{ name, value string }

// UnmarshalText reads what stands behind a flag.
func (h *header) UnmarshalText(text []byte) error {
	name, value, ok := strings.Cut(string(text), ":")
	if !ok {
		return errors.New("a header is NAME: VALUE")
	}
	h.name, h.value = strings.TrimSpace(name), strings.TrimSpace(value)
	return nil
}

type testHook struct {
	File     string   `arg:"" help:"File with the payload."`
	Hook     string   `placeholder:"NAME" help:"Existing hook. Needs a deployment."`
	Builtin  string   `default:"generic" placeholder:"SENDER" help:"Built-in sender. Default: generic."`
	Template string   `placeholder:"DIR" help:"Folder with your own template."`
	Header   []header `sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the delivery, repeatable."`
	Out      string   `placeholder:"PAGE" help:"File for the page. Default: beside the payload."`
}

func (testHook) Help() string {
	return examples("posthorn hooks test --builtin grafana alert.json", "posthorn hooks test --hook alerts alert.json")
}

func (cmd *testHook) Run(ctx context.Context, c *console) error {
	h, err := cmd.hook(ctx, c)
	if err != nil {
		return err
	}
	if err := h.Usable(); err != nil {
		return err
	}
	body, err := os.ReadFile(cmd.File)
	if err != nil {
		return err
	}
	head := http.Header{"Content-Type": {"application/json"}}
	for _, h := range cmd.Header {
		head.Set(h.name, h.value)
	}
	messages, err := h.Messages(ctx, hook.Delivery{Header: head, Body: body, At: time.Now()})
	if err != nil {
		return err
	}
	page := cmd.Out
	if page == "" {
		page = strings.TrimSuffix(cmd.File, filepath.Ext(cmd.File)) + ".preview.html"
	}
	return printMessages(c, messages, page)
}

// hook is the one to try.
func (cmd *testHook) hook(ctx context.Context, c *console) (h hook.Hook, err error) {
	if cmd.Hook != "" {
		d, err := c.open()
		if err != nil {
			return h, err
		}
		return d.Hooks.Read(ctx, cmd.Hook)
	}
	h = hook.Hook{Holder: keyring.Holder{Name: "test"}, Policy: hook.Policy{Builtin: cmd.Builtin, Sender: "sender@example.com", To: []string{"recipient@example.com"}}}
	if cmd.Template != "" {
		h.Template, err = readTemplate(cmd.Template)
	}
	return h, err
}

func printMessages(c *console, messages []hook.Message, page string) error {
	for _, m := range messages {
		if m.Refused != nil {
			return m.Refused
		}
		if m.TemplateError != nil {
			c.tell("The template failed. The message would have the payload as it came: %s", m.TemplateError)
		}
		fmt.Fprintf(c.out, "Subject: %s\n\n%s\n", m.Content.Subject, m.Content.PlainText)
	}
	if len(messages) == 0 {
		c.tell("The subject is empty, so nothing would be sent.")
	}
	preview, err := hook.Preview(messages)
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, preview, 0o600); err != nil {
		return err
	}
	c.tell("Wrote the page %s", page)
	return nil
}
