package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/mail"
)

type callersCommands struct {
	Add    addCaller     `cmd:"" help:"Add a caller, and print its key."`
	List   listCallers   `cmd:"" help:"List the callers."`
	Set    setCaller     `cmd:"" help:"Replace a caller's policy. Omitted flags get their defaults."`
	Pause  pauseCaller   `cmd:"" help:"Stop sending a caller's messages."`
	Resume resumeCaller  `cmd:"" help:"Resume sending a caller's messages."`
	Rotate rotateCaller  `cmd:"" help:"Print a new key. The previous key stays valid."`
	Retire retireCaller  `cmd:"" help:"End all keys of a caller except the newest."`
	Revoke revokeCaller  `cmd:"" help:"Remove a caller and all its keys."`
	Export exportCallers `cmd:"" help:"Write all callers as JSON, without secrets."`
	Import importCallers `cmd:"" help:"Import callers from exported JSON."`
}

// callerName is the one word that most commands want.
type callerName struct {
	Name string `arg:"" help:"The caller."`
}

type policyFlags struct {
	Sender          []string `required:"" sep:"none" placeholder:"ADDRESS" help:"Allowed sender: an address, *@DOMAIN or *."`
	RecipientDomain []string `sep:"none" placeholder:"DOMAIN" help:"Allowed recipient domain, or *."`
	MaxRequestBytes int64    `placeholder:"N" help:"Largest request in bytes."`
	MaxRecipients   int      `placeholder:"N" help:"Most recipients of one message."`
	MaxUploads      int      `placeholder:"N" help:"Most open uploads at once."`
	Share           int      `placeholder:"PERCENT" help:"Guaranteed part of the hourly quota."`
	Cap             int      `placeholder:"PERCENT" help:"Largest part of the hourly quota."`
	MaxWaiting      int      `placeholder:"N" help:"Most queued messages."`
	Priority        string   `placeholder:"WORD" help:"Highest priority: high, normal or bulk."`
	Sandbox         bool     `help:"Check messages, and send none."`
	RedirectTo      string   `placeholder:"ADDRESS" help:"Send all messages to this mailbox, for tests."`
	HMAC            bool     `name:"hmac" help:"Accept the HMAC signatures of ACS's SDKs."`
	EntraApp        []string `sep:"none" placeholder:"ID" help:"Entra ID application of this caller."`
	EntraObject     []string `sep:"none" placeholder:"ID" help:"Entra ID object of this caller."`
}

func (f policyFlags) policy() caller.Policy {
	return caller.Policy{
		Senders: f.Sender, RecipientDomains: f.RecipientDomain, MaxRequestBytes: f.MaxRequestBytes, MaxRecipients: f.MaxRecipients, MaxUploads: f.MaxUploads,
		Share: f.Share, Cap: f.Cap, MaxWaiting: f.MaxWaiting, Priority: mail.Priority(f.Priority), HMAC: f.HMAC, EntraApps: f.EntraApp, EntraObjects: f.EntraObject,
		Sandbox: f.Sandbox, RedirectTo: f.RedirectTo,
	}
}

type addCaller struct {
	callerName
	policyFlags
}

func (addCaller) Help() string {
	return examples(`posthorn callers add shop --sender shop@example.com --recipient-domain '*'`,
		`KEY=$(posthorn callers add shop --sender '*@example.com')`)
}

func (cmd *addCaller) Run(ctx context.Context, c *console, d keyed) error {
	secrets, err := d.Callers.Add(ctx, cmd.Name, cmd.policy())
	if err != nil {
		return err
	}
	c.tell("Added caller %s. Its key is shown only now. \"posthorn callers rotate %s\" makes a new one.", cmd.Name, cmd.Name)
	return printSecrets(c, d, secrets)
}

// printSecrets shows a key for the only time: it is kept nowhere.
func printSecrets(c *console, d keyed, s caller.Secrets) error {
	if _, err := fmt.Fprintln(c.out, s.Key); err != nil || s.AccessKey == "" {
		return err
	}
	_, err := fmt.Fprintf(c.out, "endpoint=%s/;accesskey=%s\n", d.publicURL, s.AccessKey)
	return err
}

type setCaller struct {
	callerName
	policyFlags
}

func (setCaller) Help() string {
	return examples(`posthorn callers set shop --sender '*@example.com' --recipient-domain '*' --cap 50`)
}

func (cmd *setCaller) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Callers.SetPolicy(ctx, cmd.Name, cmd.policy()); err != nil {
		return err
	}
	c.tell("Replaced the policy of %s. Every instance applies it within %s.", cmd.Name, keyring.CacheLife)
	if cmd.Sandbox {
		c.tell("Messages of %s are then checked and not sent. Its queued messages become dead letters.", cmd.Name)
	}
	return nil
}

type listCallers struct{ listing }

func (listCallers) Help() string {
	return examples("posthorn callers list", "posthorn callers list --json")
}

// callerRow has the same members for every caller.
type callerRow struct {
	Name             string    `json:"name"`
	Generations      []int64   `json:"keys"` // alive, by number
	Keys             []keyRow  `json:"keyUse"`
	TokenUsed        *string   `json:"tokenLastUsed"` // as lastUsed of a key
	Senders          []string  `json:"senders"`
	RecipientDomains []string  `json:"recipientDomains"`
	MaxRequestBytes  int64     `json:"maxRequestBytes"`
	MaxRecipients    int       `json:"maxRecipients"`
	MaxUploads       int       `json:"maxUploads"`
	Share            int       `json:"share"`
	Cap              int       `json:"cap"`
	MaxWaiting       int       `json:"maxWaiting"`
	Priority         string    `json:"priority"`
	HMAC             bool      `json:"hmac"`
	EntraApps        []string  `json:"entraApps"`
	EntraObjects     []string  `json:"entraObjects"`
	Sandbox          bool      `json:"sandbox"`
	RedirectTo       string    `json:"redirectTo"`
	Paused           *pauseRow `json:"paused"`

	now time.Time
}

func rowOf(c caller.Caller, u uses) callerRow {
	p := c.Policy
	return callerRow{
		c.Name, c.Generations, u.keys(c.Name, c.Generations, c.Made), u.day(c.Name, 0), filled(p.Senders), filled(p.RecipientDomains), p.MaxRequestBytes, p.MaxRecipients, p.MaxUploads,
		p.Share, p.Cap, p.MaxWaiting, string(p.Priority), p.HMAC, filled(p.EntraApps), filled(p.EntraObjects), p.Sandbox, p.RedirectTo, pauseOf(c.Pause), u.now,
	}
}

// filled is a list that JSON writes as one when it is empty.
func filled(list []string) []string { return append([]string{}, list...) }

func (r callerRow) columns() []string {
	var ids []string
	for _, id := range r.EntraApps {
		ids = append(ids, "app:"+id)
	}
	for _, id := range r.EntraObjects {
		ids = append(ids, "object:"+id)
	}
	keys, ages, used := keyColumns(r.Keys, r.now)
	if r.TokenUsed != nil {
		used += ",token:" + *r.TokenUsed
	}
	return []string{r.Name, keys, ages, used, orDash(r.Senders), orDash(r.RecipientDomains), r.sends(), strconv.FormatBool(r.HMAC), orDash(ids), r.Paused.words()}
}

// sends says where what the caller sends goes.
func (r callerRow) sends() string {
	switch {
	case r.Sandbox:
		return "sandbox"
	case r.RedirectTo != "":
		return "to " + r.RedirectTo
	}
	return "yes"
}

func (cmd *listCallers) Run(ctx context.Context, c *console, d deployment) error {
	list, err := d.Callers.All(ctx)
	if err != nil {
		return err
	}
	last, err := d.Callers.LastUses(ctx)
	if err != nil {
		return err
	}
	rows := make([]callerRow, len(list))
	for i := range list {
		rows[i] = rowOf(list[i], uses{last, time.Now()})
		rows[i].Paused.why(c, "Caller "+rows[i].Name)
	}
	return show(c, cmd.listing, rows, "NAME\tVALID KEYS\tAGE\tLAST USE\tSENDERS\tRECIPIENT DOMAINS\tSENDS\tHMAC\tENTRA ID\tPAUSED", callerRow.columns)
}

type pauseCaller struct {
	callerName
	pauseFlags
}

func (pauseCaller) Help() string {
	return examples(`posthorn callers pause shop --reason "Its orders go out twice."`, "posthorn callers pause shop --refuse")
}

func (cmd *pauseCaller) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Callers.Pause(ctx, cmd.Name, cmd.Reason, cmd.Refuse); err != nil {
		return err
	}
	c.tell("Paused caller %s. Its messages stop within %s. %s Resume with \"posthorn callers resume %s\".", cmd.Name, keyring.CacheLife, cmd.intake(), cmd.Name)
	return nil
}

type resumeCaller struct{ callerName }

func (resumeCaller) Help() string { return examples("posthorn callers resume shop") }

func (cmd *resumeCaller) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Callers.Resume(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Resumed caller %s. Its queued messages continue within %s.", cmd.Name, 2*keyring.CacheLife)
	return nil
}

type rotateCaller struct{ callerName }

func (rotateCaller) Help() string {
	return "The key before the previous one ends.\n\n" + examples("posthorn callers rotate shop")
}

func (cmd *rotateCaller) Run(ctx context.Context, c *console, d keyed) error {
	secrets, err := d.Callers.Rotate(ctx, cmd.Name)
	if err != nil {
		return err
	}
	c.tell("Made a new key for %s. After you use the new key, end the old one with \"posthorn callers retire %s\".", cmd.Name, cmd.Name)
	return printSecrets(c, d, secrets)
}

type retireCaller struct{ callerName }

func (retireCaller) Help() string { return examples("posthorn callers retire shop") }

func (cmd *retireCaller) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Callers.Retire(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Ended all keys of %s except the newest. Every instance refuses them within %s.", cmd.Name, keyring.CacheLife)
	return nil
}

type revokeCaller struct {
	callerName
	Drop bool `help:"Also drop its queued messages."`
	Yes  bool `help:"Do not ask for confirmation."`
}

func (revokeCaller) Help() string {
	return examples("posthorn callers revoke shop", "posthorn callers revoke shop --drop --yes")
}

// Run revokes first, so that nothing comes after what is dropped.
func (cmd *revokeCaller) Run(ctx context.Context, c *console, d deployment) error {
	waiting, err := d.selected(ctx, selection{Caller: cmd.Name})
	if err != nil {
		return err
	}
	if err := c.confirm(cmd.Yes, fmt.Sprintf("Remove caller %s and all its keys? It has %d queued messages.", cmd.Name, len(waiting))); err != nil {
		return err
	}
	if err := d.Callers.End(ctx, cmd.Name); err != nil {
		return err
	}
	c.tell("Removed caller %s. Every instance refuses its keys within %s. Queued messages that become dead letters: %d.", cmd.Name, keyring.CacheLife, len(waiting))
	switch {
	case len(waiting) > 0 && !cmd.Drop:
		c.tell("Drop them with \"posthorn messages drop --caller %s\".", cmd.Name)
		return nil
	case !cmd.Drop:
		return nil
	}
	if waiting, err = d.selected(ctx, selection{Caller: cmd.Name}); err != nil { // more may have come
		return err
	}
	return eachOf(ctx, c, waitingJob(c, "Drop", "Dropped", d.Gateway.Drop), waiting)
}

// examples are lines that can be pasted, for the help of a command.
func examples(lines ...string) string {
	return "Examples:\n\n\t" + strings.Join(lines, "\n\t")
}
