package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// MaxBatch is how many messages a batch may have.
const MaxBatch = 100

// Policy says what becomes of a batch when one of its messages is not good.
type Policy int

const (
	// Each message is sent or refused by itself, while the next is being read. What cannot
	// be read ends the batch: it and all after it are not sent.
	Each Policy = iota
	// AllOrNone sends nothing unless all messages are good. The texts of the whole batch are
	// held, so the body must have a limit, and no message may have attachments. JSON pointers
	// in the error begin with the index of the message.
	AllOrNone
)

// SendBatch sends the messages of a body that is an array in another API's words. In the
// end each is told with its index, in order. An error means that nothing was sent.
//
// An IdempotencyKey names the batch; the key and the index name each message. A first
// message that differs from the first of an earlier request is an error.
func (g *Gateway) SendBatch(ctx context.Context, req Request, source wire.Source, policy Policy, told func(i int, s Sent, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	messages := g.readEach(ctx, req, source)
	if policy == AllOrNone {
		messages = g.readAll(ctx, req, source)
	}
	all, err := g.sendSeveral(ctx, true, messages)
	if err == nil && len(all) == 0 {
		err = problem.New(problem.InvalidMessage, "The batch has no messages.")
	}
	for i, one := range all {
		told(i, one.sent, one.err)
	}
	return err
}

// errStop ends the reading of a batch whose rest is not wanted.
var errStop = errors.New("the rest of the batch is not read")

// readEach reads a batch, and gives on each message as it is read. An error is the last.
func (g *Gateway) readEach(ctx context.Context, req Request, source wire.Source) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		err := source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
			if i == MaxBatch {
				return problem.New(problem.InvalidMessage, "A batch has at most %d messages. This one and all after it were not sent.", MaxBatch)
			}
			j, err := g.readElement(ctx, element(req, i), read)
			if err == nil && !yield(j, nil) {
				return errStop
			}
			return err
		})
		if err != nil && !errors.Is(err, errStop) && !errors.Is(err, wire.ErrBehind) {
			yield(job{}, unread(ctx, err))
		}
	}
}

// unread is why a message of a batch, and all after it, could not be read.
func unread(ctx context.Context, err error) error {
	if outOfTime(ctx, err) || problem.Is(err, problem.RequestTimeout) {
		return problem.New(problem.RequestTimeout, "The time of the request ran out before this message was read. It and all after it were not sent. Send them again.")
	}
	return err
}

// element is the request for the i-th message of a batch.
func element(req Request, i int) Request {
	if req.IdempotencyKey != "" {
		req.OperationID = record.DerivedID("batch key", req.Caller.Name, fmt.Sprintf("%s\x00%d", req.IdempotencyKey, i))
		req.IdempotencyKey = ""
	}
	return req
}

// readElement reads one message of a batch.
func (g *Gateway) readElement(ctx context.Context, req Request, read func(wire.Sink) ([]wire.Parsed, error)) (job, error) {
	// Only of a batch that fits as a whole is it known that its messages do.
	bytes := req.BodyBytes
	if bytes > g.MaxACSRequestBytes {
		bytes = -1
	}
	in := g.intake(req, bytes)
	parsed, violations := g.readParsed(ctx, req, in, func(_ context.Context, in *offload.Intake) ([]wire.Parsed, error) { return read(in) })
	if parsed == nil {
		in.Close()
		return job{}, violations
	}
	return job{parsed[0].Message.Bytes(), func(late bool) (sent Sent, err error) {
		defer in.Close()
		req.late = late
		all, err := g.sendParsed(ctx, req, in, parsed, violations)
		if all != nil {
			sent = all[0]
		}
		return sent, err
	}}, nil
}

// readAll reads a batch to its end, and gives its messages on if all are good. Otherwise
// all that is wrong with any of them is the error.
func (g *Gateway) readAll(ctx context.Context, req Request, source wire.Source) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		in := g.intake(req, 0)
		defer in.Close()
		var jobs []job
		var all *problem.Problem
		err := source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
			if i == MaxBatch {
				return problem.New(problem.InvalidMessage, "A batch has at most %d messages. Nothing was sent.", MaxBatch)
			}
			of := func(pointer string) string { return fmt.Sprintf("/%d%s", i, pointer) }
			one, violations := g.readParsed(ctx, req, in, func(context.Context, *offload.Intake) ([]wire.Parsed, error) { return read(noAttachments{}) })
			if one == nil {
				return placed(violations, of)
			}
			terms, err := g.vet(req, one, violations)
			if err != nil {
				all = joined(all, problem.Of(placed(err, of)))
				return nil
			}
			jobs = append(jobs, job{one[0].Message.Bytes(), func(late bool) (Sent, error) {
				req, in := element(req, i), g.intake(req, 0)
				defer in.Close()
				req.late = late
				return g.sendOne(ctx, req, in, one[0], terms[0])
			}})
			return nil
		})
		if err == nil && all != nil {
			err = all
		}
		if err != nil {
			yield(job{}, err)
			return
		}
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
}

// noAttachments is the sink of messages that may have no attachments.
type noAttachments struct{}

// Attachment implements wire.Sink.
func (noAttachments) Attachment(_ context.Context, i int, _ mail.Attachment, _ io.Reader) error {
	p := problem.New(problem.InvalidMessage, "A batch that is sent as a whole or not at all can have no attachments. Nothing was sent.")
	p.Violations = []problem.Violation{{Pointer: fmt.Sprintf("/attachments/%d", i), Detail: "Send this message by itself, or the batch with x-batch-validation: permissive."}}
	return p
}
