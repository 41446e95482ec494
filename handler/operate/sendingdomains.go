package main

import (
	"context"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// sendingDomain is a domain that mail may come from.
type sendingDomain struct {
	azure.Domain
	linked bool
}

// sendingDomains are those of the connected Email Service, and those of other ones that
// are linked. A linked domain that this account cannot read is told, and left out.
func (cl cloud) sendingDomains(ctx context.Context, c *console) ([]sendingDomain, error) {
	switch {
	case cl.at.Service == "":
		return nil, errNoService
	case cl.at.EmailService == "":
		return nil, errNoEmailService
	}
	service, err := cl.Service(ctx, cl.at.Service)
	if err != nil {
		return nil, err
	}
	own, err := cl.Domains(ctx, cl.at.EmailService)
	if err != nil {
		return nil, err
	}
	all := make([]sendingDomain, 0, len(own))
	for i := range own {
		all = append(all, sendingDomain{Domain: own[i]})
	}
	for _, id := range service.Properties.LinkedDomains {
		if i := slices.IndexFunc(all, func(d sendingDomain) bool { return azure.SameID(d.ID, id) }); i >= 0 {
			all[i].linked = true
			continue
		}
		d, err := cl.Domain(ctx, id)
		if azure.IsKind(err, azure.Forbidden) || azure.IsKind(err, azure.NotFound) {
			c.tell("The domain %s is linked, and cannot be read: %s.", id, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, sendingDomain{d, true})
	}
	return all, nil
}

// named finds a domain by what stands behind the @, or by the resource's name.
func named(all []sendingDomain, name string) (sendingDomain, error) {
	for _, d := range all {
		if strings.EqualFold(d.Sends(), name) || strings.EqualFold(d.ID.Name(), name) {
			return d, nil
		}
	}
	known := make([]string, len(all))
	for i := range all {
		known[i] = all[i].Sends()
	}
	slices.Sort(known)
	return sendingDomain{}, &azure.Error{What: "find the domain " + name, Kind: azure.NotFound, Message: "the domains here are " + orDash(known)}
}
