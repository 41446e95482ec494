package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// MarkWaiting marks that the message waits in the spool. It needs no owner then. As every
// step it makes the record if that has not been claimed, so its id must be new.
func (b *Store) MarkWaiting(ctx context.Context, r *Record) error {
	r.State, r.Resolving = Waiting, false
	return b.write(ctx, r)
}

// MarkSending marks that from now on ACS may have the message, and renews ownership.
// It fails if another has taken over, with store.ErrChanged in the problem.
func (b *Store) MarkSending(ctx context.Context, r *Record) error {
	r.State, r.Resolving = Sending, false
	return b.writeFor(ctx, r, b.fence)
}

// MarkResolving marks that ACS may have the message and is being asked for it.
func (b *Store) MarkResolving(ctx context.Context, r *Record) error {
	r.State, r.Resolving = Unknown, true
	return b.write(ctx, r)
}

// MarkResolvingAfter marks that ACS may have the message, which has no queue entry. Once a
// time has passed, a poll or a repeat asks ACS.
func (b *Store) MarkResolvingAfter(ctx context.Context, r *Record, after time.Duration) error {
	r.State, r.Resolving = Unknown, true
	return b.writeFor(ctx, r, after)
}

// MarkUnsent marks that ACS did not know the message long after its owner had died. ACS is
// asked no more, and a repeat sends the message.
func (b *Store) MarkUnsent(ctx context.Context, r *Record) error {
	r.State, r.Resolving, r.Repeatable = Unknown, false, true
	return b.write(ctx, r)
}

// Finish writes the final state.
func (b *Store) Finish(ctx context.Context, r *Record, s State, f *Failure) error {
	r.State, r.Failure, r.Resolving, r.Repeatable = s, f, false, false
	return b.write(ctx, r)
}

// Cancel ends the message of caller and id if it waits; that it was cancelled
// before is no error. Otherwise it is a problem TooLate, and the record says what
// it is instead.
func (b *Store) Cancel(ctx context.Context, caller, id string) (*Record, error) {
	for range cancelTries {
		r, err := b.Read(ctx, caller, id)
		if err != nil {
			return nil, err
		}
		switch r.State {
		case Cancelled:
			return r, nil
		case Waiting:
		default:
			return r, problem.New(problem.TooLate, "The message does not wait any more: its state is %s. It cannot be cancelled.", r.State)
		}
		switch err = b.Finish(ctx, r, Cancelled, nil); {
		case err == nil:
			return r, nil
		case !errors.Is(err, store.ErrChanged):
			return nil, err
		}
	}
	return nil, unavailable(errors.New("cancel record: it changed at every try"))
}

// cancelTries is more than a record can change under a Cancel: it is sent, or
// put back to wait once or twice.
const cancelTries = 5

// Refuse ends a message before anything was sent, so that its id can be used again. A poll
// reads the reason. A record that is gone, or that
// another has taken over, is left.
func (b *Store) Refuse(ctx context.Context, r *Record, why *Failure) error {
	if r.etag == "" {
		return nil
	}
	refused := Record{
		ID: r.ID, Caller: r.Caller, Fingerprint: r.Fingerprint, OperationID: r.OperationID, Lasting: r.Lasting, Tags: r.Tags, Created: r.Created,
		State: Failed, Failure: why, Repeatable: true, etag: r.etag,
	}
	err := b.write(ctx, &refused)
	if err == nil {
		*r = refused
	}
	return unlessLost(err)
}

func unlessLost(err error) error {
	if errors.Is(err, store.ErrMissing) || errors.Is(err, store.ErrChanged) {
		return nil
	}
	return err
}

// Release deletes the record of an unsent message whose id no caller knows. A
// record that is gone, or that another has taken over, is left.
func (b *Store) Release(ctx context.Context, r *Record) error {
	if r.etag == "" {
		return nil
	}
	return unavailable(unlessLost(b.table(r.operation(), r.Lasting).Delete(ctx, r.operation(), row, r.etag)))
}

// write replaces the row if it is still the version that r was read or written
// as, or inserts the row of a new r. Afterwards r is the current version.
func (b *Store) write(ctx context.Context, r *Record) error { return b.writeFor(ctx, r, b.life) }

// writeFor is write for an owner who lives so long.
func (b *Store) writeFor(ctx context.Context, r *Record, life time.Duration) error {
	t := b.table(r.operation(), r.Lasting)
	put := t.Replace
	if r.etag == "" {
		put = t.Insert
		if _, err := b.now(ctx); err != nil {
			return err
		}
	}
	if now, ok := b.clock.Now(); ok {
		r.Updated, r.OwnerUntil = now, now.Add(life)
		if r.Created.IsZero() {
			r.Created = now
		}
	}
	attempt := b.newID()
	e := encode(r, attempt)
	e.ETag = r.etag
	asked := b.clock.Local()
	receipt, err := put(ctx, e)
	b.clock.Observe(receipt.Time, asked)
	if err == nil {
		r.etag = receipt.ETag
		return nil
	}
	there, theirs, readErr := b.read(ctx, r.Caller, r.ID)
	if readErr == nil && theirs == attempt {
		r.etag = there.etag
		return nil
	}
	r.attempt = attempt
	return unavailable(fmt.Errorf("write record as %s: %w", r.State, errors.Join(err, readErr)))
}
