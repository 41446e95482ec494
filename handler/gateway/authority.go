package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Authority says who may still send. It is asked before every message that leaves, so its
// answer comes from memory as a rule, and is no older than seconds.
type Authority interface {
	// Sender is a caller as it is now, for a message that came by a hook; by none if that
	// is empty. Forbidden says that the caller or the hook is no more, Unavailable that
	// nobody can tell now.
	Sender(ctx context.Context, name, hook string) (caller.Caller, error)
}

const (
	// pausedLook is how often it is asked whether what a paused caller sent may go on.
	pausedLook = 30 * time.Second
	// pumpVets are how many letters are looked through at once, since what their callers
	// may do has changed.
	pumpVets = 8
)

// cleared asks whether a message may still leave, and to whom. It is the last question before
// the fence, on every way there. Forbidden is for good; Paused and Unavailable say that it stays.
func (g *Gateway) cleared(ctx context.Context, rec *record.Record, m *mail.Message) error {
	c, err := g.Authority.Sender(ctx, rec.Caller, rec.Hook)
	switch {
	case problem.Is(err, problem.Unavailable) && rec.Spooled == (store.Key{}):
		return nil // its caller has just proved itself
	case err != nil:
		return err
	case c.Pause != nil:
		return c.Pause.Problem(pausedCaller)
	}
	if err := c.StillAllows(m); err != nil {
		return err
	}
	return g.redirectKept(rec, m, c.Policy.RedirectTo)
}

// pausedCaller is what a problem calls the one whose message it is about.
const pausedCaller = "this caller"

// stopped deals with a message that did not pass the fence.
func (d *delivery) stopped(ctx context.Context, rec *record.Record, cause error) error {
	switch problem.Of(cause).Kind {
	case problem.Forbidden:
		if rec.State == record.Sending { // by this fence, and nothing has left
			return d.giveUp(ctx, rec, forbidden(cause))
		}
		return d.forbid(ctx, cause)
	case problem.Paused, problem.OverQuota:
		return d.again(ctx, rec, quota.Grant{}, cause)
	}
	return cause
}

// forbid gives up a message that may not leave any more. Of one that was sent before, and
// is not known to ACS, nobody can be certain.
func (d *delivery) forbid(ctx context.Context, cause error) error {
	rec, err := d.unsent(ctx)
	if rec == nil || err != nil {
		return err
	}
	f := forbidden(cause)
	if d.slip.Repeats > 0 {
		f.Detail += " ACS gave no clear answer when it was sent before, and does not know it: it may or may not have been sent then."
		return d.bury(ctx, rec, record.Unknown, f)
	}
	return d.giveUp(ctx, rec, f)
}

func forbidden(cause error) *record.Failure {
	p := problem.Of(cause)
	return &record.Failure{Kind: p.Kind.Slug(), Detail: p.Sentence()}
}

// vet is a slip in the hands of a pump that is not sent, but looked at: its caller may not
// send any more (err), or something else than when the message was taken.
type vet struct {
	slip *spool.Entry
	by   caller.Caller
	err  error
}

// authorise leaves of heads what may leave now, as far as that can be told without the
// letters, under what its callers have now of the quota. A letter that is to be looked at
// holds up those behind it, so that their order is kept.
func (p *pump) authorise(ctx context.Context, all []*heads) (vets []vet) {
	p.mu.Lock()
	free := pumpVets - p.vetting
	p.mu.Unlock()
	for _, h := range all {
		ready, behind := h.ready[:0], false
		for _, s := range h.ready {
			c, err := p.Authority.Sender(ctx, s.Line.Caller, s.Hook)
			forbidden := problem.Is(err, problem.Forbidden)
			changed := err == nil && c.Pause == nil && c.Terms() != s.Terms
			behind = behind || changed
			switch {
			case (forbidden || changed) && len(vets) < free:
				h.Asked++
				vets = append(vets, vet{s, c, err})
			case forbidden, behind:
				h.held(s, p.now.Add(shortestPause))
			case err != nil:
				h.held(s, p.now.Add(retryPause))
			case c.Pause != nil:
				h.held(s, p.now.Add(pausedLook))
			default:
				s.Share, s.Cap, s.Class = c.Policy.Share, c.Policy.Cap, max(s.Line.Class, int(classOf(c.Policy.Priority)))
				ready = append(ready, s)
			}
		}
		h.ready = ready
	}
	return vets
}

// lookInto works on slips for which no token is needed: ACS is asked about some, and the
// letters of others are looked at.
func (p *pump) lookInto(ctx context.Context, asked []*spool.Entry, vets []vet) {
	for _, s := range asked {
		p.launch(ctx, s, p.ask)
	}
	for _, v := range vets {
		p.vet(ctx, v)
	}
}

// vet lets a slip go on, or gives it up.
func (p *pump) vet(ctx context.Context, v vet) {
	p.mu.Lock()
	p.vetting++
	p.mu.Unlock()
	p.launch(ctx, v.slip, func(ctx context.Context, d *delivery) error {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.vetting--
		}()
		if v.err != nil {
			return d.forbid(ctx, v.err)
		}
		letter, found, err := d.letter(ctx)
		if !found {
			return err
		}
		err = v.by.StillAllows(letter.Message)
		if err == nil && !letter.Message.Redirected { // its bodies are longer than those that came
			err = v.by.AllowsSize(bodyBytes(letter.Message))
		}
		if err != nil {
			return d.forbid(ctx, err)
		}
		d.slip.Terms, d.slip.NotBefore = v.by.Terms(), time.Time{}
		return d.returned(ctx)
	})
}

// bodyBytes is how long the body of m's request was at least: an upload came beside it.
func bodyBytes(m *mail.Message) int64 {
	n := m.Bytes()
	for _, a := range m.Attachments {
		if a.UploadID != "" {
			n -= len(a.Content)
		}
	}
	return int64(n)
}

// letter opens the letter of a slip. If it is not found, the slip was dealt with.
func (d *delivery) letter(ctx context.Context) (letter spool.Message, found bool, err error) {
	letter, found, err = d.Spool.ReadMessage(ctx, d.slip.Key)
	switch {
	case err != nil && !problem.Is(err, problem.Internal):
		return letter, false, err
	case err != nil || !found:
		return letter, false, d.withoutLetter(ctx, err)
	}
	return letter, true, nil
}
