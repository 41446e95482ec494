package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

type quotaCommands struct {
	Show   showQuota   `cmd:"" help:"Compare the limits in the settings with the linked domains."`
	Report reportQuota `cmd:"" help:"Write a request for higher limits, with its evidence."`
}

type showQuota struct{ reporting }

func (showQuota) Help() string {
	return examples("posthorn quota show", "posthorn quota show --json")
}

// quotaState is what quota show tells.
type quotaState struct {
	Service   string        `json:"service"`
	From      string        `json:"settingsFrom"`
	Tier      string        `json:"tier"` // POSTHORN_QUOTA
	PerMinute int           `json:"perMinute"`
	PerHour   int           `json:"perHour"`
	Domains   []quotaDomain `json:"linkedDomains"`
	Agrees    bool          `json:"agrees"`
	Wrong     string        `json:"wrong,omitempty"`
	Mend      string        `json:"mend,omitempty"` // a command line, or what to do
	Usage     *quotaUsage   `json:"usage"`          // of custom domains; nil: none is linked, or it cannot be read here
	// Managed is that of the Azure-managed domain; nil: not linked, or it cannot be read here.
	Managed *quotaUsage `json:"managedUsage,omitempty"`
}

type quotaDomain struct {
	Domain  string `json:"domain"`
	Managed bool   `json:"managed"`
}

type quotaUsage struct {
	PerMinute  int `json:"perMinute"` // by the settings that are here
	PerHour    int `json:"perHour"`
	LeftMinute int `json:"leftOfThisMinute"`
	LeftHour   int `json:"leftOfThisHour"`
	Waiting    int `json:"waiting"`
}

func (cmd *showQuota) Run(ctx context.Context, c *console, cl cloud) error {
	tier, from, err := cl.quotaSettings(ctx, c)
	if err != nil {
		return err
	}
	domains, err := cl.sendingDomains(ctx, c)
	if err != nil {
		return err
	}
	q := quotaState{Service: cl.at.Service.Name(), From: from, Domains: []quotaDomain{}}
	for i := range domains {
		if domains[i].linked {
			q.Domains = append(q.Domains, quotaDomain{domains[i].Sends(), domains[i].Managed()})
		}
	}
	q.judge(tier, cl.at.Site)
	if err := q.readUsage(ctx, c); err != nil {
		return err
	}
	if cmd.JSON {
		return c.asJSON(q)
	}
	return q.print(c)
}

// quotaSettings are POSTHORN_QUOTA and what belongs to it: of the function app, or else as
// "posthorn connect" has seen them.
func (cl cloud) quotaSettings(ctx context.Context, c *console) (values map[string]string, from string, err error) {
	if cl.at.Site == "" {
		return cl.at.Settings, "connection", nil
	}
	values, err = cl.AppSettings(ctx, cl.at.Site)
	if azure.IsKind(err, azure.Forbidden) {
		c.tell("The settings of the function app cannot be read. Posthorn uses the settings that \"posthorn connect\" read last. %s", firstSentenceOf(err))
		return cl.at.Settings, "connection", nil
	}
	return values, "function app " + cl.at.Site.Name(), err
}

func firstSentenceOf(err error) string {
	if fault, ok := errors.AsType[*azure.Error](err); ok && fault.Kind == azure.Forbidden {
		return roleAdvice(fault)
	}
	return err.Error()
}

// readUsage adds what the ledgers have left, if they can be read.
func (q *quotaState) readUsage(ctx context.Context, c *console) error {
	d, err := c.open()
	if err == nil && slices.ContainsFunc(q.Domains, func(d quotaDomain) bool { return !d.Managed }) {
		q.Usage, err = quotaNow(ctx, d, mail.CustomDomain)
	}
	if err == nil && slices.ContainsFunc(q.Domains, func(d quotaDomain) bool { return d.Managed }) {
		q.Managed, err = quotaNow(ctx, d, mail.ManagedDomain)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		c.tell("The remaining quota is not known: %s.", firstLine(err))
		return nil
	}
	return err
}

// quotaNow is what the ledger of a kind of domain has left.
func quotaNow(ctx context.Context, d deployment, domain mail.DomainKind) (*quotaUsage, error) {
	u, err := d.Gateway.Usage(ctx, domain, caller.Caller{})
	if err != nil {
		return nil, err
	}
	return &quotaUsage{u.Limits.PerMinute, u.Limits.PerHour, u.RemainingMinute, u.RemainingHour, u.WaitingAll}, nil
}

// ofManaged is a line about the quota of the Azure-managed domain.
func ofManaged(what string, left, limit int) [2]string {
	return [2]string{what + " (Azure-managed)", fmt.Sprintf("%d of %d", left, limit)}
}

// judge reads the settings, and compares them with the linked domains.
// Limits: learn.microsoft.com/azure/communication-services/concepts/service-limits, Email.
func (q *quotaState) judge(values map[string]string, site azure.ID) {
	q.Tier = cmp.Or(values[quotaSetting], quotaCustom)
	s := settings.Settings{Quota: q.Tier}
	if q.Tier == "custom" {
		var minuteErr, hourErr error
		s.QuotaPerMinute, minuteErr = strconv.Atoi(values["POSTHORN_QUOTA_PER_MINUTE"])
		s.QuotaPerHour, hourErr = strconv.Atoi(values["POSTHORN_QUOTA_PER_HOUR"])
		if minuteErr != nil || hourErr != nil {
			q.Wrong = "POSTHORN_QUOTA is custom, but its limits are missing or not numbers. The handler does not start."
			q.Mend = setLine(site, "POSTHORN_QUOTA_PER_MINUTE=N", "POSTHORN_QUOTA_PER_HOUR=N")
			return
		}
	}
	limits := wiring.SendLimits(s)
	q.PerMinute, q.PerHour = limits.PerMinute, limits.PerHour
	managed, own := 0, 0
	for _, d := range q.Domains {
		if d.Managed {
			managed++
		} else {
			own++
		}
	}
	most := quota.ManagedDomainSend
	switch {
	case managed+own == 0:
		q.Wrong, q.Mend = "No domain is linked, so nothing can be sent.", "posthorn domain list"
	case own == 0 && (q.PerMinute > most.PerMinute || q.PerHour > most.PerHour):
		q.Wrong = fmt.Sprintf("Only the Azure-managed domain is linked. It may send %d a minute and %d an hour. Microsoft does not raise these limits.", most.PerMinute, most.PerHour)
		q.Mend = setLine(site, quotaSetting+"="+quotaManaged)
	case own > 0 && q.Tier == quotaManaged:
		most = quota.CustomDomainSend
		q.Wrong = fmt.Sprintf("Your own domain is linked. It may send %d a minute and %d an hour. The setting allows less.", most.PerMinute, most.PerHour)
		q.Mend = setLine(site, quotaSetting+"="+quotaCustom)
	default:
		q.Agrees = true
	}
}

// setLine is the line of the Azure CLI that changes settings. The app begins anew.
func setLine(site azure.ID, values ...string) string {
	return "az functionapp config appsettings set " + words(append([]string{"--subscription", site.Subscription(), "--resource-group", site.Group(), "--name", site.Name(), "--settings"}, values...)...)
}

func (q *quotaState) print(c *console) error {
	domains := make([]string, len(q.Domains))
	for i, d := range q.Domains {
		domains[i] = d.Domain
		if d.Managed {
			domains[i] += " (Azure-managed)"
		}
	}
	lines := [][2]string{
		{quotaSetting, q.Tier}, {"settings from", q.From},
		{"messages a minute", strconv.Itoa(q.PerMinute)}, {"messages an hour", strconv.Itoa(q.PerHour)},
		{"linked domains", cmp.Or(strings.Join(domains, ", "), "none")},
		{"fits the linked domains", yesOrNo(q.Agrees)},
	}
	if u := q.Usage; u != nil {
		lines = append(lines, [2]string{"left of this minute", fmt.Sprintf("%d of %d", u.LeftMinute, u.PerMinute)}, [2]string{"left of this hour", fmt.Sprintf("%d of %d", u.LeftHour, u.PerHour)},
			[2]string{"messages waiting for quota", strconv.Itoa(u.Waiting)})
	}
	if u := q.Managed; u != nil {
		lines = append(lines, ofManaged("left of this minute", u.LeftMinute, u.PerMinute), ofManaged("left of this hour", u.LeftHour, u.PerHour),
			[2]string{"messages waiting for quota (Azure-managed)", strconv.Itoa(u.Waiting)})
	}
	err := c.details(lines...)
	if q.Wrong != "" {
		c.tell("%s\n%s", q.Wrong, q.Mend)
	}
	return err
}
