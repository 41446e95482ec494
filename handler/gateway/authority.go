package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
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
	// mostReviews is how many queued messages are looked through at once, since what their
	// callers may send has changed.
	mostReviews = 8
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

// review is a queued message that is not sent, but looked at: its caller may not send any
// more (err), or something else than when the message was accepted.
type review struct {
	entry *spool.Entry
	by    caller.Caller
	err   error
}

// authorise leaves of heads what may leave now, as far as that can be told without the
// messages, under what its callers have now of the quota. A message to be reviewed holds
// up those behind it, so that their order is kept.
func (d *dispatcher) authorise(ctx context.Context, heads []*head) (reviews []review) {
	d.mu.Lock()
	free := mostReviews - d.reviewing
	d.mu.Unlock()
	for _, h := range heads {
		ready, behind := h.ready[:0], false
		for _, e := range h.ready {
			c, err := d.Authority.Sender(ctx, e.Line.Caller, e.Hook)
			revoked := problem.Is(err, problem.Forbidden)
			differs := err == nil && c.Pause == nil && c.Terms() != e.Terms
			behind = behind || differs
			switch {
			case (revoked || differs) && len(reviews) < free:
				h.Asked++
				reviews = append(reviews, review{e, c, err})
			case revoked, behind:
				h.hold(e, d.now.Add(shortestPoll))
			case err != nil:
				h.hold(e, d.now.Add(retryPause))
			case c.Pause != nil:
				h.hold(e, d.now.Add(pausedLook))
			default:
				e.Share, e.Cap, e.Class = c.Policy.Share, c.Policy.Cap, max(e.Line.Class, int(classOf(c.Policy.Priority)))
				ready = append(ready, e)
			}
		}
		h.ready = ready
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reviewing += len(reviews)
	return reviews
}

// review lets a queued message go on, or gives it up.
func (d *dispatcher) review(ctx context.Context, one *dispatched, r review) error {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reviewing--
	}()
	if r.err != nil {
		return one.look(ctx, outcome{result: forbidden, err: r.err})
	}
	m, _, err := one.open(ctx)
	if m == nil {
		return err
	}
	err = r.by.StillAllows(m)
	if err == nil && !m.Redirected { // its bodies are longer than those that came
		err = r.by.AllowsSize(bodyBytes(m))
	}
	if err != nil {
		return one.look(ctx, outcome{result: forbidden, err: err})
	}
	one.entry.Terms, one.entry.NotBefore = r.by.Terms(), time.Time{}
	return one.requeue(ctx)
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
