package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
)

const (
	// orphanAge is how old a message without a row must be before it counts as left
	// behind: longer than any request is at work.
	orphanAge = 2 * record.OwnerLife
	// cleanUpShare is the time of each part of the clean-up. All parts together are done
	// before the call of the timer ends. A part that is not done goes on by a wake-up message.
	cleanUpShare = 25 * time.Second
	// cleanUpTime is that of a part that goes on.
	cleanUpTime = 3 * time.Minute
)

// cleanUpPart is a part of the clean-up. It goes on behind a marker, empty to begin, until
// its context is about to end.
type cleanUpPart struct {
	name string
	run  func(ctx context.Context, marker string) (expire.Result, error)
}

// cleanUpParts are what has its own life each.
func (g *Gateway) cleanUpParts() []cleanUpPart {
	return []cleanUpPart{
		{"days", func(ctx context.Context, _ string) (expire.Result, error) { return g.Records.CleanUpDays(ctx) }},
		{"index", g.cleanUpIndex},
		{"records", func(ctx context.Context, marker string) (expire.Result, error) {
			return g.Records.CleanUp(ctx, marker, g.CleanUpBeside)
		}},
		{"attachments", func(ctx context.Context, marker string) (expire.Result, error) {
			return g.Offload.CleanUp(ctx, marker, g.CleanUpBeside)
		}},
		{"messages", g.cleanUpOrphans},
		{"dead_letters", g.cleanUpDeadLetters},
	}
}

// CleanUp removes what has outlived its time: old records, files behind links, uploads that
// no message named, messages that were left behind, and dead letters that nobody looked at.
// It may be repeated at will, and is called every hour. Each part has its own share of the
// time, so that none waits for another.
func (g *Gateway) CleanUp(ctx context.Context) error {
	var done []any
	var failed []error
	for _, part := range g.cleanUpParts() {
		result, err := g.cleanUpPart(ctx, part, "", cleanUpShare)
		done, failed = append(done, part.name, result.Removed), append(failed, err)
	}
	g.Log.InfoContext(ctx, "clean-up done", done...)
	return errors.Join(failed...)
}

// cleanUpPart does a part for a time, and sends a wake-up message if it is not done then.
func (g *Gateway) cleanUpPart(ctx context.Context, part cleanUpPart, marker string, time time.Duration) (expire.Result, error) {
	timed, cancel := context.WithTimeout(ctx, time+expire.Grace)
	defer cancel()
	result, err := part.run(timed, marker)
	g.noteOverdue(part.name, result.Oldest)
	if result.Next == "" {
		return result, err
	}
	text := store.JSON(cleanUpMark{part.name, result.Next})
	if sendErr := g.Spool.SendCleanUp(ctx, string(text)); sendErr != nil {
		result.Next, err = "", errors.Join(err, sendErr)
	}
	return result, err
}

// cleanUpMark says in a wake-up message where a part of the clean-up goes on.
type cleanUpMark struct {
	Part string `json:"part"`
	From string `json:"from"`
}

// GoOnCleaningUp goes on with the part of the clean-up that a wake-up message names.
func (g *Gateway) GoOnCleaningUp(ctx context.Context, text string) error {
	var mark cleanUpMark
	if err := json.Unmarshal([]byte(text), &mark); err != nil {
		return problem.Wrap(problem.InvalidRequest, "A wake-up message of the clean-up cannot be read.", err)
	}
	for _, part := range g.cleanUpParts() {
		if part.name != mark.Part {
			continue
		}
		result, err := g.cleanUpPart(ctx, part, mark.From, cleanUpTime)
		g.Log.InfoContext(ctx, "clean-up went on", part.name, result.Removed, "done", result.Next == "")
		if err != nil && result.Next != "" { // another wake-up message goes on, so this one must not come again
			g.Log.WarnContext(ctx, "clean-up could not remove everything, will retry", "part", part.name, "error", err)
			return nil
		}
		return err
	}
	return problem.New(problem.InvalidRequest, "A wake-up message names no part of the clean-up.")
}

// cleanUpIndex drops the index of days that are over.
func (g *Gateway) cleanUpIndex(ctx context.Context, _ string) (expire.Result, error) {
	now, err := g.Records.Time(ctx)
	if err != nil || g.History == nil {
		return expire.Result{}, err
	}
	return g.History.CleanUp(ctx, now)
}

// cleanUpOrphans removes messages that were left behind.
func (g *Gateway) cleanUpOrphans(ctx context.Context, marker string) (result expire.Result, err error) {
	now, err := g.Records.Time(ctx)
	if err != nil {
		return result, err
	}
	result.Next, err = g.Spool.FindOrphans(ctx, now.Add(-orphanAge), marker, func(ctx context.Context, k store.Key) error {
		result.Removed++
		return g.removeOrphan(ctx, k)
	})
	return result, err
}

// cleanUpDeadLetters discards dead letters that nobody looked at. The oldest go first, so
// that another call goes on by itself.
func (g *Gateway) cleanUpDeadLetters(ctx context.Context, _ string) (result expire.Result, err error) {
	now, err := g.Records.Time(ctx)
	if err == nil {
		result.Removed, err = g.Spool.ExpireDeadLetters(ctx, now)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return expire.Result{Removed: result.Removed, Next: "oldest"}, nil
	}
	return result, err
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
