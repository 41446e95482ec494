package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// deadPage is how many of what could not be sent are listed at a time.
const deadPage = 200

// Dead lists what could not be sent, the oldest first.
func (g *Gateway) Dead(ctx context.Context) ([]spool.Dead, error) {
	var all []spool.Dead
	for after := (*spool.Dead)(nil); ; after = &all[len(all)-1] {
		page, err := g.Spool.DeadList(ctx, after, deadPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < deadPage {
			return all, nil
		}
	}
}

// DeadMessage finds one of what could not be sent by its message's id, with the
// message. The message is nil if its letter is lost.
func (g *Gateway) DeadMessage(ctx context.Context, id string) (spool.Dead, *mail.Message, error) {
	all, err := g.Dead(ctx)
	if err != nil {
		return spool.Dead{}, nil, err
	}
	for _, d := range all {
		if d.ID != id {
			continue
		}
		letter, _, err := g.Spool.Open(ctx, d.Key)
		if problem.Is(err, problem.Internal) {
			err = nil
		}
		return d, letter.Message, err
	}
	return spool.Dead{}, nil, problem.New(problem.NotFound, "No message with that id is in the list.")
}

// DeadRetry puts a message that could not be sent at the end of its line. ACS is
// asked first if it may have it. It may be repeated.
func (g *Gateway) DeadRetry(ctx context.Context, d spool.Dead) error {
	rec, err := g.Records.Read(ctx, d.Line.Caller, d.ID)
	if err != nil {
		return err
	}
	if rec.Spooled != d.Key {
		return g.Spool.Discard(ctx, &d) // it was put back already
	}
	letter, found, err := g.Spool.Open(ctx, d.Key)
	if err != nil || !found {
		return problem.Wrap(problem.Gone, "What was kept of the message is lost, so it cannot be sent.", errors.Join(err, errNoLetter))
	}
	var place quota.Place
	if rec.State == record.Unknown {
		place, err = g.doubtPlace(ctx, callOf(&d.Slip), d.Line.Shard, 0)
	} else {
		place, err = g.Sends.Join(ctx, callOf(&d.Slip), time.Time{}, time.Time{})
	}
	if err != nil {
		return err
	}
	defer g.wake(ctx, place)
	slip := d.Slip
	slip.Line.Later, slip.Line.Shard, slip.Due, slip.Ticket = rec.State == record.Unknown, place.Shard, place.At, place.Ticket
	slip.Key = spool.KeyFor(slip.Line, place.At, record.Key(rec.Caller, rec.ID))
	slip.Tries, slip.Repeats, slip.Asked, slip.NotBefore, slip.Doubt = 0, 0, 0, time.Time{}, spool.NoDoubt
	wait := g.Records.Wait
	if rec.State == record.Unknown {
		slip.Doubt, wait = spool.Silent, g.Records.Doubt
	}
	rec.Spooled, rec.Deadline, rec.Failure, rec.Expected = slip.Key, place.At.Add(mail.MaxWait), nil, place.Expected
	if err := g.Spool.Put(ctx, slip.Key, spool.Letter{Record: rec.Snapshot(), Message: letter.Message}); err != nil {
		return err
	}
	if err := wait(ctx, rec); err != nil {
		return err
	}
	slip.Version = rec.Version()
	if err := g.Spool.Enter(ctx, &slip); err != nil {
		return err
	}
	return g.Spool.Discard(ctx, &d)
}

var errNoLetter = errors.New("there is no letter")

// DeadDrop forgets a message that could not be sent, and withdraws its links.
func (g *Gateway) DeadDrop(ctx context.Context, d spool.Dead) error {
	rec, err := g.Records.Read(ctx, d.Line.Caller, d.ID)
	if err == nil && len(rec.Moved) > 0 && !rec.Shared && rec.State == record.Failed {
		err = g.Offload.RevokeMessage(ctx, rec.Links)
	}
	if err != nil && !problem.Is(err, problem.NotFound) && !problem.Is(err, problem.Gone) {
		return err
	}
	return g.Spool.Discard(ctx, &d)
}
