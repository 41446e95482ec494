package gateway

import (
	"context"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Form says how much a form may send. To the ledger it is a part of its caller, with lines
// and a cap of its own, so that what strangers send holds up nothing of the caller's.
type Form struct {
	Cap        int // at most this percent of the hourly quota; 0 means formCap
	MaxWaiting int // messages; 0 means no bound
}

const (
	// formPercent is what a form may use of the hourly quota, but formLeast messages are
	// let through, as far as they are no more than half of it.
	formPercent = 10
	formLeast   = 5
	// fewestWaiting may wait of any caller, however small the quota is.
	fewestWaiting = 1000
)

// formCap is the usual cap of a form, in percent.
func (g *Gateway) formCap() int {
	perHour := max(g.Sends.Limits().PerHour, 1)
	return min(max(formPercent, (100*formLeast+perHour-1)/perHour), 50)
}

// mostWaiting is the usual bound on what waits of a caller: as many as the whole quota can
// send in the longest time that a message waits. More could never go in time.
func (g *Gateway) mostWaiting() int {
	return max(fewestWaiting, g.Sends.Limits().PerHour*int(mail.MaxWait.Hours()))
}

// ofForm is a call of a caller as one of its forms makes it. A share is the caller's own.
func ofForm(c quota.Call, form string, percent int) quota.Call {
	c.Caller, c.Share, c.WholeCap, c.Cap = partName(c.Caller, form), 0, c.Cap, percent
	return c
}

// partName is what the ledger calls a form of a caller, or the caller itself. Neither name
// has a slash in it.
func partName(caller, form string) string {
	if form == "" {
		return caller
	}
	return caller + "/" + form
}

func splitPart(name string) (caller, form string) {
	caller, form, _ = strings.Cut(name, "/")
	return caller, form
}

// admit refuses a message for which there is no place to wait, before anything is written
// of it. A repeat of one that was taken passes, and hears what became of that.
func (g *Gateway) admit(ctx context.Context, p *parcel) error {
	if p.by.Policy.Sandbox { // nothing of it waits
		return nil
	}
	waits := p.terms.Wait && (p.late || p.by.Pause != nil || g.Sends.Busy(p.call)) || !p.terms.SendAt.IsZero()
	if !waits {
		return nil
	}
	crowded := g.Sends.Crowded(ctx, p.call)
	if !problem.Is(crowded, problem.TooManyQueued) {
		return nil // whatever else is wrong, the ledger says again
	}
	if p.named {
		if _, err := g.Records.Find(ctx, p.rec.Caller, p.rec.ID); !problem.Is(err, problem.NotFound) {
			return err
		}
	}
	g.discard(ctx, p)
	return crowded
}
