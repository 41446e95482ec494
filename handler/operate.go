package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

const usage = `usage: handler                     serve, as the Functions host does
       handler links revoke URL       withdraw a link to an attachment
       handler dead list              what waited and could not be sent
       handler dead show ID           why, and what it was
       handler dead retry ID          put it back at the end of its line
       handler dead drop ID           forget it, and withdraw its links

The settings are those of the environment: see docs/settings.md. The program posthorn
has the commands for callers, hooks and what waits: see docs/operate.md.`

// operate runs one command of the operator.
func operate(ctx context.Context, args, environ []string, out io.Writer) error {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
		_, err := fmt.Fprintln(out, usage)
		return err
	}
	if len(args) < 2 || args[0] != "dead" && args[0] != "links" {
		return errors.New("there is no such command\n" + usage)
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
	if args[0] == "dead" {
		return plain(operateDead(ctx, app.Gateway, args[1:], out))
	}
	if len(args) != 3 || args[1] != "revoke" {
		return errors.New("one link is needed\n" + usage)
	}
	token, err := offload.Token(args[2])
	if err != nil {
		return plain(err)
	}
	return plain(app.Offload.Revoke(ctx, token))
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
