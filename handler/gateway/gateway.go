// Package gateway is the order in which a message is received, decided on and
// delivered, and what holds after a crash between any two steps. Read Send
// downwards: it is the product.
//
// In: a request whose caller is known. Out: the message's record, or a problem.
// It speaks neither HTTP (accept/front does) nor Azure (store/* and wiring do).
//
//	read -> check -> allow -> plan -> claim -> stage -> book -> commit -> fence -> send -> finish
//
// Before the claim nothing is stored but blocks of attachments that stream away
// while they are read. Those are invisible, and storage drops them by itself. A booked token is spent whatever happens. From the fence
// on ACS may have the message, so from there the caller's going away stops
// nothing, and an end that cannot be known is recorded as unknown.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// ACS is the service that sends. Its errors are problems of kind RefusedByACS,
// ACSBusy, ACSMisconfigured or ACSFailed when the message was certainly not
// taken, and wrap ErrDoubt when it may have been.
type ACS interface {
	// Size is the exact number of bytes of the request that Send would make.
	Size(m *mail.Message) int64
	// Send makes one request and never repeats it.
	Send(ctx context.Context, operationID string, m *mail.Message) error
	// Fate asks what became of an operation. known is false if ACS has not heard
	// of it, which shortly after a Send proves nothing.
	Fate(ctx context.Context, operationID string) (known bool, failure *record.Failure, err error)
}

// Errors of ACS.Send that leave open whether the message was taken.
var (
	// ErrDoubt means that ACS may or may not have taken the message.
	ErrDoubt = errors.New("ACS may have taken the message")
	// ErrFailing is the doubt of an answer that says that ACS failed, which it
	// mostly says when it has taken nothing.
	ErrFailing = fmt.Errorf("ACS failed: %w", ErrDoubt)
)

// Config is what a Gateway is made of. All but Log are required.
type Config struct {
	Check   *check.Checker
	Records *record.Book
	// Sends and Asks are the ledgers of the two limits of a subscription: of
	// messages and of questions about them.
	Sends, Asks *quota.Ledger
	Offload     *offload.Offload
	ACS         ACS
	// MaxACSRequestBytes is what fits into one request to ACS.
	MaxACSRequestBytes int64
	// CostRecipients makes a message cost its number of recipients, not 1.
	CostRecipients bool
	// RequestTimeout bounds all up to the fence: two minutes at most.
	RequestTimeout time.Duration
	Now            func() time.Time
	NewID          func() string // a random UUID
	Log            *slog.Logger
	Tracer         trace.Tracer
	Meter          metric.Meter
}

// Gateway sends messages. It is safe for concurrent use.
type Gateway struct {
	Config
	messages metric.Int64Counter
}

// New makes a Gateway of c.
func New(c Config) (*Gateway, error) {
	messages, err := c.Meter.Int64Counter("posthorn.messages",
		metric.WithDescription("Messages by what became of the request."))
	return &Gateway{c, messages}, err
}

// Request is a message that a caller wants to be sent.
type Request struct {
	Caller caller.Caller
	Body   io.Reader
	// ContentType is JSON's, or that of a multipart body with the JSON first.
	ContentType string
	// BodyBytes is the length of the body, -1 if it is not known.
	BodyBytes int64
	// BodySHA256 is what the body must hash to; nil if the caller did not say.
	BodySHA256 []byte
	// OperationID or IdempotencyKey name the message, so that a repeat is
	// harmless; at most one of them is set. Without either each request is new.
	OperationID    string
	IdempotencyKey string
	// Language is a BCP 47 tag for text that Posthorn adds, if the message
	// itself has no Content-Language.
	Language string
}

// Answer is what became of a Request.
type Answer struct {
	Record *record.Record
	// Replayed says that the answer is that of an earlier request.
	Replayed bool
}

// Send does all that there is to do for one message. An error is a problem for
// the caller, or the reader's own error when the body did not arrive.
func (g *Gateway) Send(ctx context.Context, req Request) (Answer, error) {
	answer, err := g.send(ctx, req)
	outcome := "not-read"
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		outcome = p.Kind.Slug()
	} else if err == nil {
		outcome = string(answer.Record.State)
	}
	g.messages.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
	return answer, err
}

func (g *Gateway) send(ctx context.Context, req Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()

	in := g.Offload.Intake(req.BodyBytes, g.MaxACSRequestBytes)
	defer in.Close()
	m, faults, err := g.read(ctx, req, in)
	if err != nil {
		return Answer{}, err
	}
	terms, err := g.check(m, faults)
	if err != nil {
		return Answer{}, err
	}
	if err := req.Caller.Allow(m); err != nil {
		return Answer{}, err
	}
	claim := newRecord(req, m, g.NewID)
	owner := offload.Owner{Caller: claim.Caller, Message: claim.ID}
	move, err := g.Offload.Plan(ctx, m, in, owner, terms.LinkLife, g.MaxACSRequestBytes, g.ACS.Size)
	if err != nil {
		return g.earlier(ctx, req, claim, err)
	}
	claim.Moved, claim.Links = move.Links(), move.Key()

	rec, replay, err := g.claim(ctx, claim)
	if err != nil {
		return Answer{}, err
	}
	if replay {
		return Answer{rec, true}, failed(rec)
	}
	if err := g.deliver(ctx, rec, m, move, terms.Deadline); err != nil {
		return Answer{rec, false}, err
	}
	return Answer{rec, false}, failed(rec)
}

// earlier is the answer of an earlier request with the same id, if there was one
// for the same message: its upload may have ended since. Otherwise it is refusal.
func (g *Gateway) earlier(ctx context.Context, req Request, claim record.Record, refusal error) (Answer, error) {
	if req.OperationID == "" && req.IdempotencyKey == "" {
		return Answer{}, refusal
	}
	rec, err := g.Records.Find(ctx, claim.Caller, claim.ID)
	if err != nil || rec.Fingerprint != claim.Fingerprint || !rec.State.Final() {
		return Answer{}, refusal
	}
	return Answer{rec, true}, failed(rec)
}

// claim goes on when the caller goes away: a row whose answer nobody awaited
// would keep the caller's id until record.OwnerLife. deliver gives it back.
func (g *Gateway) claim(ctx context.Context, r record.Record) (*record.Record, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return g.Records.Claim(ctx, r)
}

// read takes the message off the wire, and its attachments with it. faults is a
// problem of its members that left the rest of it readable.
func (g *Gateway) read(ctx context.Context, req Request, in *offload.Intake) (m *mail.Message, faults, err error) {
	ctx, span := g.Tracer.Start(ctx, "read")
	defer span.End()
	body := req.Body
	if req.BodySHA256 != nil {
		body = newSignedBody(body, req.BodySHA256)
	}
	m, err = g.message(ctx, req.ContentType, body, in)
	if m == nil {
		return nil, nil, err
	}
	in.Fill(m)
	m.Language = req.Language
	for name, value := range m.Headers {
		if isContentLanguage(name) {
			m.Language = value
		}
	}
	return m, err, nil
}

// check says all that is wrong with a message, of which read has found faults.
func (g *Gateway) check(m *mail.Message, faults error) (check.Terms, error) {
	terms, err := g.Check.Message(m, g.Now())
	if faults == nil {
		return terms, err
	}
	return check.Terms{}, merged(problem.Of(faults), err)
}

func (g *Gateway) message(ctx context.Context, contentType string, body io.Reader, in *offload.Intake) (*mail.Message, error) {
	if strings.HasPrefix(contentType, "multipart/") {
		return wire.Multipart(ctx, body, contentType, in)
	}
	return wire.Message(ctx, body, in)
}

// deliver takes a claimed message to its end. When it returns an error nothing
// was sent, nothing of the message is left in storage, and its id is free again.
func (g *Gateway) deliver(ctx context.Context, rec *record.Record, m *mail.Message, move *offload.Move, deadline time.Time) error {
	err := g.prepare(ctx, rec, m, move, deadline)
	if err == nil {
		err = g.hand(context.WithoutCancel(ctx), rec, m)
	}
	if err == nil && rec.State != record.Failed {
		return nil
	}
	// What is undone here must be undone even if the caller has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if undoErr := move.Discard(ctx); undoErr != nil {
		g.Log.ErrorContext(ctx, "attachments of an unsent message are left for the sweep", "id", rec.ID, "error", undoErr)
	}
	if err != nil {
		if undoErr := g.Records.Release(ctx, rec); undoErr != nil {
			g.Log.ErrorContext(ctx, "the id of an unsent message stays claimed for a while", "id", rec.ID, "error", undoErr)
		}
	}
	return err
}

// With RequestTimeout, which ends at the fence, these stay below record.OwnerLife
// and the 230 s after which Azure's load balancer gives up.
const (
	// sendTimeout bounds the one call to ACS, settleTimeout all questions after it.
	sendTimeout   = time.Minute
	settleTimeout = 20 * time.Second
	// undoTimeout bounds the record of an end, and the removal of what is left.
	undoTimeout = 15 * time.Second
	// bookings bounds how often a token may grow too old before the fence.
	bookings = 3
)

// prepare does all that can fail without harm, up to the fence.
func (g *Gateway) prepare(ctx context.Context, rec *record.Record, m *mail.Message, move *offload.Move, deadline time.Time) error {
	ctx, span := g.Tracer.Start(ctx, "prepare")
	defer span.End()
	if err := move.Stage(ctx); err != nil {
		return err
	}
	if !deadline.IsZero() && g.Now().After(deadline) {
		late := problem.New(problem.InvalidMessage, "The deadline passed before the message could be sent. It was not sent.")
		late.Faults = []problem.Fault{{Pointer: "/delivery/deadline", Detail: "This has passed."}}
		return late
	}
	grant, err := g.Sends.Book(ctx, g.cost(m))
	if err != nil {
		return err
	}
	if err := move.Commit(ctx); err != nil {
		return err
	}
	if err := g.Records.Sending(ctx, rec); err != nil {
		return err
	}
	for range bookings - 1 {
		if grant.Live(g.Now()) {
			return nil
		}
		if grant, err = g.Sends.Book(ctx, g.cost(m)); err != nil {
			return err
		}
	}
	if !grant.Live(g.Now()) {
		return problem.Wrap(problem.Unavailable, "Storage answers too slowly to send within the quota. Try again after Retry-After.", errors.New("every booked token grew too old"))
	}
	return nil
}

func (g *Gateway) cost(m *mail.Message) int {
	if g.CostRecipients {
		return len(m.Recipients.All())
	}
	return 1
}

// hand gives the message to ACS and records what came of it. An error means
// that ACS does not have it and that the same request may be made again.
func (g *Gateway) hand(ctx context.Context, rec *record.Record, m *mail.Message) error {
	ctx, span := g.Tracer.Start(ctx, "send", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()

	sending, sent := context.WithTimeout(ctx, min(g.RequestTimeout, sendTimeout))
	err := g.ACS.Send(sending, rec.OperationID, m)
	sent()
	state, failure := record.Accepted, (*record.Failure)(nil)
	switch {
	case err == nil:
	case errors.Is(err, ErrDoubt):
		g.Log.WarnContext(ctx, "ACS gave no clear answer, asking for the operation", "id", rec.ID, "error", err)
		state, failure, err = g.settle(ctx, rec.OperationID, err)
		if err != nil {
			return err
		}
	case problem.Is(err, problem.RefusedByACS):
		p := problem.Of(err)
		state, failure = record.Failed, &record.Failure{Kind: p.Kind.Slug(), Detail: p.Detail, Upstream: p.Upstream}
	case problem.Is(err, problem.ACSBusy):
		g.backOff(ctx, problem.Of(err).RetryAfter)
		return err
	default:
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	if err := g.Records.Finish(ctx, rec, state, failure); err != nil {
		// ACS has answered, and the caller shall know; the row says `sending`
		// and will be read as unknown, which is the safe side.
		g.Log.ErrorContext(ctx, "the end of a message could not be recorded", "id", rec.ID, "state", string(state), "error", err)
		rec.State, rec.Failure = state, failure
	}
	return nil
}

// backOff tells all instances to leave ACS in peace.
func (g *Gateway) backOff(ctx context.Context, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	if err := g.Sends.Backoff(ctx, wait); err != nil {
		g.Log.ErrorContext(ctx, "other instances could not be told to wait for ACS", "error", err)
	}
}

// Quota is what is known of the sending quota without asking storage.
func (g *Gateway) Quota() quota.View { return g.Sends.View() }

// Sweep removes what has outlived its time. It may be repeated at will.
func (g *Gateway) Sweep(ctx context.Context) error {
	n, err := g.Offload.Sweep(ctx)
	g.Log.InfoContext(ctx, "sweep", "attachments", n)
	return err
}
