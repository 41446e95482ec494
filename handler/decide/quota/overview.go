package quota

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
)

// Stats are what this process did, and what it last saw.
type Stats struct {
	// Reads and Writes of rows, and Conflicts: writes that others overtook or whose
	// answer was an error.
	Reads, Writes, Conflicts int64
	// Reserved are the direct calls that got a grant, Refused those that were over
	// quota, Joined those that went to wait, Taken those that waited and were served.
	Reserved, Refused, Joined, Taken int64
	// Backoffs are the 429s that were told.
	Backoffs int64
	// Waiting are the messages that wait for room.
	Waiting int
	// Drain is how long that will probably take, 0 if nothing waits.
	Drain time.Duration
	// Lost is the part of the limits, of 1,000, that others seem to use.
	Lost int
}

// Stats asks storage for nothing.
func (l *Ledger) Stats() Stats {
	st := Stats{
		Reads: l.rows.Reads.Load(), Writes: l.rows.Writes.Load(), Conflicts: l.rows.Conflicts.Load(),
		Reserved: l.reserved.Load(), Refused: l.refused.Load(), Joined: l.joined.Load(), Taken: l.taken.Load(),
		Backoffs: l.backoffs.Load(),
	}
	for seen := range l.rows.Seen() {
		waiting, drain := seen.Backlog()
		st.Waiting += waiting
		st.Drain = max(st.Drain, drain)
		st.Lost = max(st.Lost, seen.ForeignShare())
	}
	return st
}

// Overview reads the rows anew. c is a message that might come. Errors are
// problem.Unavailable.
func (l *Ledger) Overview(ctx context.Context, c Call) (Overview, error) {
	if err := l.check(c); err != nil {
		return Overview{}, err
	}
	layout, err := l.rows.Current(ctx)
	if err != nil {
		return Overview{}, err
	}
	all := Overview{Limits: l.limits, Share: c.Share, Cap: c.Cap}
	for shard := range layout.Shards {
		o, err := row.Apply(ctx, l.rows, shard, row.Change[Overview]{
			Do: func(d *window.Draft) (Overview, error) { return d.Overview(c), nil },
		})
		if err != nil {
			return Overview{}, err
		}
		all.Merge(o)
	}
	return all, nil
}

// View asks storage for nothing, and what others reserved since the last write or
// read of this process is not in it.
func (l *Ledger) View() View {
	v := View{Limits: l.limits}
	for seen := range l.rows.Seen() {
		v.Add(seen)
	}
	return v
}
