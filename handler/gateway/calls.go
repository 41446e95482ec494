package gateway

import (
	"cmp"
	"hash/fnv"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
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
func (g *Gateway) formCap(domain mail.DomainKind) int {
	perHour := max(g.Sends[domain].Limits().PerHour, 1)
	return min(max(formPercent, (100*formLeast+perHour-1)/perHour), 50)
}

// mostWaiting is the usual bound on what waits of a caller: as many as the whole quota can
// send in the longest time that a message waits. More could never go in time.
func (g *Gateway) mostWaiting(domain mail.DomainKind) int {
	return max(fewestWaiting, g.Sends[domain].Limits().PerHour*int(mail.MaxWait.Hours()))
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

// callOf is what the ledger must know of a queued message.
func callOf(e *spool.Entry) quota.Call {
	c := quota.Call{Caller: e.Line.Caller, Class: quota.Class(max(e.Line.Class, e.Class)), Cost: e.Cost, Share: e.Share, Cap: e.Cap, Sender: e.Sender}
	if e.Line.Form != "" {
		c = ofForm(c, e.Line.Form, e.FormCap)
	}
	return c
}

// call is what the ledger must know of a message of a request.
func (g *Gateway) call(req Request, m *mail.Message) quota.Call {
	c := req.Caller
	q := quota.Call{
		Caller: c.Name, Class: quota.Normal, Cost: 1, Share: c.Policy.Share, Cap: c.Policy.Cap, Sender: senderOf(m),
		MostWaiting: cmp.Or(c.Policy.MaxWaiting, g.mostWaiting(mail.DomainKindOf(m.SenderAddress))),
	}
	if f := req.Form; f != nil {
		q = ofForm(q, req.Hook, cmp.Or(f.Cap, g.formCap(mail.DomainKindOf(m.SenderAddress))))
		q.MostWaiting = f.MaxWaiting
	}
	if m.Delivery.Priority != "" {
		q.Class = classOf(m.Delivery.Priority)
	}
	if g.CostRecipients {
		q.Cost = len(m.Recipients.All())
	}
	return q
}

// senderOf stands for the address that a message is from, and is never 0.
func senderOf(m *mail.Message) uint32 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(m.SenderAddress)))
	return max(h.Sum32(), 1)
}

// classOf is the class of a priority, the most urgent one if it is empty.
func classOf(p mail.Priority) quota.Class {
	switch p {
	case mail.PriorityNormal:
		return quota.Normal
	case mail.PriorityBulk:
		return quota.Bulk
	}
	return quota.High
}
