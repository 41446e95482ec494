package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

type sendingCommands struct {
	Show   showSending   `cmd:"" help:"Show the limits, the remaining quota, and a pause."`
	Pause  pauseSending  `cmd:"" help:"Stop all sending."`
	Resume resumeSending `cmd:"" help:"Resume all sending."`
}

// pauseFlags are those of every pause.
type pauseFlags struct {
	Reason string `placeholder:"TEXT" help:"Reason in one line. Callers see it."`
	Refuse bool   `help:"Refuse new messages instead of queueing them."`
}

func (f pauseFlags) intake() string {
	if f.Refuse {
		return "New messages are refused."
	}
	return "New messages are queued."
}

// pauseRow is a pause as a list tells it.
type pauseRow struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Refuse bool      `json:"refuse"`
	Auto   bool      `json:"auto"` // by Posthorn itself
}

func pauseOf(p *problem.Pause) *pauseRow {
	if p == nil {
		return nil
	}
	return &pauseRow{p.Reason, p.Since, p.Refuse, p.Auto}
}

// why tells in a list why something is paused, if it is.
func (p *pauseRow) why(c *console, what string) {
	if p != nil {
		c.tell("%s has been paused since %s: %s", what, p.Since.Format(time.RFC3339), cmp.Or(p.Reason, "no reason was given."))
	}
}

func (p *pauseRow) words() string {
	switch {
	case p == nil:
		return "no"
	case p.Auto:
		return "by Posthorn"
	case p.Refuse:
		return "refuses"
	}
	return "yes"
}

type showSending struct{}

func (showSending) Help() string { return examples("posthorn sending show") }

func (showSending) Run(ctx context.Context, c *console, d deployment) error {
	u, err := d.Gateway.Usage(ctx, mail.CustomDomain, caller.Caller{})
	if err != nil {
		return err
	}
	managed, err := d.Gateway.Usage(ctx, mail.ManagedDomain, caller.Caller{})
	if err != nil {
		return err
	}
	lines := [][2]string{
		{"paused", pauseOf(u.Pause).words()},
		{"messages waiting for quota", strconv.Itoa(u.WaitingAll + managed.WaitingAll)},
		{"left of this minute", fmt.Sprintf("%d of %d", u.RemainingMinute, u.Limits.PerMinute)},
		{"left of this hour", fmt.Sprintf("%d of %d", u.RemainingHour, u.Limits.PerHour)},
	}
	if managed.WaitingAll > 0 || managed.RemainingHour < managed.Limits.PerHour {
		lines = append(lines, ofManaged("left of this minute", managed.RemainingMinute, managed.Limits.PerMinute),
			ofManaged("left of this hour", managed.RemainingHour, managed.Limits.PerHour))
	}
	if p := u.Pause; p != nil {
		lines = append(lines, [2]string{"since", p.Since.Format(time.RFC3339)}, [2]string{"reason", p.Reason})
	}
	return c.details(lines...)
}

type pauseSending struct{ pauseFlags }

func (pauseSending) Help() string {
	return examples(`posthorn sending pause --reason "The template of all shops is wrong."`, "posthorn sending pause --refuse")
}

func (cmd *pauseSending) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Gateway.PauseSending(ctx, cmd.Reason, cmd.Refuse); err != nil {
		return err
	}
	c.tell("Paused all sending. Messages stop within 10s. %s Resume with \"posthorn sending resume\".", cmd.intake())
	return nil
}

type resumeSending struct{}

func (resumeSending) Help() string { return examples("posthorn sending resume") }

func (resumeSending) Run(ctx context.Context, c *console, d deployment) error {
	if err := d.Gateway.ResumeSending(ctx); err != nil {
		return err
	}
	c.tell("Resumed sending. Paused callers stay paused.")
	return nil
}
