package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
)

// sending is a message on its way: well-formed, allowed, made to fit.
type sending struct {
	rec    *record.Record
	m      *mail.Message
	to     []mail.Address // to whom the caller wrote, whom a redirection replaces
	files  files
	terms  check.Terms
	domain mail.DomainKind
	call   quota.Call
	by     caller.Caller

	work      *record.Work // nil before begin
	named     bool         // by its caller, who may repeat it and ask for it
	claimed   bool         // or was another's
	spare     quota.Grant  // was not used, since the fence met the record of another request
	committed bool         // its files are readable
	again     bool         // ACS may have it from an owner who died
	late      bool         // it must not be sent now: it waits, or is refused
	unended   bool         // its record says what must not stay
}

// files are what moves out of one message, *offload.Move, or out of several. The doc of
// Move says what each method leaves behind.
type files interface {
	Stage(ctx context.Context) error
	WriteRow(ctx context.Context) error
	Commit(ctx context.Context) error
	Discard(ctx context.Context) error
}

// newSending names a message, takes its fingerprint, and redirects it.
func (g *Gateway) newSending(req Request, m *mail.Message, terms check.Terms) *sending {
	rec, to := g.newRecord(req, m, terms), m.Recipients.To
	redirect(m, req.Caller.Policy.RedirectTo)
	rec.Deadline, rec.Redirected = terms.Deadline, m.Redirected
	return &sending{rec: &rec, m: m, to: to, terms: terms, domain: mail.DomainKindOf(m.SenderAddress), call: g.call(req, m), by: req.Caller, named: req.named(), late: req.late}
}

// planFiles plans which attachments of a message become links, that work for so long.
func (g *Gateway) planFiles(ctx context.Context, rec *record.Record, m *mail.Message, in *offload.Intake, life time.Duration) (*offload.Move, error) {
	owner := offload.Owner{Caller: rec.Caller, Message: rec.ID}
	return g.Offload.Plan(ctx, m, in, owner, life, g.MaxACSRequestBytes, g.ACS.Size)
}

// moves notes what moves out of a message.
func (s *sending) moves(f files, move *offload.Move) {
	s.files, s.rec.Moved, s.rec.Links = f, move.Links(), move.Key()
}
