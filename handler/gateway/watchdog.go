package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// orphanAge is how old a message without a row must be before it counts as left
// behind: longer than any request is at work.
const orphanAge = 2 * record.OwnerLife

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
	found := map[int][]quota.LineView{}
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
		found[s.Line.Shard] = append(found[s.Line.Shard], v)
	}
	g.oldest(heads)
	shards, err := g.Sends.Overdue(ctx, found)
	if err != nil {
		return err
	}
	var failed []error
	for _, shard := range shards {
		failed = append(failed, g.Spool.SendWakeUp(ctx, shard, 0))
	}
	return errors.Join(failed...)
}

// CleanUp removes what has outlived its time: files behind links, uploads that no
// message named, messages that were left behind, old records, and what could not
// be sent and nobody looked at. It may be repeated at will, and is called every
// hour.
func (g *Gateway) CleanUp(ctx context.Context) error {
	now, err := g.Records.Time(ctx)
	if err != nil {
		return err
	}
	files, filesErr := g.Offload.CleanUp(ctx)
	orphans := 0
	orphanErr := g.Spool.FindOrphans(ctx, now.Add(-orphanAge), func(ctx context.Context, k store.Key) error {
		orphans++
		return g.removeOrphan(ctx, k)
	})
	dead, deadErr := g.Spool.ExpireDeadLetters(ctx, now)
	hour := int(now.Unix()/int64(time.Hour/time.Second)) % record.CleanUpSlices
	records, recordErr := g.Records.CleanUp(ctx, hour)
	g.Log.InfoContext(ctx, "clean-up done", "attachments", files, "messages", orphans, "dead_letters", dead, "records", records)
	return errors.Join(filesErr, orphanErr, deadErr, recordErr)
}

// removeOrphan removes a message without a row. Its request died before it was sent, so its id is
// free again; or its message has ended.
func (g *Gateway) removeOrphan(ctx context.Context, k store.Key) error {
	message, found, err := g.Spool.ReadBlob(ctx, k)
	if !found && err == nil {
		return nil
	}
	if err != nil && !problem.Is(err, problem.Internal) {
		return err
	}
	if err == nil {
		kept, restoreErr := record.Restore(message.Record, "")
		if restoreErr == nil {
			err = g.releaseOrphan(ctx, kept, k)
		}
		if err != nil {
			return err
		}
	}
	return g.Spool.DeleteBlob(ctx, k)
}

func (g *Gateway) releaseOrphan(ctx context.Context, kept *record.Record, k store.Key) error {
	rec, err := g.Records.Read(ctx, kept.Caller, kept.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil
	case err != nil:
		return err
	case rec.Spooled != k || rec.State != record.Waiting:
		return nil
	case !g.Records.Abandoned(rec):
		return problem.New(problem.InProgress, "A message that waits is being taken care of.")
	}
	return g.Records.Refuse(ctx, rec, ownerDied())
}

// ownerDied is why a message failed whose owner died before anything of it was sent.
func ownerDied() *record.Failure {
	return &record.Failure{Kind: problem.Unavailable.Slug(), Detail: "The process that had the message ended before it was sent. Send it again."}
}
