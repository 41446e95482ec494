package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// MaxBatch is how many messages a batch may have.
const MaxBatch = 100

// errStop ends the reading of a batch whose rest has been answered for.
var errStop = errors.New("the rest of the batch is not read")

// SendEach sends the messages of a body that is an array in another API's words,
// one after the other: each is read whole, sent, and told with its index before
// the next is read. What cannot be read ends the batch: it and all after it were
// not sent. An error means that nothing was sent.
//
// An IdempotencyKey is that of the batch; each message is named by it and by the
// index. A first message that differs from that of an earlier request is an error.
func (g *Gateway) SendEach(ctx context.Context, req Request, source wire.Source, told func(i int, s Sent, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	next := 0
	err := source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Letter, error)) error {
		if i == MaxBatch {
			told(i, Sent{}, problem.New(problem.InvalidMessage, "A batch has at most %d messages. This one and all after it were not sent.", MaxBatch))
			return errStop
		}
		sent, readable, err := g.sendElement(ctx, element(req, i), read)
		if i == 0 && (!readable || problem.Is(err, problem.KeyReused)) {
			return err
		}
		told(i, sent, err)
		next = i + 1
		if !readable {
			return errStop
		}
		return nil
	})
	switch {
	case errors.Is(err, errStop):
		return nil
	case err == nil && next == 0:
		return errNoMessages()
	case err != nil && next > 0:
		told(next, Sent{}, err)
		return nil
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

// sendElement reads and sends one message. readable says that the body can be read
// on behind it.
func (g *Gateway) sendElement(ctx context.Context, req Request, read func(wire.Sink) ([]wire.Letter, error)) (s Sent, readable bool, err error) {
	// Only of a batch that fits as a whole is it known that its messages do.
	bytes := req.BodyBytes
	if bytes > g.MaxACSRequestBytes {
		bytes = -1
	}
	in := g.Offload.Intake(bytes, g.MaxACSRequestBytes)
	defer in.Close()
	letters, err := g.readLetters(ctx, func(context.Context) ([]wire.Letter, error) { return read(in) })
	if letters == nil {
		g.tally(ctx, Answer{}, err)
		return Sent{}, false, err
	}
	all, err := g.sendLetters(ctx, req, in, letters, err)
	if all == nil {
		return Sent{}, true, err
	}
	return all[0], true, err
}

// SendAllOrNone is SendEach for a batch of which all must be good before any is
// sent. Places in its error begin with the index of the message. It holds the texts
// of the whole batch, so the body must have a limit; no message may have
// attachments.
func (g *Gateway) SendAllOrNone(ctx context.Context, req Request, source wire.Source, told func(i int, s Sent, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	letters, terms, err := g.vetBatch(ctx, req, source)
	if err != nil {
		g.tally(ctx, Answer{}, err)
		return err
	}
	for i, l := range letters {
		in := g.Offload.Intake(0, g.MaxACSRequestBytes)
		answer, err := heard(g.sendVetted(ctx, element(req, i), in, l.Message, terms[i]))
		in.Close()
		g.tally(ctx, answer, err)
		if i == 0 && problem.Is(err, problem.KeyReused) {
			return err
		}
		told(i, Sent{answer, l.Message.Recipients.To}, placed(err, l.Place))
	}
	return nil
}

// vetBatch reads a batch and says all that is wrong with any of it.
func (g *Gateway) vetBatch(ctx context.Context, req Request, source wire.Source) (letters []wire.Letter, terms []check.Terms, err error) {
	in := g.Offload.Intake(0, g.MaxACSRequestBytes)
	defer in.Close()
	var all *problem.Problem
	err = source.Each(ctx, req.Body, func(i int, read func(wire.Sink) ([]wire.Letter, error)) error {
		if i == MaxBatch {
			return problem.New(problem.InvalidMessage, "A batch has at most %d messages. Nothing was sent.", MaxBatch)
		}
		of := func(place string) string { return fmt.Sprintf("/%d%s", i, place) }
		one, faults := g.readLetters(ctx, func(context.Context) ([]wire.Letter, error) { return read(noRoom{}) })
		if one == nil {
			return placed(faults, of)
		}
		complete(one[0].Message, in, req.Language)
		good, err := g.vet(req, one, faults)
		if err != nil {
			all = joined(all, problem.Of(placed(err, of)))
			return nil
		}
		letters, terms = append(letters, one[0]), append(terms, good[0])
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case all != nil:
		return nil, nil, all
	case letters == nil:
		return nil, nil, errNoMessages()
	}
	return letters, terms, nil
}

func errNoMessages() error { return problem.New(problem.InvalidMessage, "The batch has no messages.") }

// noRoom is the sink of messages that may have no attachments.
type noRoom struct{}

// Attachment implements wire.Sink.
func (noRoom) Attachment(_ context.Context, i int, _ mail.Attachment, _ io.Reader) error {
	p := problem.New(problem.InvalidMessage, "A batch that is sent as a whole or not at all can have no attachments. Nothing was sent.")
	p.Faults = []problem.Fault{{Pointer: fmt.Sprintf("/attachments/%d", i), Detail: "Send this message by itself, or the batch with x-batch-validation: permissive."}}
	return p
}
