package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

const usage = `usage: handler                     serve, as the Functions host does
       handler callers add NAME --sender ADDRESS [--sender ...] [--recipient-domain DOMAIN ...]
                               [--max-request-bytes N] [--max-recipients N] [--hmac]
                               [--share PERCENT] [--cap PERCENT] [--priority high|normal|bulk]
                               [--entra-app ID ...] [--entra-object ID ...]
       handler callers set NAME --sender ADDRESS ...   the whole policy anew; its keys stay
       handler callers list
       handler callers rotate NAME    a new key; the one before it stays alive
       handler callers retire NAME    end the older key
       handler callers revoke NAME    end the caller and all its keys
       handler links revoke URL       withdraw a link to an attachment
       handler dead list              what waited and could not be sent
       handler dead show ID           why, and what it was
       handler dead retry ID          put it back at the end of its line
       handler dead drop ID           forget it, and withdraw its links
` + hooksUsage + `

--sender and --recipient-domain may be repeated; '*' allows all, '*@DOMAIN' every
sender of a domain. --entra-app and --entra-object let tokens of an application or
of an object (a managed identity, say) stand for the caller. The settings are those of the
environment: see docs/settings.md.`

// operate runs one command of the operator.
func operate(ctx context.Context, args, environ []string, out io.Writer) error {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
		_, err := fmt.Fprintln(out, usage)
		return err
	}
	if len(args) < 2 {
		return errors.New("which command?\n" + usage)
	}
	if rendersOnly(args) {
		return plain(renderOnly(ctx, args[1], args[2:], out))
	}
	s, err := settings.Load(environ)
	if err != nil {
		return err
	}
	app, err := wiring.New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	switch args[0] {
	case "dead":
		return plain(operateDead(ctx, app.Gateway, args[1:], out))
	case "hooks":
		return plain(operateHooks(ctx, app, s.PublicURL, args[1], args[2:], out))
	}
	switch args[0] + " " + args[1] {
	case "callers add":
		err = addCaller(ctx, app.Callers, s.PublicURL, args[2:], out)
	case "callers set":
		err = setPolicy(ctx, app.Callers, args[2:])
	case "callers list":
		err = listCallers(ctx, app.Callers, out)
	case "callers rotate":
		err = withName(args[2:], func(name string) error {
			secrets, err := app.Callers.Rotate(ctx, name)
			if err != nil {
				return err
			}
			return printSecrets(out, s.PublicURL, secrets)
		})
	case "callers retire":
		err = withName(args[2:], func(name string) error { return app.Callers.Retire(ctx, name) })
	case "callers revoke":
		err = withName(args[2:], func(name string) error { return app.Callers.Revoke(ctx, name) })
	case "links revoke":
		err = withName(args[2:], func(link string) error {
			return app.Offload.Revoke(ctx, link[strings.LastIndexByte(link, '/')+1:])
		})
	default:
		return errors.New("there is no such command\n" + usage)
	}
	return plain(err)
}

// plain keeps of a problem the sentence for people and its cause.
func plain(err error) error {
	if err == nil {
		return nil
	}
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok {
		return err
	}
	if inner := errors.Unwrap(p); inner != nil {
		return fmt.Errorf("%s (%w)", p.Detail, inner)
	}
	return errors.New(p.Detail)
}

func withName(args []string, f func(string) error) error {
	if len(args) != 1 {
		return errors.New("one name is needed\n" + usage)
	}
	return f(args[0])
}

func addCaller(ctx context.Context, callers *caller.Registry, publicURL string, args []string, out io.Writer) error {
	name, p, err := nameAndPolicy(args)
	if err != nil {
		return err
	}
	secrets, err := callers.Add(ctx, name, p)
	if err != nil {
		return err
	}
	return printSecrets(out, publicURL, secrets)
}

func setPolicy(ctx context.Context, callers *caller.Registry, args []string) error {
	name, p, err := nameAndPolicy(args)
	if err != nil {
		return err
	}
	return callers.SetPolicy(ctx, name, p)
}

func nameAndPolicy(args []string) (name string, p caller.Policy, err error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return "", p, errors.New("one name is needed\n" + usage)
	}
	flags := flag.NewFlagSet("callers", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	list := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, v); return nil }
	}
	flags.Func("sender", "address that the caller may send from", list(&p.Senders))
	flags.Func("recipient-domain", "domain that the caller may write to", list(&p.RecipientDomains))
	flags.Int64Var(&p.MaxRequestBytes, "max-request-bytes", 0, "largest request")
	flags.IntVar(&p.MaxRecipients, "max-recipients", 0, "most recipients of a message")
	flags.IntVar(&p.Share, "share", 0, "part of the quota that the caller gets before others get more, in percent")
	flags.IntVar(&p.Cap, "cap", 0, "part of the hourly quota that the caller never passes, in percent")
	flags.Func("priority", "the most urgent that its messages may have", func(v string) error { p.Priority = mail.Priority(v); return nil })
	flags.BoolVar(&p.HMAC, "hmac", false, "let the caller sign as ACS's SDKs do")
	flags.Func("entra-app", "application id whose tokens stand for the caller", list(&p.EntraApps))
	flags.Func("entra-object", "object id whose tokens stand for the caller", list(&p.EntraObjects))
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return "", p, fmt.Errorf("the flags are not right: %w\n%s", errors.Join(err, unexpected(flags.Args())), usage)
	}
	if len(p.Senders) == 0 {
		return "", p, errors.New("a caller needs at least one --sender")
	}
	return args[0], p, nil
}

func unexpected(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q was not expected", args[0])
}

// printSecrets shows a key for the only time: it is kept nowhere.
func printSecrets(out io.Writer, publicURL string, s caller.Secrets) error {
	if _, err := fmt.Fprintln(out, s.Key); err != nil || s.AccessKey == "" {
		return err
	}
	_, err := fmt.Fprintf(out, "endpoint=%s/;accesskey=%s\n", publicURL, s.AccessKey)
	return err
}

func listCallers(ctx context.Context, callers *caller.Registry, out io.Writer) error {
	list, err := callers.Callers(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKEYS ALIVE\tSENDERS\tRECIPIENT DOMAINS\tHMAC\tENTRA ID")
	for _, c := range list {
		generations := strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Generations), " ", ","), "[]")
		domains := strings.Join(c.Policy.RecipientDomains, ",")
		if domains == "" {
			domains = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%t\t%s\n", c.Name, generations, strings.Join(c.Policy.Senders, ","), domains, c.Policy.HMAC, identities(c.Policy))
	}
	return w.Flush()
}

// identities are those of Entra ID that stand for a caller, or a dash.
func identities(p caller.Policy) string {
	var all []string
	for _, id := range p.EntraApps {
		all = append(all, "app:"+id)
	}
	for _, id := range p.EntraObjects {
		all = append(all, "object:"+id)
	}
	if all == nil {
		return "-"
	}
	return strings.Join(all, ",")
}
