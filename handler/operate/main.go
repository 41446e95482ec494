// Command posthorn is the operator's own program: callers, hooks and the messages
// that wait, and all that is set up in Azure. In: words, and the settings of the
// deployment, which are those of the handler, in the environment or as "posthorn
// connect" has found them (docs/operate.md). Out: data on standard output, what was
// done and what went wrong on standard error, and an exit code that scripts can read.
//
// It works on the deployment's storage with the operator's own rights in Azure, beside
// the handlers that run there; no route of the gateway serves it. Words are read before
// settings, so help and mistakes need neither. It decides nothing: the packages that
// the handler is made of do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/version"
)

// The exit codes, beside 0.
const (
	exitFailed   = 1
	exitUsage    = 2 // the words could not be read, and nothing was tried
	exitNotFound = 3
	exitAway     = 4 // Azure or storage gives no answer, or refuses
)

const about = `Posthorn's program for operators. "posthorn connect" finds a deployment. Settings in the environment override it. --version prints the version. docs/operate.md has more.`

// program is the grammar: nouns, each with its verbs.
type program struct {
	Callers  callersCommands  `cmd:"" help:"Manage callers: their keys, policies and pauses."`
	Connect  connectCommand   `cmd:"" help:"Choose the deployment in Azure that commands work on."`
	Dead     deadCommands     `cmd:"" help:"Manage dead letters: messages that Posthorn gave up."`
	Doctor   doctorCommand    `cmd:"" help:"Check a deployment, and say what to correct."`
	Domain   domainCommands   `cmd:"" help:"Manage domains that mail comes from."`
	Hooks    hooksCommands    `cmd:"" help:"Manage webhooks and forms."`
	Links    linksCommands    `cmd:"" help:"Manage links to files in sent mail."`
	Messages messagesCommands `cmd:"" help:"Manage queued messages."`
	Probe    probeCommand     `cmd:"" hidden:"" help:"Ask Azure what its documentation does not say."` // posthorn doctor --probe
	Quota    quotaCommands    `cmd:"" help:"Show the sending limits, and request higher ones."`
	Sender   senderCommands   `cmd:"" help:"Manage addresses that mail comes from."`
	Sending  sendingCommands  `cmd:"" help:"Show, pause and resume all sending."`
	SendTest sendTest         `cmd:"" help:"Send a test message, and report its outcome."`
	SMTP     smtpCommands     `cmd:"" name:"smtp-username" help:"List usernames that can send by SMTP."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends what a first one waits for
	code := run(ctx, os.Args[1:], &console{
		environ: os.Environ(), in: os.Stdin, out: os.Stdout, said: os.Stderr,
		person: isTerminal(os.Stdin), colour: isTerminal(os.Stdout) && colours(os.Environ()),
		arm: azure.Default, sleep: sleep, now: time.Now,
	})
	stop()
	os.Exit(code)
}

// run reads words and does what they say.
func run(ctx context.Context, args []string, c *console) (code int) {
	seen := *c
	seen.out, seen.said = visible{c.out, c.colour}, visible{c.said, c.colour}
	c = &seen
	if len(args) == 0 {
		args = []string{"help"}
	}
	if args[0] == "--version" {
		fmt.Fprintln(c.out, "posthorn", version.String())
		return 0
	}
	if args[0] == "help" {
		args = append(args[1:], "--help")
	}
	args = probing(args)
	helped := false
	parser := kong.Must(&program{}, kong.Name("posthorn"), kong.Description(about), kong.Writers(c.out, c.said),
		kong.Help(brief), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Exit(func(int) { helped = true }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(c), kong.BindToProvider(c.open), kong.BindToProvider(c.cloud),
		kong.BindToProvider(func() (keyed, error) { return c.openKeyed(ctx) }))
	parser.Model.HelpFlag.Help = "Show this help."
	command, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err == nil {
		err = command.Run()
	}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		c.tell("%s", mistake(wrong))
		return exitUsage
	}
	return c.failed(err)
}
