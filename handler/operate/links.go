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
	Revoke revokeLinks `cmd:"" help:"Revoke all links of a message."`
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
	URL    link `arg:"" name:"url" help:"One of the links, in quotes."`
	DryRun bool `help:"Say what would be revoked, and revoke nothing."`
	Yes    bool `help:"Do not ask for confirmation."`
}

func (revokeLinks) Help() string {
	return "A revoked link shows a page that says so.\n\n" +
		examples("posthorn links revoke 'https://mail.example.com/files/20261231-abcdefghijklmnopqrstuvwxyz' --dry-run")
}

func (cmd *revokeLinks) Run(ctx context.Context, c *console, d deployment) error {
	l, err := d.Offload.Summarize(ctx, string(cmd.URL))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the links of one message (files: %d, downloads: %d, expiry: %s)", l.Files, l.Downloads, l.Expires.Format(time.RFC3339))
	if cmd.DryRun {
		c.tell("Revoke %s? Nothing was done.", what)
		return nil
	}
	// Links that are withdrawn go the same way: an earlier try may have left their files.
	if !l.Revoked {
		if err := c.confirm(cmd.Yes, "Revoke "+what+"?"); err != nil {
			return err
		}
	}
	if err := d.Offload.RevokeLinks(ctx, string(cmd.URL)); err != nil {
		return err
	}
	c.tell("Revoked %s. A storage address behind a link stays valid for up to %.0f minutes after a click.", what, mail.ClickSASLife.Minutes())
	return nil
}
