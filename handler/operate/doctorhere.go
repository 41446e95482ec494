package main

import (
	"context"
	"errors"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/version"
)

// lookHere is the page for settings of the environment, such as those of `make run`:
// what can be seen without the Resource Manager.
func (c *console) lookHere(ctx context.Context, client *azure.Client) []finding {
	set, storage, mail, gateway := &area{name: "settings"}, &area{name: "storage"}, &area{name: "mail"}, &area{name: "gateway"}
	s, _, err := c.settings()
	if err != nil {
		return wrongSettings(err)
	}
	d, err := c.open()
	if err != nil {
		return wrongSettings(err)
	}
	set.green("all required settings are set")
	look := "Check the endpoints in the settings, the network, and the roles of your account."
	if _, err := d.Callers.All(ctx); err != nil {
		storage.red(look, "the tables cannot be read: %s", cause(err))
	} else {
		storage.green("the tables can be read")
	}
	if _, err := d.Gateway.Paused(ctx); err != nil {
		storage.red(look, "the quota cannot be read: %s", cause(err))
	} else {
		storage.green("the quota can be read")
	}
	f := &facts{version: version.String(), at: connection{Settings: map[string]string{"POSTHORN_PUBLIC_URL": s.PublicURL}}}
	get := func(to *read[azure.Answer], address string) {
		to.value, to.err = client.Get(ctx, address, "")
		to.done = true
	}
	get(&f.acs, s.ACSEndpoint)
	get(&f.alive, s.PublicURL+"/healthz")
	get(&f.ready, s.PublicURL+"/readyz")
	if _, ok := known(mail, f.acs, s.ACSEndpoint, "Check POSTHORN_ACS_ENDPOINT."); ok {
		mail.green("%s answers", s.ACSEndpoint)
	}
	f.checkGateway(gateway)
	c.tell("The settings come from the environment. The deployment in Azure is not checked.")
	return append(append(append(set.all, storage.all...), mail.all...), gateway.all...)
}

// cause is what is behind a problem, whose own sentence is for callers.
func cause(err error) string {
	if p, ok := errors.AsType[*problem.Problem](err); ok && errors.Unwrap(p) != nil {
		err = errors.Unwrap(p)
	}
	return err.Error()
}

// wrongSettings are the faults of the environment, a line each.
func wrongSettings(err error) []finding {
	set := &area{name: "settings"}
	for line := range strings.Lines(strings.TrimPrefix(err.Error(), "settings: ")) {
		set.red("Check docs/settings.md, or unset these variables and run \"posthorn connect\".", "%s", strings.TrimSpace(line))
	}
	return set.all
}
