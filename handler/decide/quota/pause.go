package quota

import (
	"context"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
)

// Pause lets nothing go any more, in any process, once it returns, but for tokens that
// were reserved before: those are burnt within MaxAge. Messages go on joining their lines
// or, with refuse, are refused. reason is shown to callers. A ledger that is paused gets
// the new reason. It may be repeated. Errors are InvalidRequest, and Unavailable: the
// ledger may then be paused in part, so repeat it.
func (l *Ledger) Pause(ctx context.Context, reason string, refuse bool) error {
	pause, err := problem.NewPause(reason, refuse, l.now())
	if err != nil {
		return err
	}
	return l.setPause(ctx, pause)
}

// Resume ends a pause, if there is one. The ledger counts on no wake-up message then: who
// resumes wakes all shards, as gateway.ResumeSending does, or the timer will. It may be
// repeated. An error is Unavailable: the ledger may then be paused in part, so repeat it.
func (l *Ledger) Resume(ctx context.Context) error { return l.setPause(ctx, nil) }

// setPause writes every row. If the ledger moves meanwhile, its new rows are paused if any
// of the old ones was.
func (l *Ledger) setPause(ctx context.Context, pause *problem.Pause) error {
	l.prefetched.drop()
	return l.rows.Every(ctx, func(shard int) error {
		return l.change(ctx, shard, false, func(d *window.Draft) error {
			d.SetPause(pause)
			return nil
		})
	})
}
