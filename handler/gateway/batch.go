package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// MaxBatch is how many messages a batch may have.
const MaxBatch = 100

// errStop ends the reading of a batch whose rest has been answered for.
var errStop = errors.New("the rest of the batch is not read")

// SendEach sends the messages of a body that is an array in another API's words. Each is
// read whole and sent beside others, of which little is held, while the next is read. In
// the end each is told with its index, in order. What cannot be read ends the batch: it
// and all after it were not sent. An error means that nothing was sent.
//
// An IdempotencyKey is that of the batch; each message is named by it and by the
// index. A first message that differs from that of an earlier request is an error.
func (g *Gateway) SendEach(ctx context.Context, req Request, source wire.Source, told func(i int, s Sent, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	batch, stop := g.newBatch(ctx)
	defer stop()
	defer batch.flight.Wait() // with a panic of the reader, too
	err := source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
		if i == MaxBatch {
			batch.refuse(problem.New(problem.InvalidMessage, "A batch has at most %d messages. This one and all after it were not sent.", MaxBatch))
			return errStop
		}
		readable := g.beginElement(ctx, batch, element(req, i), read)
		if i == 0 {
			batch.flight.Wait()
			if err := batch.all[0].err; !readable || problem.Is(err, problem.KeyReused) {
				return err
			}
		}
		if !readable {
			return errStop
		}
		return nil
	})
	switch {
	case len(batch.all) == 0 && err == nil:
		return errNoMessages()
	case err != nil && (len(batch.all) == 0 || len(batch.all) == 1 && errors.Is(err, batch.all[0].err)):
		return err
	case err != nil && !errors.Is(err, errStop) && !errors.Is(err, wire.ErrBehind):
		batch.refuse(unread(ctx, err))
	}
	for i, one := range batch.ends() {
		told(i, one.sent, one.err)
	}
	return nil
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
		req.OperationID = uuidOf("batch key", req.Caller.Name, fmt.Sprintf("%s\x00%d", req.IdempotencyKey, i))
		req.IdempotencyKey = ""
	}
	return req
}

// beginElement reads one message and begins to send it. readable says that the body can be
// read on behind it.
func (g *Gateway) beginElement(ctx context.Context, batch *batch, req Request, read func(wire.Sink) ([]wire.Parsed, error)) (readable bool) {
	// Only of a batch that fits as a whole is it known that its messages do.
	bytes := req.BodyBytes
	if bytes > g.MaxACSRequestBytes {
		bytes = -1
	}
	in := g.intake(req, bytes)
	parsed, violations := g.readParsed(ctx, req, in, func(_ context.Context, in *offload.Intake) ([]wire.Parsed, error) { return read(in) })
	if parsed == nil {
		in.Close()
		violations = unread(ctx, violations)
		g.countMessage(ctx, Answer{}, violations)
		batch.refuse(violations)
		return false
	}
	batch.begin(parsed[0].Message.Bytes(), func(late bool) (Sent, error) {
		defer in.Close()
		req.late = late
		all, err := g.sendParsed(ctx, req, in, parsed, violations)
		if all == nil {
			return Sent{}, err
		}
		return all[0], err
	})
	return true
}

// SendAllOrNone is SendEach for a batch of which all must be good before any is
// sent. Places in its error begin with the index of the message. It holds the texts
// of the whole batch, so the body must have a limit; no message may have
// attachments.
func (g *Gateway) SendAllOrNone(ctx context.Context, req Request, source wire.Source, told func(i int, s Sent, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	parsed, terms, err := g.vetBatch(ctx, req, source)
	if err != nil {
		g.countMessage(ctx, Answer{}, err)
		return err
	}
	batch, stop := g.newBatch(ctx)
	defer stop()
	for i, l := range parsed {
		batch.begin(l.Message.Bytes(), func(late bool) (Sent, error) {
			in := g.intake(req, 0)
			defer in.Close()
			req, to := element(req, i), l.Message.Recipients.To
			req.late = late
			answer, err := g.sendOne(ctx, req, in, l.Message, terms[i])
			return Sent{answer, to}, placed(err, l.Pointer)
		})
		if i == 0 {
			batch.flight.Wait()
			if err := batch.all[0].err; problem.Is(err, problem.KeyReused) {
				return err
			}
		}
	}
	for i, one := range batch.ends() {
		told(i, one.sent, one.err)
	}
	return nil
}

// vetBatch reads a batch and says all that is wrong with any of it.
func (g *Gateway) vetBatch(ctx context.Context, req Request, source wire.Source) (parsed []wire.Parsed, terms []check.Terms, err error) {
	in := g.intake(req, 0)
	defer in.Close()
	var all *problem.Problem
	err = source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
		if i == MaxBatch {
			return problem.New(problem.InvalidMessage, "A batch has at most %d messages. Nothing was sent.", MaxBatch)
		}
		of := func(place string) string { return fmt.Sprintf("/%d%s", i, place) }
		one, violations := g.readParsed(ctx, req, in, func(context.Context, *offload.Intake) ([]wire.Parsed, error) { return read(noAttachments{}) })
		if one == nil {
			return placed(violations, of)
		}
		good, err := g.vet(req, one, violations)
		if err != nil {
			all = joined(all, problem.Of(placed(err, of)))
			return nil
		}
		parsed, terms = append(parsed, one[0]), append(terms, good[0])
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case all != nil:
		return nil, nil, all
	case parsed == nil:
		return nil, nil, errNoMessages()
	}
	return parsed, terms, nil
}

func errNoMessages() error { return problem.New(problem.InvalidMessage, "The batch has no messages.") }

// noAttachments is the sink of messages that may have no attachments.
type noAttachments struct{}

// Attachment implements wire.Sink.
func (noAttachments) Attachment(_ context.Context, i int, _ mail.Attachment, _ io.Reader) error {
	p := problem.New(problem.InvalidMessage, "A batch that is sent as a whole or not at all can have no attachments. Nothing was sent.")
	p.Violations = []problem.Violation{{Pointer: fmt.Sprintf("/attachments/%d", i), Detail: "Send this message by itself, or the batch with x-batch-validation: permissive."}}
	return p
}
