package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/mail"
)

type hooksCommands struct {
	Add    addHook     `cmd:"" help:"Add a hook, and print its address."`
	Set    setForm     `cmd:"" help:"Change the limits of a form."`
	List   listHooks   `cmd:"" help:"List the hooks."`
	Show   showHook    `cmd:"" help:"Show a hook's policy, address and secret."`
	Pause  pauseHook   `cmd:"" help:"Stop sending the messages of a hook."`
	Resume resumeHook  `cmd:"" help:"Resume sending the messages of a hook."`
	Rotate rotateHook  `cmd:"" help:"Print a new address. The previous key stays valid."`
	Retire retireHook  `cmd:"" help:"End all keys of a hook except the newest."`
	Export exportHooks `cmd:"" help:"Write all hooks as JSON, without secrets."`
	Import importHooks `cmd:"" help:"Import hooks from exported JSON."`
	Remove removeHook  `cmd:"" help:"Remove a hook and its keys."`
	Test   testHook    `cmd:"" help:"Render a payload as text and as a page. Nothing is sent."`
	Copy   copyHook    `cmd:"" help:"Copy a built-in template, to change it."`
}

// hookName is the one word that most commands want.
type hookName struct {
	Name string `arg:"" help:"The hook."`
}

// tag is NAME=VALUE.
type tag mail.Tag

// UnmarshalText reads what stands behind a flag.
func (t *tag) UnmarshalText(text []byte) error {
	name, value, ok := strings.Cut(string(text), "=")
	if !ok {
		return errors.New("a tag is NAME=VALUE")
	}
	t.Name, t.Value = name, value
	return nil
}

type addHook struct {
	hookName
	Caller      string   `required:"" placeholder:"NAME" help:"Caller that the hook sends as."`
	Sender      string   `required:"" placeholder:"ADDRESS" help:"Address that the hook sends from."`
	To          []string `sep:"none" placeholder:"ADDRESS" help:"Recipient."`
	CC          []string `hidden:"" name:"cc" sep:"none" placeholder:"ADDRESS" help:"Recipient of a copy."`
	BCC         []string `hidden:"" name:"bcc" sep:"none" placeholder:"ADDRESS" help:"Hidden recipient."`
	ReplyTo     []string `hidden:"" sep:"none" placeholder:"ADDRESS" help:"Reply address."`
	ReplyToFrom string   `hidden:"" placeholder:"POINTER" help:"JSON pointer to the reply address in the payload."`
	ToFrom      string   `hidden:"" placeholder:"POINTER" help:"JSON pointer to the recipients in the payload."`
	Allow       []string `hidden:"" sep:"none" placeholder:"ADDRESS" help:"Recipient that the payload may name."`
	Builtin     string   `placeholder:"SENDER" help:"Built-in sender, such as grafana."`
	Template    string   `placeholder:"DIR" help:"Folder with your own template."`
	Check       string   `placeholder:"WAY" help:"Proof: key, github, grafana, stripe or standard."`
	SecretFile  string   `placeholder:"FILE" help:"File with the sender's secret."`
	TokenHeader string   `hidden:"" placeholder:"NAME" help:"Additional header for the key."`
	Dedupe      string   `hidden:"" placeholder:"WAY" help:"none, header:NAME or member:POINTER."`
	Priority    string   `placeholder:"WORD" help:"high, normal or bulk."`
	Tag         []tag    `sep:"none" placeholder:"NAME=VALUE" help:"Tag of the messages."`
	Origin      []string `hidden:"" sep:"none" placeholder:"URL" help:"Form: origin of its site."`
	Redirect    string   `hidden:"" placeholder:"URL" help:"Form: page after success."`
	Honeypot    string   `hidden:"" placeholder:"FIELD" help:"Form: field that only robots fill in."`
}

func (addHook) Help() string {
	return "Flags for addresses, tags and sites may be repeated. docs/clients/webhooks.md has more.\n\n" +
		examples("posthorn hooks add alerts --builtin alertmanager --caller ops --sender alerts@example.com --to oncall@example.com")
}

func (cmd *addHook) policy() hook.Policy {
	p := hook.Policy{
		Caller: cmd.Caller, Sender: cmd.Sender, Builtin: cmd.Builtin, To: cmd.To, CC: cmd.CC, BCC: cmd.BCC,
		ReplyTo: cmd.ReplyTo, ReplyToFrom: cmd.ReplyToFrom, ToFrom: cmd.ToFrom, Allow: cmd.Allow,
		Check: hook.Check(cmd.Check), TokenHeader: cmd.TokenHeader, Dedupe: cmd.Dedupe, Priority: mail.Priority(cmd.Priority),
	}
	for _, t := range cmd.Tag {
		p.Tags = append(p.Tags, mail.Tag(t))
	}
	if cmd.Origin != nil || cmd.Redirect != "" || cmd.Honeypot != "" {
		p.Form = &hook.Form{Origins: cmd.Origin, Redirect: cmd.Redirect, Honeypot: cmd.Honeypot}
	}
	return p
}

func (cmd *addHook) Run(ctx context.Context, c *console, d keyed) (err error) {
	h := hook.Hook{Holder: keyring.Holder{Name: cmd.Name}, Policy: cmd.policy()}
	if cmd.Template != "" {
		if h.Template, err = readTemplate(cmd.Template); err != nil {
			return err
		}
	}
	var secret []byte
	if cmd.SecretFile != "" {
		if secret, err = os.ReadFile(cmd.SecretFile); err != nil {
			return err
		}
	}
	if err := allowed(ctx, d.Callers, h.Policy); err != nil {
		return err
	}
	if h, err = d.Hooks.Add(ctx, h, strings.TrimSpace(string(secret))); err != nil {
		return err
	}
	c.tell("Added hook %s. Put its address into the sender's settings. \"posthorn hooks show %s\" prints the address again.", h.Name, h.Name)
	return printAddress(c, d, h)
}

// allowed says, before the first alert does, what no message may have and what the
// caller's policy forbids.
func allowed(ctx context.Context, callers *caller.Registry, p hook.Policy) error {
	who, err := callers.Named(ctx, p.Caller)
	if err != nil {
		return err
	}
	m := mail.Message{
		SenderAddress: p.Sender, Content: mail.Content{Subject: "Alert", PlainText: "Alert"},
		Delivery: mail.Delivery{Priority: p.MessagePriority(), Tags: p.Tags},
	}
	for list, to := range map[*[]string]*[]mail.Address{&p.To: &m.Recipients.To, &p.CC: &m.Recipients.CC, &p.BCC: &m.Recipients.BCC} {
		for _, a := range *list {
			*to = append(*to, mail.Address{Address: a})
		}
	}
	if err := who.Allow(&m); err != nil {
		return err
	}
	if len(m.Recipients.All()) == 0 { // those of the payload come later
		m.Recipients.To = []mail.Address{{Address: p.Sender}}
	}
	_, err = check.New().Message(&m, time.Now())
	return err
}

// printAddress prints what goes into the sender's settings: the address, with the
// key where the key opens it or its handshake, and the secret where deliveries are signed.
func printAddress(c *console, d keyed, h hook.Hook) error {
	address := d.publicURL + "/hooks/" + h.Name
	if h.Policy.Check == hook.CheckKey || h.Policy.Builtin == "cloudevents" { // whose senders ask first
		address += "?key=" + d.Hooks.Key(h)
	}
	if _, err := fmt.Fprintln(c.out, address); err != nil {
		return err
	}
	if secret := d.Hooks.Secret(h); secret != "" {
		_, err := fmt.Fprintln(c.out, "secret "+secret)
		return err
	}
	return nil
}

// formLimits are those of a form; what is not said stays as it is.
type formLimits struct {
	PerAddress *int `placeholder:"N" help:"Form: posts an hour from one address."`
	PerHour    *int `placeholder:"N" help:"Form: posts an hour in total."`
	Cap        *int `placeholder:"PERCENT" help:"Form: largest part of the hourly quota."`
	MaxWaiting *int `placeholder:"N" help:"Form: most queued messages."`
}

func (l formLimits) on(f hook.Form) hook.Form {
	for to, said := range map[*int]*int{&f.PerAddress: l.PerAddress, &f.PerHour: l.PerHour, &f.Cap: l.Cap, &f.MaxWaiting: l.MaxWaiting} {
		if said != nil {
			*to = *said
		}
	}
	return f
}

type setForm struct {
	hookName
	formLimits
}

func (setForm) Help() string {
	return "A limit of 0 is the default. Queued messages keep their cap.\n\n" + examples("posthorn hooks set contact --per-hour 50 --cap 20")
}

func (cmd *setForm) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Hooks.SetForm(ctx, cmd.Name, cmd.on); err != nil {
		return err
	}
	c.tell("Changed form %s. Every instance applies the change within %s.", cmd.Name, keyring.CacheLife)
	return nil
}

type listHooks struct{ listing }

func (listHooks) Help() string { return examples("posthorn hooks list", "posthorn hooks list --json") }

// hookRow has the same members for every hook.
type hookRow struct {
	Name    string    `json:"name"`
	Keys    []keyRow  `json:"keyUse"`
	Used    *string   `json:"lastUsed"` // without a key of its own: as lastUsed of a key
	Builtin string    `json:"builtin"`
	Check   string    `json:"check"`
	Caller  string    `json:"caller"`
	Sender  string    `json:"sender"`
	To      []string  `json:"to"`
	ToFrom  string    `json:"toFrom"`
	Paused  *pauseRow `json:"paused"`

	now time.Time
}

func (r hookRow) columns() []string {
	to := slices.Clone(r.To)
	if r.ToFrom != "" {
		to = append(to, r.ToFrom)
	}
	keys, ages, used := keyColumns(r.Keys, r.now)
	if r.Used != nil {
		used = *r.Used
	}
	return []string{r.Name, keys, ages, used, r.Builtin, r.Check, r.Caller, orDash(to), r.Paused.words()}
}

func (cmd *listHooks) Run(ctx context.Context, c *console, d deployment) error {
	list, err := d.Hooks.All(ctx)
	if err != nil {
		return err
	}
	last, err := d.Hooks.LastUses(ctx)
	if err != nil {
		return err
	}
	u := uses{last, time.Now()}
	rows := make([]hookRow, len(list))
	for i, h := range list {
		p := h.Policy
		rows[i] = hookRow{h.Name, u.keys(h.Name, h.Generations, h.Made), u.day(h.Name, 0), p.Builtin, string(p.Check), p.Caller, p.Sender, filled(p.To), p.ToFrom, pauseOf(h.Pause), u.now}
		rows[i].Paused.why(c, "Hook "+h.Name)
	}
	return show(c, cmd.listing, rows, "NAME\tVALID KEYS\tAGE\tLAST USE\tBUILT IN\tCHECKED BY\tCALLER\tTO\tPAUSED", hookRow.columns)
}

type showHook struct{ hookName }

func (showHook) Help() string { return examples("posthorn hooks show alerts") }

func (cmd *showHook) Run(ctx context.Context, c *console, d keyed) error {
	h, err := d.Hooks.Read(ctx, cmd.Name)
	if err != nil {
		return err
	}
	if err := c.details(hookDetails(h)...); err != nil {
		return err
	}
	return printAddress(c, d, h)
}

func hookDetails(h hook.Hook) (lines [][2]string) {
	p := h.Policy
	line := func(name string, words ...string) { lines = append(lines, [2]string{name, strings.Join(words, ", ")}) }
	line("name", h.Name)
	line("caller", p.Caller)
	line("built in", p.Builtin)
	line("checked by", string(p.Check))
	line("key header", p.TokenHeader)
	line("from", p.Sender)
	line("to", p.To...)
	line("cc", p.CC...)
	line("bcc", p.BCC...)
	line("to, from the payload", p.ToFrom)
	line("allowed recipients", p.Allow...)
	line("reply to", p.ReplyTo...)
	line("reply to, from the payload", p.ReplyToFrom)
	line("deduplicated by", p.Dedupe)
	line("priority", string(p.MessagePriority()))
	for _, t := range p.Tags {
		line("tag", t.Name+"="+t.Value)
	}
	if p.Form != nil {
		line("origins", p.Form.Origins...)
		line("after success", p.Form.Redirect)
		line("honeypot", p.Form.Honeypot)
		address, hour := p.Form.Rates()
		line("posts an hour", fmt.Sprintf("%d from one address, %d in total", address, hour))
		line("most queued messages", strconv.Itoa(p.Form.Waiting()))
		if p.Form.Cap > 0 {
			line("cap", strconv.Itoa(p.Form.Cap)+" %")
		}
	}
	if h.Template != (hook.Template{}) {
		line("template", "custom")
	}
	if h.Pause != nil {
		line("paused since", h.Pause.Since.Format(time.RFC3339))
		line("reason", h.Pause.Reason)
	}
	return lines
}

type pauseHook struct {
	hookName
	pauseFlags
}

func (pauseHook) Help() string {
	return examples(`posthorn hooks pause alerts --reason "The sender is in a loop."`, "posthorn hooks pause contact --refuse")
}

func (cmd *pauseHook) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Hooks.Pause(ctx, cmd.Name, cmd.Reason, cmd.Refuse); err != nil {
		return err
	}
	c.tell("Paused hook %s. Its messages stop within %s. %s Resume with \"posthorn hooks resume %s\".", cmd.Name, keyring.CacheLife, cmd.intake(), cmd.Name)
	return nil
}

type resumeHook struct{ hookName }

func (resumeHook) Help() string { return examples("posthorn hooks resume alerts") }

func (cmd *resumeHook) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Hooks.Resume(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Resumed hook %s. Its queued messages continue within %s.", cmd.Name, 2*keyring.CacheLife)
	return nil
}

type rotateHook struct {
	hookName
	SecretFile string `placeholder:"FILE" help:"File with the sender's new secret. No key is made."`
}

func (rotateHook) Help() string {
	return examples("posthorn hooks rotate alerts", "posthorn hooks rotate payments --secret-file stripe.txt")
}

func (cmd *rotateHook) Run(ctx context.Context, c *console, d keyed) error {
	if cmd.SecretFile != "" {
		return cmd.setSecret(ctx, c, d)
	}
	h, err := d.Hooks.Rotate(ctx, cmd.Name)
	if err != nil {
		return err
	}
	c.tell("Made a new key for %s. After you use the new key, end the old one with \"posthorn hooks retire %s\".", cmd.Name, cmd.Name)
	return printAddress(c, d, h)
}

// setSecret takes over what the sender signs with from now on.
func (cmd *rotateHook) setSecret(ctx context.Context, c *console, d keyed) error {
	secret, err := os.ReadFile(cmd.SecretFile)
	if err != nil {
		return err
	}
	h, err := d.Hooks.SetSecret(ctx, cmd.Name, strings.TrimSpace(string(secret)))
	if err != nil {
		return err
	}
	c.tell("Set the secret of %s. Every instance uses it within %s. The previous secret ends.", cmd.Name, keyring.CacheLife)
	return printAddress(c, d, h)
}

type retireHook struct{ hookName }

func (retireHook) Help() string { return examples("posthorn hooks retire alerts") }

func (cmd *retireHook) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Hooks.Retire(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Ended all keys of %s except the newest. Every instance refuses them within %s.", cmd.Name, keyring.CacheLife)
	return nil
}

type removeHook struct {
	hookName
	Yes bool `help:"Do not ask for confirmation."`
}

func (removeHook) Help() string { return examples("posthorn hooks remove alerts --yes") }

func (cmd *removeHook) Run(ctx context.Context, c *console, d deployment) error {
	if err := c.confirm(cmd.Yes, "Remove hook "+cmd.Name+" and its keys?"); err != nil {
		return err
	}
	if err := d.Hooks.End(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Removed hook %s. Every instance refuses its address within %s.", cmd.Name, keyring.CacheLife)
	return nil
}
