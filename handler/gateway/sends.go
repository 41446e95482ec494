package gateway

import (
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/mail"
)

// Sends are the ledgers of messages, one for each mail.DomainKind. ACS limits each kind by
// itself, so what one kind uses, or a 429 for it, holds up nothing of the other.
type Sends [2]*quota.Ledger

// NewSends makes the ledgers as quota.New does. limits are those of custom domains. Microsoft
// does not raise those of the Azure-managed domain, so they are fixed.
func NewSends(t quota.Table, limits quota.Limits, now func() time.Time, newID func() string, options ...quota.Options) Sends {
	return Sends{
		mail.CustomDomain:  quota.New(t, "send", limits, now, newID, options...),
		mail.ManagedDomain: quota.New(t, "send-managed", quota.ManagedDomainSend, now, newID, options...),
	}
}

// used says whether the ledger of a kind is to be looked at. Most deployments never send from
// the Azure-managed domain: its ledger costs nothing until this process has seen it.
func (s Sends) used(domain mail.DomainKind) bool {
	return domain == mail.CustomDomain || s[domain].View().Known
}

// each calls do for all ledgers, that of custom domains last, until one call fails. So the
// ledger of custom domains alone says whether all are paused.
func (s Sends) each(do func(*quota.Ledger) error) error {
	for _, l := range slices.Backward(s[:]) {
		if err := do(l); err != nil {
			return err
		}
	}
	return nil
}

// DomainsOf is the kind of domain from which a caller sends, and whether it sends from both
// kinds. Then the first is CustomDomain. A caller of any sender sends from both once the
// ledger of the Azure-managed domain is used.
func (g *Gateway) DomainsOf(c caller.Caller) (first mail.DomainKind, both bool) {
	custom, managed := false, false
	for _, pattern := range c.Policy.Senders {
		switch {
		case pattern == caller.Any:
			custom, managed = true, managed || g.Sends.used(mail.ManagedDomain)
		case mail.DomainKindOf(pattern) == mail.ManagedDomain:
			managed = true
		default:
			custom = true
		}
	}
	if managed && !custom {
		return mail.ManagedDomain, false
	}
	return mail.CustomDomain, managed
}
