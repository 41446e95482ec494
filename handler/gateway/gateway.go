// Package gateway is the order in which a message is received, decided on and
// delivered, and what holds after a crash between any two steps. Read send.go
// downwards: it is the product. What must wait comes back through Dispatch.
//
// In: a request whose caller is known, or the wake-up message of a shard. Out: the message's
// record, or a problem. It speaks neither HTTP (api/rest does) nor Azure
// (store/* and wiring do).
//
//	                                        ┌─> commit -> fence -> offer -> conclude
//	read -> vet -> plan -> claim -> stage -> reserve
//	                                        └─> enqueue                            202
//	wake-up ─> look -> authorise -> take ─> fence -> offer -> next -> apply
//
// Who may send is asked where a message comes (vet), and again at the fence, on every
// way there: it may have waited for days. authorise spares the tokens of what may not.
//
// A message that its caller has not named is not claimed: its record begins with the
// fence, or with the wait. Before the claim nothing is stored but blocks of attachments
// that stream away while they are read. Those are invisible, and storage drops them by
// itself. From the claim on the caller's going away stops nothing. A reserved token is spent
// whatever happens. Before the fence and the wait it is noted that the message is at work,
// so that Watch ends what a dead process leaves. From the fence on ACS may have the
// message; an end that is not known is resolved by asking ACS before anything is sent again.
//
// What ACS says of each message is noted (reputation), so that nobody spoils sending for all.
//
// What a caller in the sandbox sends ends behind the claim, with nothing staged or reserved; what
// a caller's policy redirects has its one mailbox before the plan, and again at the fence.
//
// A caller that has 202 has a message that ACS has taken, or one that is kept in
// the spool with its entry in a queue.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/expire"
)

// ACS is the service that sends. Its errors are problems of kind RefusedByACS,
// ACSBusy, ACSMisconfigured or ACSFailed when the message was certainly not
// taken, and wrap ErrDoubt when it may have been.
type ACS interface {
	// Size is the exact number of bytes of the request that Send would make.
	Size(m *mail.Message) int64
	// Send makes one request and never repeats it. again says that ACS may have the
	// message from an earlier one: then it is to refuse a second copy.
	Send(ctx context.Context, operationID string, m *mail.Message, again bool) error
	// Fate asks what became of an operation.
	Fate(ctx context.Context, operationID string) (Fate, error)
}

// Fate is what ACS says of an operation.
type Fate struct {
	// Known is false if ACS has not heard of it, which shortly after a Send proves
	// nothing.
	Known bool
	// Ended says that ACS is done with it: it is out for delivery, or Failure is set.
	Ended   bool
	Failure *record.Failure
}

// Errors of ACS.Send that leave open whether the message was taken.
var (
	// ErrDoubt means that ACS may or may not have taken the message.
	ErrDoubt = errors.New("ACS may have taken the message")
	// ErrFailing is the doubt of an answer that says that ACS failed, which it
	// mostly says when it has taken nothing.
	ErrFailing = fmt.Errorf("ACS failed: %w", ErrDoubt)
)

// ErrRepeat is ACS's refusal of a message because it has it already.
var ErrRepeat = errors.New("ACS has the message already")

// ErrSender is a refusal that is about the sender's address, not about all that
// this deployment sends. It comes in a problem of kind ACSMisconfigured.
var ErrSender = errors.New("ACS does not know the sender")

// Config is what a Gateway is made of. All is required but Log: without it nothing is logged.
type Config struct {
	Check   *check.Checker
	Records *record.Store
	// History is the index of messages; nil keeps none.
	History *history.Index
	// Sends are the ledgers of messages, StatusRequests that of questions about them.
	Sends          Sends
	StatusRequests *quota.Ledger
	Offload        *offload.Offload
	Spool          *spool.Spool
	Authority      Authority
	ACS            ACS
	// Reputation hears what ACS says of each message.
	Reputation *reputation.Watch
	// MaxACSRequestBytes is what fits into one request to ACS.
	MaxACSRequestBytes int64
	// MaxCalls is how many messages are given to ACS at once. There must be a
	// connection for each: a token ages while its call waits for one.
	MaxCalls int
	// CostRecipients makes a message cost its number of recipients, not 1.
	CostRecipients bool
	// RequestTimeout bounds all up to the fence: two minutes at most. Records hold
	// their claims for OwnerLife of it, or longer.
	RequestTimeout time.Duration
	// CleanUpBeside is how many rows the clean-up removes beside each other; 0: expire.Beside.
	CleanUpBeside int
	Now           func() time.Time
	NewID         func() string // a random UUID
	Log           *slog.Logger
	Tracer        trace.Tracer
	Meter         metric.Meter
}

// Gateway sends messages. It is safe for concurrent use.
type Gateway struct {
	Config
	meters
	times
	calls chan struct{} // holds MaxCalls
	polls polls
	known knownEntries
}

// New makes a Gateway of c.
func New(c Config) (*Gateway, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.CleanUpBeside = cmp.Or(c.CleanUpBeside, expire.Beside)
	g := &Gateway{Config: c, times: timesFor(c.RequestTimeout), calls: make(chan struct{}, c.MaxCalls)}
	err := g.measure(c.Meter)
	return g, err
}

// Request is a message that a caller wants to be sent.
type Request struct {
	Caller caller.Caller
	Hook   string // by which the message came; empty: the caller sends it itself
	Form   *Form  // of a Hook that strangers may use; nil for others
	Body   io.Reader
	// ContentType is JSON's, or names a multipart body with the JSON first.
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

	late bool // it is one of several, and their time is over: it waits
}

func (r Request) named() bool { return r.OperationID != "" || r.IdempotencyKey != "" }

// Answer is what became of a Request.
type Answer struct {
	Record *record.Record
	// Domain is the kind of the sender's domain, also beside an error of its ledger.
	Domain mail.DomainKind
	// Replayed says that an earlier request had this answer.
	Replayed bool
}

// Quota is what is known of the quota of a kind of domain without asking storage.
func (g *Gateway) Quota(domain mail.DomainKind) quota.View { return g.Sends[domain].View() }

// Usage is what a caller may know of the quota of a kind of domain, read anew.
func (g *Gateway) Usage(ctx context.Context, domain mail.DomainKind, c caller.Caller) (quota.Overview, error) {
	return g.Sends[domain].Overview(ctx, quota.Call{Caller: c.Name, Class: quota.Normal, Cost: 1, Share: c.Policy.Share, Cap: c.Policy.Cap})
}
