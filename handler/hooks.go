package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/hook"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/wiring"
)

const hooksUsage = `       handler hooks add NAME --caller NAME --sender ADDRESS --to ADDRESS [--to ...] [--builtin SENDER] [--template DIR]
                               [--cc ADDRESS] [--bcc ADDRESS] [--reply-to ADDRESS] [--reply-to-from POINTER]
                               [--to-from POINTER --allow ADDRESS|*@DOMAIN ...]
                               [--check key|github|grafana|stripe|standard] [--secret-file FILE] [--token-header NAME]
                               [--dedupe none|header:NAME|member:POINTER] [--priority WORD] [--tag NAME=VALUE]
                               [--origin URL ...] [--redirect URL] [--honeypot FIELD]     for --builtin form
       handler hooks list
       handler hooks show NAME        its policy, its address and what signs for it
       handler hooks rotate NAME      a new key; the one before it stays alive
       handler hooks remove NAME
       handler hooks test [--hook NAME | --builtin SENDER | --template DIR] [--header 'NAME: VALUE'] [--out PAGE] FILE
                               render a payload: text here, a page to look at beside FILE; sends nothing
       handler hooks copy SENDER DIR  a built-in template, to begin an own one with`

// operateHooks runs one command on hooks. verb is the second word.
func operateHooks(ctx context.Context, app *wiring.App, publicURL, verb string, args []string, out io.Writer) error {
	switch verb {
	case "add":
		return addHook(ctx, app, publicURL, args, out)
	case "list":
		return listHooks(ctx, app.Hooks, out)
	case "show":
		return withName(args, func(name string) error {
			h, err := app.Hooks.Hook(ctx, name)
			if err != nil {
				return err
			}
			return showHook(app.Hooks, h, publicURL, out)
		})
	case "rotate":
		return withName(args, func(name string) error {
			h, err := app.Hooks.Rotate(ctx, name)
			if err != nil {
				return err
			}
			return printAddress(app.Hooks, h, publicURL, out)
		})
	case "remove":
		return withName(args, func(name string) error { return app.Hooks.Remove(ctx, name) })
	case "test":
		return testHook(ctx, app.Hooks, args, out)
	}
	return errors.New("there is no such command\n" + usage)
}

// hookFlags are the flags of a policy and of a template.
type hookFlags struct {
	policy             hook.Policy
	form               hook.Form
	template, secretIn string
}

func (f *hookFlags) declare(flags *flag.FlagSet) {
	list := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, v); return nil }
	}
	p := &f.policy
	flags.StringVar(&p.Caller, "caller", "", "caller as whom the hook sends")
	flags.StringVar(&p.Sender, "sender", "", "address that the hook sends from")
	flags.StringVar(&p.Builtin, "builtin", "", "sender whose ways are built in")
	flags.StringVar(&f.template, "template", "", "folder of an own template")
	flags.Func("to", "recipient", list(&p.To))
	flags.Func("cc", "recipient of a copy", list(&p.CC))
	flags.Func("bcc", "hidden recipient", list(&p.BCC))
	flags.Func("reply-to", "whom to answer", list(&p.ReplyTo))
	flags.StringVar(&p.ReplyToFrom, "reply-to-from", "", "place in the payload of whom to answer")
	flags.StringVar(&p.ToFrom, "to-from", "", "place in the payload of the recipients")
	flags.Func("allow", "recipient that the payload may name", list(&p.Allow))
	flags.Func("check", "how a delivery proves where it comes from", func(v string) error { p.Check = hook.Check(v); return nil })
	flags.StringVar(&f.secretIn, "secret-file", "", "file with the secret that the sender dictates")
	flags.StringVar(&p.TokenHeader, "token-header", "", "one more header for the key")
	flags.StringVar(&p.Dedupe, "dedupe", "", "what names a delivery")
	flags.Func("priority", "high, normal or bulk", func(v string) error { p.Priority = mail.Priority(v); return nil })
	flags.Func("tag", "tag of the messages", func(v string) error {
		name, of, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("a tag is NAME=VALUE")
		}
		p.Tags = append(p.Tags, mail.Tag{Name: name, Value: of})
		return nil
	})
	flags.Func("origin", "site that has the form", list(&f.form.Origins))
	flags.StringVar(&f.form.Redirect, "redirect", "", "page after the form was sent")
	flags.StringVar(&f.form.Honeypot, "honeypot", "", "field that only robots fill in")
}

// parse reads flags, and leaves the words that are none.
func parse(args []string, declare func(*flag.FlagSet)) (rest []string, err error) {
	flags := flag.NewFlagSet("hooks", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	declare(flags)
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("the flags are not right: %w\n%s", err, usage)
	}
	return flags.Args(), nil
}

func addHook(ctx context.Context, app *wiring.App, publicURL string, args []string, out io.Writer) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return errors.New("one name is needed\n" + usage)
	}
	var f hookFlags
	rest, err := parse(args[1:], f.declare)
	if err != nil {
		return err
	}
	if err := unexpected(rest); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	h := hook.Hook{Name: args[0], Policy: f.policy}
	if f.form.Origins != nil || f.form.Redirect != "" || f.form.Honeypot != "" {
		h.Policy.Form = &f.form
	}
	if f.template != "" {
		if h.Template, err = readTemplate(f.template); err != nil {
			return err
		}
	}
	secret := ""
	if f.secretIn != "" {
		text, err := os.ReadFile(f.secretIn)
		if err != nil {
			return err
		}
		secret = strings.TrimSpace(string(text))
	}
	if err := allowed(ctx, app.Callers, h.Policy); err != nil {
		return err
	}
	if h, err = app.Hooks.Add(ctx, h, secret); err != nil {
		return err
	}
	return printAddress(app.Hooks, h, publicURL, out)
}

// allowed says, before the first alert does, what no message may have and what the
// caller's policy forbids.
func allowed(ctx context.Context, callers *caller.Registry, p hook.Policy) error {
	c, err := callers.Named(ctx, p.Caller)
	if err != nil {
		return err
	}
	m := mail.Message{
		SenderAddress: p.Sender, Content: mail.Content{Subject: "Alert", PlainText: "Alert"},
		Delivery: mail.Delivery{Priority: p.Priority, Tags: p.Tags},
	}
	for list, to := range map[*[]string]*[]mail.Address{&p.To: &m.Recipients.To, &p.CC: &m.Recipients.CC, &p.BCC: &m.Recipients.BCC} {
		for _, a := range *list {
			*to = append(*to, mail.Address{Address: a})
		}
	}
	if err := c.Allow(&m); err != nil {
		return eachFault(err)
	}
	if len(m.Recipients.All()) == 0 { // those of the payload come later
		m.Recipients.To = []mail.Address{{Address: p.Sender}}
	}
	_, err = check.New().Message(&m, time.Now())
	return eachFault(err)
}

// eachFault is err with all that it lists.
func eachFault(err error) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || len(p.Faults) == 0 {
		return err
	}
	said := []string{p.Detail}
	for _, f := range p.Faults {
		said = append(said, f.Pointer+": "+f.Detail)
	}
	return errors.New(strings.Join(said, "\n"))
}

// printAddress prints what goes into the sender's settings: the address, with the
// key where the key opens it, and the secret where deliveries are signed.
func printAddress(hooks *hook.Registry, h hook.Hook, publicURL string, out io.Writer) error {
	address := publicURL + "/hooks/" + h.Name
	if h.Policy.Check == hook.CheckKey {
		address += "?key=" + hooks.Key(h)
	}
	if _, err := fmt.Fprintln(out, address); err != nil {
		return err
	}
	if secret := hooks.Secret(h); secret != "" {
		_, err := fmt.Fprintln(out, "secret "+secret)
		return err
	}
	return nil
}

func showHook(hooks *hook.Registry, h hook.Hook, publicURL string, out io.Writer) error {
	p := h.Policy
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name string, words ...string) {
		if text := strings.Join(words, ", "); text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	line("name", h.Name)
	line("caller", p.Caller)
	line("built in", p.Builtin)
	line("checked by", string(p.Check))
	line("key's header", p.TokenHeader)
	line("from", p.Sender)
	line("to", p.To...)
	line("cc", p.CC...)
	line("bcc", p.BCC...)
	line("to, from the payload", p.ToFrom)
	line("allowed there", p.Allow...)
	line("answers to", p.ReplyTo...)
	line("answers to, from the payload", p.ReplyToFrom)
	line("a delivery is named by", p.Dedupe)
	line("priority", string(p.Priority))
	for _, t := range p.Tags {
		line("tag", t.Name+"="+t.Value)
	}
	if p.Form != nil {
		line("origins", p.Form.Origins...)
		line("after success", p.Form.Redirect)
		line("honeypot", p.Form.Honeypot)
	}
	if h.Template != (hook.Template{}) {
		line("template", "its own")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printAddress(hooks, h, publicURL, out)
}

func listHooks(ctx context.Context, hooks *hook.Registry, out io.Writer) error {
	list, err := hooks.Hooks(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tBUILT IN\tCHECKED BY\tCALLER\tTO")
	for _, h := range list {
		to := append([]string(nil), h.Policy.To...)
		if h.Policy.ToFrom != "" {
			to = append(to, h.Policy.ToFrom)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.Name, h.Policy.Builtin, h.Policy.Check, h.Policy.Caller, strings.Join(to, ","))
	}
	return w.Flush()
}
