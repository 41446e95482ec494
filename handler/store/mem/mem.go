// Package mem is storage in memory, with the semantics of Azure Storage and with
// faults on demand, for tests.
//
// Table, Container and Queue have the methods of store/table, store/blob and
// store/queue and pass the same contract, store/storetest: ETags that change with
// every write, 404, 409 and 412 as Azure gives them, blocks that nobody sees before
// their commit, one clock that is cut to the second. A Plan may make any call slow,
// fail, or lose its answer; Counts says how many there were. Rows and blobs are kept
// in order, so that millions of them cost a list no more than a few. All of it works inside testing/synctest. It keeps
// nothing, and knows nothing of Azure's capacity or latency.
package mem

import (
	"context"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// Op is a call of storage, as a Plan sees it.
type Op string

// The calls.
const (
	Insert  Op = "insert"
	Get     Op = "get"
	Replace Op = "replace"
	Delete  Op = "delete"
	Create  Op = "create"
	Drop    Op = "drop"
	// Transact is one call, whatever the number of its actions.
	Transact Op = "transact"
	List     Op = "list"
	Stage    Op = "stage"
	Commit   Op = "commit"
	Put      Op = "put"
	Read     Op = "read"
	Sign     Op = "sign"
	Size     Op = "size"
	Seal     Op = "seal"
	Send     Op = "send"
	Receive  Op = "receive"
	Hide     Op = "hide"
)

// Outcome is what becomes of a call.
type Outcome int

// The outcomes.
const (
	// Done is a call without a fault.
	Done Outcome = iota
	// Refused means that nothing happened: store.ErrUnavailable.
	Refused
	// Lost means that it happened, and the answer got lost: store.ErrUnavailable.
	Lost
	// Repeated means that it happened, the answer got lost, and a client below
	// repeated the call: an own success looks like ErrExists or ErrChanged.
	Repeated
)

// Fault is what a Plan does to one call. The zero value is no fault.
type Fault struct {
	Outcome Outcome
	Before  time.Duration // how long the call takes to arrive
	After   time.Duration // how long its answer takes
}

// Plan decides on each call; key is PARTITION/ROW (of a transaction's first action), a
// blob's name, a message's id, or what is listed. It may be called by many goroutines at
// once. A nil Plan has no faults.
type Plan func(op Op, key string) Fault

// run carries out act as p says. A context that ends meanwhile ends the call, with
// whatever has happened by then.
func (p Plan) run(ctx context.Context, op Op, key string, act func() error) error {
	var f Fault
	if p != nil {
		f = p(op, key)
	}
	if err := wait(ctx, op, f.Before); err != nil {
		return err
	}
	if f.Outcome == Refused {
		return fmt.Errorf("%s: %w (refused by plan)", op, store.ErrUnavailable)
	}
	err := act()
	if f.Outcome == Repeated {
		err = act()
	}
	if err := wait(ctx, op, f.After); err != nil {
		return err
	}
	if f.Outcome == Lost {
		return fmt.Errorf("%s: %w (answer lost by plan)", op, store.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

func wait(ctx context.Context, op Op, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	}
	return nil
}
