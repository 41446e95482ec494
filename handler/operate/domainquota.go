package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/operate/azure"
)

// links are the linked domains, and the quota that the function app is set to; empty if it
// is not known.
type links struct {
	domains []azure.ID
	quota   string
}

// links reads both. An account that may not read the app's settings gets the quota that
// the connection has.
func (cl cloud) links(ctx context.Context) (l links, err error) {
	if cl.at.Service == "" {
		return l, errNoService
	}
	service, err := cl.Service(ctx, cl.at.Service)
	if err != nil {
		return l, err
	}
	l = links{service.Properties.LinkedDomains, cl.at.Settings[quotaSetting]}
	if cl.at.Site != "" {
		if settings, err := cl.AppSettings(ctx, cl.at.Site); err == nil {
			l.quota = cmp.Or(settings[quotaSetting], quotaCustom)
		}
	}
	return l, nil
}

// quotaFor is the setting that fits linked domains; empty if any does.
func quotaFor(linked []azure.ID) string {
	switch {
	case len(linked) == 0:
		return ""
	case slices.ContainsFunc(linked, func(id azure.ID) bool { return !isManaged(id) }):
		return quotaCustom
	}
	return quotaManaged
}

func isManaged(domain azure.ID) bool { return strings.EqualFold(domain.Name(), managedName) }

// fitQuota makes the setting of the function app fit the linked domains. A quota that
// Microsoft has raised ("custom") stays.
func (r relinking) fitQuota(ctx context.Context, linked []azure.ID) error {
	want := quotaFor(linked)
	if want == "" {
		return nil
	}
	if r.at.Site == "" {
		r.tell("The function app is not known. Set %s=%s in its settings.", quotaSetting, want)
		return nil
	}
	settings, err := r.AppSettings(ctx, r.at.Site)
	if err != nil {
		return fmt.Errorf("the domains are changed, but %s may not fit them: %w", quotaSetting, err)
	}
	has := cmp.Or(settings[quotaSetting], quotaCustom)
	switch {
	case has == want || has != quotaManaged && has != quotaCustom:
		return r.rememberQuota(has)
	case r.KeepQuota:
		r.tell("%s stays %s, though %s fits the linked domains.", quotaSetting, has, want)
		return nil
	case r.DryRun:
		r.tell("%s would change from %s to %s. The function app would restart.", quotaSetting, has, want)
		return nil
	}
	if err := r.ChangeAppSettings(ctx, r.at.Site, map[string]string{quotaSetting: want}); err != nil {
		return fmt.Errorf("the domains are changed, but %s is still %s: %w", quotaSetting, has, err)
	}
	r.tell("Changed %s from %s to %s. The function app restarts. No message is lost.", quotaSetting, has, want)
	if want == quotaCustom && slices.ContainsFunc(linked, isManaged) {
		most := quota.ManagedDomainSend
		r.tell("The Azure-managed domain still sends %d messages a minute and %d an hour.", most.PerMinute, most.PerHour)
	}
	return r.rememberQuota(want)
}

// rememberQuota keeps the setting in the file of the connection, which commands read.
func (r relinking) rememberQuota(value string) error {
	if r.DryRun || cmp.Or(r.at.Settings[quotaSetting], quotaCustom) == value {
		return nil
	}
	at := r.at
	at.Settings = maps.Clone(at.Settings)
	if at.Settings == nil {
		at.Settings = map[string]string{}
	}
	at.Settings[quotaSetting] = value
	return r.keep(at)
}
