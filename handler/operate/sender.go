package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/operate/azure"
)

type senderCommands struct {
	Add    addSender    `cmd:"" help:"Add a sender address and its display name."`
	List   listSenders  `cmd:"" help:"List the sender addresses."`
	Remove removeSender `cmd:"" help:"Remove a sender address."`
}

// theOnlySender is the username that every domain has, and a managed domain alone.
// Source: learn.microsoft.com/azure/communication-services/quickstarts/email/add-multiple-senders.
const theOnlySender = "DoNotReply"

type senderAddress struct {
	Address string `arg:"" help:"Address, without a display name."`
	DryRun  bool   `help:"Say what would change, and change nothing."`
}

// senderAt is an address with its domain, and what Azure has of it.
type senderAt struct {
	address, username string
	domain            sendingDomain
	there             *azure.Sender // nil: not there
}

// resource is the name of the existing resource, or the username if there is none.
func (s senderAt) resource() string {
	if s.there != nil {
		return s.there.ID.Name()
	}
	return s.username
}

func (a senderAddress) find(ctx context.Context, c *console, cl cloud) (s senderAt, err error) {
	if s.address, err = mail.Mailbox(a.Address); err != nil {
		return s, usageError(fmt.Sprintf("%q is no address: %s. Put a display name behind --name.", a.Address, err))
	}
	username, domain, _ := strings.Cut(s.address, "@")
	s.username = username
	all, err := cl.sendingDomains(ctx, c)
	if err != nil {
		return s, err
	}
	if s.domain, err = named(all, domain); err != nil {
		return s, err
	}
	senders, err := cl.Senders(ctx, s.domain.ID)
	if i := slices.IndexFunc(senders, func(x azure.Sender) bool { return strings.EqualFold(x.Properties.Username, username) }); i >= 0 {
		s.there = &senders[i]
	}
	return s, err
}

type addSender struct {
	senderAddress
	Name string `placeholder:"DISPLAY" help:"Display name of the address."`
}

func (addSender) Help() string {
	return "An existing address keeps its display name unless --name sets another.\n\n" +
		examples(`posthorn sender add shop@example.com --name "The Shop"`, "posthorn sender add shop@example.com --dry-run")
}

func (cmd *addSender) Run(ctx context.Context, c *console, cl cloud) error {
	if err := displayName(cmd.Name); err != nil {
		return err
	}
	s, err := cmd.find(ctx, c, cl)
	if err != nil {
		return err
	}
	isDefault := strings.EqualFold(s.username, theOnlySender)
	switch {
	case s.there != nil && (cmd.Name == "" || cmd.Name == s.there.Properties.DisplayName), s.there == nil && isDefault && cmd.Name == "":
		c.tell("%s exists already.", s.address)
		return unlinkedSender(c, s)
	case s.domain.Managed() && !isDefault:
		return fmt.Errorf("the domain %s is Azure-managed, and sends only as %s@%s. Add your own domain: \"posthorn domain add NAME\"", s.domain.Sends(), theOnlySender, s.domain.Sends())
	case cmd.DryRun:
		c.tell("Would %s %s%s. Nothing was done.", s.verb(), s.address, namedAs(cmd.Name))
		return nil
	}
	if err := cl.SetSender(ctx, s.domain.ID, s.resource(), cmd.Name); err != nil {
		return s.refusal(err)
	}
	c.tell("Done: %s %s%s. Allow a caller to use it with \"posthorn callers set NAME --sender %s\".", s.verb(), s.address, namedAs(cmd.Name), s.address)
	return unlinkedSender(c, s)
}

// refusal says why ACS takes no sender. Azure documents no code; these have been seen:
// github.com/MicrosoftDocs/azure-docs issue 121029.
func (s senderAt) refusal(err error) error {
	fault, ok := errors.AsType[*azure.Error](err)
	if !ok || fault.Action != "" || !slices.Contains([]string{"PreconditionFailed", "ResourceCreationFailed", "Forbidden"}, fault.Code) {
		return err
	}
	domain := s.domain.Sends()
	var why string
	switch {
	case s.domain.Managed():
		why = "The domain is Azure-managed, and Azure sets its sender."
	case !s.domain.Verified():
		why = fmt.Sprintf("The domain is not verified: run \"posthorn domain verify %s\" first.", domain)
	default:
		why = fmt.Sprintf("%s sends only as %s@%s until Microsoft raises the subscription's quota. \"posthorn quota report\" writes the request.", domain, theOnlySender, domain)
	}
	return errors.New(err.Error() + ". " + why)
}

// verb is what add does.
func (s senderAt) verb() string {
	if s.there != nil {
		return "rename"
	}
	return "add"
}

func namedAs(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" as %q", name)
}

func unlinkedSender(c *console, s senderAt) error {
	if !s.domain.linked {
		c.tell("The domain %s is not linked, so nothing can be sent from it. Run \"posthorn domain link %s\".", s.domain.Sends(), s.domain.Sends())
	}
	return nil
}

// displayName refuses what no header of a message can have. Azure documents no rule.
func displayName(name string) error {
	if err := mail.Line(name); err != nil {
		return usageError("--name: " + err.Error() + ".")
	}
	if len(name) > mail.MaxDisplayNameBytes {
		return usageError(fmt.Sprintf("--name: a display name has at most %d bytes.", mail.MaxDisplayNameBytes))
	}
	if strings.ContainsAny(name, "<>@") || strings.TrimSpace(name) != name {
		return usageError("--name: a display name has no @, no angle brackets, and no blank at an end.")
	}
	return nil
}

type listSenders struct {
	Domain string `arg:"" optional:"" help:"Only senders of this domain."`
	listing
}

func (listSenders) Help() string {
	return examples("posthorn sender list", "posthorn sender list example.com --json")
}

type senderRow struct {
	Domain  string `json:"domain"`
	Address string `json:"address"`
	Name    string `json:"displayName"`
	Linked  bool   `json:"linked"` // without it nothing can be sent
}

func (cmd *listSenders) Run(ctx context.Context, c *console, cl cloud) error {
	all, err := cl.sendingDomains(ctx, c)
	if err != nil {
		return err
	}
	if cmd.Domain != "" {
		one, err := named(all, cmd.Domain)
		if err != nil {
			return err
		}
		all = []sendingDomain{one}
	}
	all = slices.DeleteFunc(all, func(d sendingDomain) bool { return d.hidden })
	var rows []senderRow
	for i := range all {
		senders, err := cl.Senders(ctx, all[i].ID)
		if err != nil {
			return err
		}
		for _, s := range senders {
			domain := all[i].Sends()
			rows = append(rows, senderRow{domain, s.Properties.Username + "@" + domain, s.Properties.DisplayName, all[i].linked})
		}
	}
	return show(c, cmd.listing, rows, "DOMAIN\tADDRESS\tDISPLAY NAME\tLINKED", func(r senderRow) []string {
		return []string{r.Domain, r.Address, cmp.Or(r.Name, "-"), yesOrNo(r.Linked)}
	})
}

type removeSender struct {
	senderAddress
	Yes bool `help:"Do not ask for confirmation."`
}

func (removeSender) Help() string {
	return "The command names the callers and hooks that still use the address.\n\n" +
		examples("posthorn sender remove shop@example.com --dry-run", "posthorn sender remove shop@example.com --yes")
}

func (cmd *removeSender) Run(ctx context.Context, c *console, cl cloud) error {
	s, err := cmd.find(ctx, c, cl)
	if err != nil {
		return err
	}
	if s.there == nil {
		return &azure.Error{What: "find the sender " + s.address, Kind: azure.NotFound, Message: "the domain has no such sender"}
	}
	question := fmt.Sprintf("Remove the sender %s? ACS then refuses mail from it.", s.address)
	users, err := senderUsers(ctx, c, s.address)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		c.tell("The callers and hooks that use %s are not known: %s.", s.address, firstLine(err))
	case len(users) > 0:
		question += " Still used by " + strings.Join(users, ", ") + "."
	}
	if cmd.DryRun {
		c.tell("%s Nothing was done.", question)
		return nil
	}
	if err := c.confirm(cmd.Yes, question); err != nil {
		return err
	}
	if err := cl.RemoveSender(ctx, s.domain.ID, s.resource()); err != nil {
		return err
	}
	c.tell("Removed sender %s.", s.address)
	if len(users) > 0 {
		c.tell("Still used by %s. Their messages are refused now.", strings.Join(users, ", "))
	}
	return nil
}

// senderUsers are the callers and hooks that name an address.
func senderUsers(ctx context.Context, c *console, address string) (users []string, err error) {
	d, err := c.open()
	if err != nil {
		return nil, err
	}
	callers, err := d.Callers.All(ctx)
	if err != nil {
		return nil, err
	}
	for i := range callers {
		if slices.ContainsFunc(callers[i].Policy.Senders, func(s string) bool { return strings.EqualFold(s, address) }) {
			users = append(users, "caller "+callers[i].Name)
		}
	}
	hooks, err := d.Hooks.All(ctx)
	for i := range hooks {
		if strings.EqualFold(hooks[i].Policy.Sender, address) {
			users = append(users, "hook "+hooks[i].Name)
		}
	}
	return users, err
}

// firstLine is the beginning of a long error, such as a list of missing settings.
func firstLine(err error) string {
	line, _, more := strings.Cut(sentence(err), "\n")
	if more {
		line += ", and more"
	}
	return strings.TrimSuffix(line, ".")
}
