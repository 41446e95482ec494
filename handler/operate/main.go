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

const about = `The operator's program of Posthorn: docs/operate.md. "posthorn connect" finds a deployment; settings in the environment go before it. See also --version.`

// program is the grammar: nouns, each with its verbs.
type program struct {
	Callers  callersCommands  `cmd:"" help:"Who may send, and as what."`
	Connect  connectCommand   `cmd:"" help:"Find the deployment in Azure that commands work on."`
	Dead     deadCommands     `cmd:"" help:"Messages that waited and were given up."`
	Doctor   doctorCommand    `cmd:"" help:"What is right, what is wrong, and what to do."`
	Domain   domainCommands   `cmd:"" help:"Domains that mail comes from."`
	Hooks    hooksCommands    `cmd:"" help:"Webhooks and forms."`
	Links    linksCommands    `cmd:"" help:"Links to files, in mails that were sent."`
	Messages messagesCommands `cmd:"" help:"Messages that wait."`
	Probe    probeCommand     `cmd:"" hidden:"" help:"What only Azure itself can answer."` // posthorn doctor --probe
	Quota    quotaCommands    `cmd:"" help:"The limits of the subscription."`
	Sender   senderCommands   `cmd:"" help:"Addresses that mail comes from."`
	Sending  sendingCommands  `cmd:"" help:"All that is sent."`
	SendTest sendTest         `cmd:"" help:"Send a test message, and follow it to its end."`
	SMTP     smtpCommands     `cmd:"" name:"smtp-username" help:"Who can send by SMTP."`
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
	parser.Model.HelpFlag.Help = "Show this."
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
