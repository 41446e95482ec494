package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// PauseSending lets no message of any caller leave: within 10 s in every process.
// Messages wait or, with refuse, are refused. reason is shown to callers. What ACS may have
// is still asked for. It may be repeated, and an error says that it must be.
func (g *Gateway) PauseSending(ctx context.Context, reason string, refuse bool) error {
	return g.Sends.each(func(l *quota.Ledger) error { return l.Pause(ctx, reason, refuse) })
}

// ResumeSending ends the pause of sending, and wakes the shards on which somebody waits: of
// what fails of that, the timer takes care. It may be repeated.
func (g *Gateway) ResumeSending(ctx context.Context) error {
	if err := g.Sends.each(func(l *quota.Ledger) error { return l.Resume(ctx) }); err != nil {
		return err
	}
	return g.Watch(ctx)
}

// Paused is the pause of sending, read anew; nil if there is none. All ledgers have the same.
func (g *Gateway) Paused(ctx context.Context) (*problem.Pause, error) {
	u, err := g.Sends[mail.CustomDomain].Overview(ctx, quota.Call{Class: quota.Normal, Cost: 1})
	return u.Pause, err
}
