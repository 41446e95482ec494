package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

type linksCommands struct {
	Revoke revokeLinks `cmd:"" help:"Withdraw all links of a message."`
}

// link is the token of a link in any form in which somebody has it.
type link string

// UnmarshalText reads the word.
func (l *link) UnmarshalText(text []byte) error {
	token, err := offload.Token(string(text))
	if err != nil {
		return errors.New(strings.TrimSuffix(problem.Of(err).Detail, "."))
	}
	*l = link(token)
	return nil
}

type revokeLinks struct {
	URL    link `arg:"" name:"url" help:"One of the links, in quotes, as somebody has it."`
	DryRun bool `help:"Say what it would withdraw, and do nothing."`
	Yes    bool `help:"Do not ask."`
}

func (revokeLinks) Help() string {
	return "Recipients then see a page that says so.\n\n" +
		examples("posthorn links revoke 'https://mail.example.com/files/20261231-abcdefghijklmnopqrstuvwxyz' --dry-run")
}

func (cmd *revokeLinks) Run(ctx context.Context, c *console, d deployment) error {
	l, err := d.Offload.Summarize(ctx, string(cmd.URL))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the links of one message (files: %d, downloads: %d, end: %s)", l.Files, l.Downloads, l.Expires.Format(time.RFC3339))
	if cmd.DryRun {
		c.tell("Withdraw %s? Nothing was done.", what)
		return nil
	}
	// Links that are withdrawn go the same way: an earlier try may have left their files.
	if !l.Revoked {
		if err := c.confirm(cmd.Yes, "Withdraw "+what+"?"); err != nil {
			return err
		}
	}
	if err := d.Offload.RevokeLinks(ctx, string(cmd.URL)); err != nil {
		return err
	}
	c.tell("Withdrew %s. An address in storage that was opened lives on for up to %.0f minutes.", what, mail.ClickSASLife.Minutes())
	return nil
}
