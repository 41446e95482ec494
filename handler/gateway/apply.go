package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// dispatched is a queued message in the hands of a dispatcher. The ledger has counted it
// off, so its entry leaves the queue or returns to it on every way out.
type dispatched struct {
	*Gateway
	entry *spool.Entry
	now   time.Time // of storage, when it was taken
	done  bool      // it has left, or returned
}

// retryPause is how long an entry pauses when storage failed.
const retryPause = 5 * time.Second

// errChanged says that the record changed between two fences.
var errChanged = errors.New("the record changed again")

// send makes one attempt to send the message.
func (d *dispatched) send(ctx context.Context, grant quota.Grant) error {
	permit := d.permit(d.Sends[d.entry.Line.Domain], grant)
	defer permit.done(ctx)
	m, rec, err := d.open(ctx)
	if m == nil {
		return err
	}
	done, err := d.turn(ctx, false, permit.grant)
	if err != nil {
		return err
	}
	defer done()
	for range 2 {
		o, err := d.attempt(ctx, rec, m, permit)
		if err == nil && !o.holds() {
			rec, err = d.read(ctx)
		}
		if err != nil {
			return err
		}
		if again, err := d.follow(ctx, rec, o); !again {
			return err
		}
	}
	return errChanged
}

// open reads the message and the record that it was queued with. If there is no message
// to read, it has been dealt with.
func (d *dispatched) open(ctx context.Context) (*mail.Message, *record.Record, error) {
	kept, found, err := d.Spool.ReadMessage(ctx, d.entry)
	if err != nil && !problem.Is(err, problem.Internal) {
		return nil, nil, err
	}
	if found && err == nil {
		var rec *record.Record
		if rec, err = record.Restore(kept.Record, d.entry.Version); err == nil {
			rec.State = record.Waiting // it was stored before the record said so
			return kept.Message, rec, nil
		}
	}
	return nil, nil, d.look(ctx, outcome{result: unreadable, err: err})
}

// attempt writes the fence and makes the call to ACS.
func (d *dispatched) attempt(ctx context.Context, rec *record.Record, m *mail.Message, permit *permit) (outcome, error) {
	err := d.fence(ctx, rec, m, callOf(d.entry), permit)
	switch {
	case errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrMissing):
		return outcome{result: changed}, nil
	case problem.Is(err, problem.Forbidden):
		return outcome{result: forbidden, err: err, fenced: rec.State == record.Sending}, nil
	case problem.Is(err, problem.Paused), problem.Is(err, problem.OverQuota):
		return outcome{result: postponed, err: err}, nil
	case err != nil:
		return outcome{}, err
	case d.now.After(rec.Deadline):
		return outcome{result: expired, fenced: true}, nil
	}
	o := d.offer(ctx, rec, m, permit, d.entry.Repeats > 0)
	d.countDelivery(ctx, o)
	return o, nil
}

// resolve asks ACS once about a message in doubt, and says whether ACS has answered.
func (d *dispatched) resolve(ctx context.Context) (answered bool, err error) {
	rec, err := d.read(ctx)
	if err != nil {
		return true, err
	}
	o := outcome{result: changed}
	if rec != nil && rec.Spooled == d.entry.Key && !rec.Final() {
		if o = d.ask(ctx, rec, quota.Call{Class: quota.High}); o.result == accepted || o.result == rejected {
			d.countDelivery(ctx, o)
		}
	}
	_, err = d.follow(ctx, rec, o)
	return o.result != unasked || problem.Is(o.err, problem.OverQuota), err
}

// look follows an outcome that depends on what the record says.
func (d *dispatched) look(ctx context.Context, o outcome) error {
	rec, err := d.read(ctx)
	if err == nil {
		_, err = d.follow(ctx, rec, o)
	}
	return err
}

// read is the record of the message as it stands; nil if there is none.
func (d *dispatched) read(ctx context.Context) (*record.Record, error) {
	rec, err := d.Records.Read(ctx, d.entry.Line.Caller, d.entry.ID)
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	return rec, err
}

// follow does what is next. again says that the fence is to be written again.
func (d *dispatched) follow(ctx context.Context, rec *record.Record, o outcome) (again bool, err error) {
	a := next(rec, *d.entry, o, d.time(ctx))
	if o.result == refused || o.result == postponed {
		d.Log.WarnContext(ctx, "queued message not sent, will retry", "id", d.entry.ID, "caller", d.entry.Line.Caller,
			"problem", problem.Of(o.err).Kind.Slug(), "error", o.err, "try", a.entry.Tries, "next_try", a.entry.NotBefore)
	}
	err = d.apply(ctx, rec, a)
	if err == nil && a.state != "" && a.step == deadLetter {
		d.Log.ErrorContext(ctx, "queued message moved to the dead letters", "id", d.entry.ID, "caller", d.entry.Line.Caller,
			"state", string(a.state), "problem", a.failure.Kind, "error", o.err)
	}
	return a.step == fenceAgain, err
}

// apply does what next has said. The record comes first, so that what has ended is not sent
// again; but of a doubt the entry alone says the kind, so it comes before the record.
func (d *dispatched) apply(ctx context.Context, rec *record.Record, a action) error {
	var err error
	switch a.state {
	case "", resolving:
	case record.Waiting:
		err = d.Records.MarkWaiting(ctx, rec)
		a.entry.Version = rec.Version()
	default:
		err = d.Records.Finish(ctx, rec, a.state, a.failure)
	}
	if err != nil {
		return err
	}
	switch a.step {
	case removed:
		err = d.Spool.DeleteQueued(ctx, d.entry)
		d.done = err == nil
	case deadLetter:
		err = d.Spool.MoveToDeadLetters(ctx, spool.DeadLetter{Entry: *d.entry, At: d.now, Reason: a.reason})
		d.done = err == nil
	case requeued:
		*d.entry = a.entry
		err = d.requeue(ctx)
	}
	if err == nil && a.state == resolving {
		err = d.Records.MarkResolving(ctx, rec)
	}
	return err
}

// requeue keeps what has changed of an entry that goes on waiting, and has it counted
// again. The entry comes first: by it the ledger knows what is to be done. An entry that
// cannot be kept is soon looked at as it was.
func (d *dispatched) requeue(ctx context.Context) error {
	d.done = true
	d.entry.Ticket = d.newTicket()
	until := d.entry.NotBefore
	err := d.Spool.UpdateEntry(ctx, d.entry)
	if err != nil {
		until = d.time(ctx).Add(retryPause)
	}
	d.count(ctx, d.entry, until)
	return err
}

// guard does work on the message. A panic is an error of this message alone, and a try: a
// message that makes the program panic each time is given up.
func (d *dispatched) guard(ctx context.Context, work func(context.Context, *dispatched) error) (err error) {
	defer func() {
		if value := recover(); value == nil {
			return
		}
		err = panicked()
		if d.entry.Tries++; d.entry.Tries%maxTries != 0 {
			return
		}
		err = d.guard(ctx, func(ctx context.Context, d *dispatched) error {
			return d.look(ctx, outcome{result: unreadable, err: err})
		})
	}()
	return work(ctx, d)
}

// panicked is the error of a panic. Its value may quote a message; the stack does not.
func panicked() error { return errors.New("panic at " + string(debug.Stack())) }

// end requeues an entry that is still in these hands.
func (d *dispatched) end(ctx context.Context, err error) {
	if err != nil {
		d.Log.ErrorContext(ctx, "could not dispatch queued message, will retry", "id", d.entry.ID, "error", err)
	}
	if d.done {
		return
	}
	d.entry.NotBefore = d.time(ctx).Add(retryPause)
	if err := d.requeue(ctx); err != nil {
		d.Log.ErrorContext(ctx, "could not write queue entry", "id", d.entry.ID, "error", err)
	}
}

// time is storage's time now, however long the entry was in hand.
func (d *dispatched) time(ctx context.Context) time.Time {
	if now, err := d.Records.Time(ctx); err == nil {
		return now
	}
	return d.now
}
