package acs

import (
	"context"
	"errors"
	"time"
)

// DefaultPollFrequency is the default of PollUntilDoneOptions.Frequency. The service
// allows a custom domain 200 status requests an hour, for all messages together.
const DefaultPollFrequency = 10 * time.Second

// PollUntilDoneOptions may be nil, and every field may be left out.
type PollUntilDoneOptions struct {
	// Delay is the time before the first request. Operation.RetryAfter of Send's
	// answer fits.
	Delay time.Duration
	// Frequency is the time between two requests if the service does not say when to
	// ask again: DefaultPollFrequency by default.
	Frequency time.Duration
	// Sleep waits, and returns an error if ctx ends first: by a timer by default.
	Sleep func(ctx context.Context, d time.Duration) error
}

// PollUntilDone asks for the status of an operation until the status is terminal. It
// waits as long as the service asks for, and asks again after an error that is
// Temporary, which ErrNotFound is. Give ctx a deadline: nothing else ends the polling
// of an operation that the service never knew.
//
// Every error is an *Error. At the end of ctx the Operation is the last one that the
// service told, and errors.Is finds the last error of a request beside the end of ctx.
func (c *Client) PollUntilDone(ctx context.Context, operationID string, o *PollUntilDoneOptions) (Operation, error) {
	own := o.withDefaults()
	var last Operation
	var failed error
	for wait := own.Delay; ; {
		if err := own.Sleep(ctx, wait); err != nil {
			return last, &Error{method: methodStatus, cause: causeOf(err), inner: errors.Join(err, failed)}
		}
		op, err := c.Status(ctx, operationID)
		wait, failed = op.RetryAfter, err
		if e, ok := errors.AsType[*Error](err); ok {
			if !e.Temporary() {
				return last, err
			}
			wait = e.RetryAfter
		} else if last = op; op.Status.Terminal() {
			return op, nil
		}
		if wait == 0 {
			wait = own.Frequency
		}
	}
}

func (o *PollUntilDoneOptions) withDefaults() PollUntilDoneOptions {
	var own PollUntilDoneOptions
	if o != nil {
		own = *o
	}
	if own.Frequency <= 0 {
		own.Frequency = DefaultPollFrequency
	}
	if own.Sleep == nil {
		own.Sleep = sleep
	}
	return own
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err()
}
