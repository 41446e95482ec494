package gateway

import (
	"context"
	"errors"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Watch sees to what a lost wake-up message, a killed process, or storage that was away has left: it
// wakes the shards on which somebody waits and which nobody serves, and ends the work on
// messages that stand in no line and whose owner has died. It is called every minute.
func (g *Gateway) Watch(ctx context.Context) error {
	return errors.Join(g.wakeAll(ctx), g.endAbandonedWork(ctx))
}

// wakeAll wakes the shards on which somebody waits and which nobody serves.
func (g *Gateway) wakeAll(ctx context.Context) error {
	heads, err := g.Spool.ListHeads(ctx)
	if err != nil {
		return err
	}
	found := [len(g.Sends)]map[int][]quota.LineView{}
	for domain := range found {
		found[domain] = map[int][]quota.LineView{}
	}
	for _, s := range heads {
		if s.Unreadable {
			g.Log.ErrorContext(ctx, "queue entry cannot be read and is skipped", "partition", s.Key.Partition, "row", s.Key.Row)
			continue
		}
		v := quota.LineView{Line: lineOf(s.Line), Waiting: 1}
		if s.Line.Later {
			v.NextDue = s.Due
		}
		if v.Held = s.Doubt != spool.NoDoubt || !s.NotBefore.IsZero(); v.Held {
			v.Look = s.NotBefore
		}
		at := found[s.Line.Domain]
		at[s.Line.Shard] = append(at[s.Line.Shard], v)
	}
	g.oldest(heads)
	var failed error
	for i, l := range g.Sends {
		domain := mail.DomainKind(i)
		if len(found[i]) == 0 && !g.Sends.used(domain) {
			continue // what it counts wrongly, its next message corrects
		}
		shards, err := l.Overdue(ctx, found[i])
		failed = errors.Join(failed, err)
		for _, shard := range shards {
			failed = errors.Join(failed, g.Spool.SendWakeUp(ctx, domain, shard, 0))
		}
	}
	return failed
}

// ownerDied is why a message failed whose owner died before anything of it was sent.
func ownerDied() *record.Failure {
	return &record.Failure{Kind: problem.Unavailable.Slug(), Detail: "The process that had the message ended before it was sent. Send it again."}
}
