package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/operate/azure"
)

func (f *facts) checkMail(a *area) {
	if f.at.Service == "" {
		a.red(deployAgain, "no Communication Services resource has the host name of POSTHORN_ACS_ENDPOINT")
		return
	}
	if _, ok := known(a, f.acs, "Communication Services", "Check POSTHORN_ACS_ENDPOINT."); ok {
		a.green("it answers") // any status is an answer
	}
	s, ok := known(a, f.service, "Communication Services resource", deployAgain)
	if !ok {
		return
	}
	if endpoint := f.setting(acsEndpoint); !strings.EqualFold(hostOf(endpoint), s.Properties.HostName) {
		a.red(f.set("POSTHORN_ACS_ENDPOINT=https://"+s.Properties.HostName), "POSTHORN_ACS_ENDPOINT is not the address of %s", s.ID.Name())
	}
	if state := s.Properties.State; state != "" && state != "Succeeded" {
		a.red(deployAgain, "the resource is in the state %s", state)
	}
	if s.Properties.DisableLocalAuth {
		a.green("access keys are off")
	} else {
		a.yellow("az resource update --ids "+word(string(s.ID))+" --set properties.disableLocalAuth=true", "access keys work: anyone with a key can send from any of your addresses")
	}
}

// checkDomains looks at what is linked, who may send, and how much.
func (f *facts) checkDomains(a *area) {
	s, ok := known(a, f.service, "linked domains", deployAgain)
	if !ok {
		return
	}
	all, ok := known(a, f.domains, "domains", deployAgain)
	if !ok {
		return
	}
	linked := f.linked()
	if len(s.Properties.LinkedDomains) == 0 {
		a.red("posthorn domain link NAME", "no domain is linked: nothing is sent")
	}
	if n := len(s.Properties.LinkedDomains) - len(linked); n > 0 {
		a.yellow("Check the other Email Service in the Azure portal.", "%d linked domains belong to another Email Service: not checked", n)
	}
	for _, d := range all {
		f.checkDomain(a, d, slices.ContainsFunc(linked, func(l azure.Domain) bool { return l.ID == d.ID }))
	}
	f.checkQuota(a, s.Properties.LinkedDomains)
}

func (f *facts) checkDomain(a *area, d azure.Domain, linked bool) {
	name := d.Sends()
	switch {
	case !linked && d.Managed():
		a.yellow("posthorn domain link "+word(d.ID.Name()), "the Azure-managed domain is not linked")
	case !linked && d.Verified():
		a.yellow("posthorn domain link "+word(name), "%s is verified, but not linked", name)
	case !linked:
		a.yellow("posthorn domain status "+word(name), "%s is not verified yet, and not linked", name)
	case !d.Verified():
		a.red("posthorn domain status "+word(name), "%s is linked, and no longer verified: %s", name, statesOf(d))
	default:
		a.green("%s is verified and linked", name)
	}
	if !linked {
		return
	}
	if strings.EqualFold(d.Properties.Tracking, "Enabled") {
		a.yellow("az communication email domain update --ids "+word(string(d.ID))+" --user-engmnt-tracking Disabled", "%s: engagement tracking is on: links in mail are rewritten, and recipients are watched", name)
	} else {
		a.green("engagement tracking is off")
	}
	if d.Managed() {
		most := quota.ManagedDomainSend
		a.green("%s sends %d messages a minute and %d an hour, whatever POSTHORN_QUOTA says", name, most.PerMinute, most.PerHour)
		return // its sender DoNotReply is always there
	}
	if senders, ok := known(a, *f.senders[d.ID], name+": senders", "posthorn sender list"); ok && len(senders) == 0 {
		a.red("posthorn sender add "+word("donotreply@"+name), "%s has no sender: nothing can be sent from it", name)
	} else if ok {
		a.green("%d senders", len(senders))
	}
}

func statesOf(d azure.Domain) string {
	var states []string
	for _, kind := range azure.Verifications() {
		if s := d.Properties.States[kind].Status; s != azure.StatusVerified {
			states = append(states, fmt.Sprintf("%s is %s", kind, s))
		}
	}
	return strings.Join(states, ", ")
}

// checkQuota holds the setting against what is linked. The limits of the Azure-managed domain
// are fixed; but the setting also sets the limits of status requests.
func (f *facts) checkQuota(a *area, linked []azure.ID) {
	if _, ok := known(a, f.settings, "quota", deployAgain); !ok || len(linked) == 0 {
		return
	}
	set := cmp.Or(f.setting(quotaSetting), quotaCustom)
	switch custom := quotaFor(linked) == quotaCustom; {
	case custom && set == quotaManaged:
		a.red(f.set(quotaSetting+"="+quotaCustom), "POSTHORN_QUOTA is managed-domain, 10 messages an hour, although a domain of your own is linked")
	case !custom && set != quotaManaged:
		a.yellow(f.set(quotaSetting+"="+quotaManaged), "POSTHORN_QUOTA is %s, but only the Azure-managed domain is linked: ACS answers %d status requests an hour for it", set, quota.ManagedDomainStatus.PerHour)
	default:
		a.green("the quota %s fits the linked domains", set)
	}
}

func (f *facts) checkDNS(a *area) {
	custom := 0
	for _, d := range f.linked() {
		if d.Managed() {
			continue
		}
		custom++
		report, ok := known(a, *f.zones[d.ID], d.Sends(), "")
		if !ok {
			continue
		}
		if len(report.Findings) == 0 {
			a.yellow("posthorn doctor --domain "+word(d.Sends()), "%s: not checked", d.Sends())
		}
		for _, found := range report.Findings {
			a.add(found.Level, found.Remedy, "%s: %s", d.Sends(), strings.TrimSuffix(found.Sentence, "."))
		}
	}
	if !f.service.done || f.service.err != nil || !f.domains.done || f.domains.err != nil {
		a.yellow("Correct the errors of domains above.", "not checked: the linked domains are not known")
	} else if custom == 0 {
		a.green("the Azure-managed domain needs no records")
	}
}

// Names of infra's.
const (
	reportsQueue = "posthorn-reports"
	deadEvents   = "posthorn-dead-events"
	reportType   = "Microsoft.Communication.EmailDeliveryReportReceived"
)

// deadDays is how far back dead letters are counted.
const deadDays = 7

// checkReports looks at the way of delivery reports into their queue.
func (f *facts) checkReports(a *area) {
	if f.at.Service == "" {
		a.yellow("Correct the errors of mail above.", "not checked: the Communication Services resource is not known")
		return
	}
	topic, ok := known(a, f.topic, "delivery reports", deployAgain)
	if !ok {
		return
	}
	if s := topic.Properties.State; s != "" && s != "Succeeded" {
		a.red(deployAgain, "the system topic is in the state %s", s)
	}
	list, ok := known(a, f.subscriptions, "event subscriptions", deployAgain)
	if !ok {
		return
	}
	list = slices.DeleteFunc(list, func(s azure.EventSubscription) bool {
		types := s.Properties.Filter.Types // none: all that the topic has
		return len(types) > 0 && !slices.Contains(types, reportType)
	})
	if len(list) == 0 {
		a.red(deployAgain, "no event subscription takes delivery reports")
		return
	}
	ours := slices.IndexFunc(list, func(s azure.EventSubscription) bool {
		to := s.Destination()
		return to != nil && to.Properties.Queue == reportsQueue
	})
	if f.checkSubscription(a, list[max(0, ours)]) {
		f.checkRoles(a, true)
	}
	dead, ok := known(a, f.dead, "dead letters of Event Grid", deployAgain)
	switch {
	case ok && dead > 0:
		a.yellow("Check the container "+deadEvents+" of the storage account: each blob says why.", "%d delivery reports failed within %d days", dead, deadDays)
	case ok:
		a.green("no delivery report was lost in %d days", deadDays)
	}
}

// checkSubscription tells whether reports have a queue.
func (f *facts) checkSubscription(a *area, s azure.EventSubscription) (arrives bool) {
	p := s.Properties
	if p.State != "" && p.State != "Succeeded" {
		a.red(deployAgain, "the event subscription %s is in the state %s", s.ID.Name(), p.State)
	} else {
		a.green("the event subscription is ready")
	}
	to, dead := s.Destination(), p.DeadLetter.Destination
	if dead == nil {
		dead = p.DeadLetterPlain
	}
	if dead == nil {
		a.yellow(deployAgain, "undeliverable reports have no container: they are lost")
	}
	if to == nil || to.Type != "StorageQueue" {
		a.yellow("Check the event subscription in the Azure portal.", "reports do not go to a storage queue: the rest of their way is not checked")
		return false
	}
	if f.account.value.ID == "" {
		a.unread("queue of reports", errUnasked, "")
		return false
	}
	if !azure.SameID(to.Properties.Account, f.account.value.ID) {
		a.yellow("Check the event subscription in the Azure portal.", "reports go to a queue of another storage account: it is not checked")
		return false
	}
	there, ok := known(a, f.queues, "queue of reports", deployAgain)
	switch {
	case !ok:
	case to.Properties.Queue != reportsQueue:
		a.red(deployAgain, "reports go to the queue %s, and Posthorn reads %s", to.Properties.Queue, reportsQueue)
	case slices.ContainsFunc(there, func(r azure.Resource) bool { return r.ID.Name() == to.Properties.Queue }):
		a.green("its queue exists")
		return f.checkBearer(a, p.WithIdentity.Destination != nil)
	default:
		a.red("az storage queue create --auth-mode login --account-name "+word(f.account.value.ID.Name())+" --name "+word(to.Properties.Queue), "the queue %s of delivery reports does not exist", to.Properties.Queue)
	}
	return false
}

// checkBearer tells how Event Grid identifies itself to the queue. known says that the topic
// has an identity whose roles can be checked.
func (f *facts) checkBearer(a *area, withIdentity bool) (known bool) {
	switch who := f.topic.value.Identity; {
	case !withIdentity && f.account.value.Properties.SharedKeys != nil && !*f.account.value.Properties.SharedKeys:
		a.red(deployAgain, "Event Grid delivers reports with an account key, but keys are off")
	case !withIdentity: // with a key
	case who.PrincipalID != "":
		return true
	case strings.Contains(who.Type, "UserAssigned"):
		a.yellow("Check the roles of the system topic's identity in the Azure portal.", "roles of Event Grid: not checked: the topic has a user-assigned identity")
	default:
		a.red(deployAgain, "the system topic has no identity: Event Grid cannot write into the queue")
	}
	return false
}

func (f *facts) checkTelemetry(a *area) {
	if _, ok := known(a, f.settings, "telemetry", deployAgain); !ok {
		return
	}
	own, host := f.setting("POSTHORN_AZURE_MONITOR_CONNECTION_STRING") != "", f.setting("APPLICATIONINSIGHTS_CONNECTION_STRING") != ""
	switch {
	case f.setting("OTEL_EXPORTER_OTLP_ENDPOINT") != "":
		a.green("telemetry is sent by OTLP")
	case !own:
		a.yellow("Set OTEL_EXPORTER_OTLP_ENDPOINT, or POSTHORN_AZURE_MONITOR_CONNECTION_STRING: docs/operate.md.", "Posthorn sends no telemetry")
	}
	if !own && !host {
		return
	}
	c, ok := known(a, f.component, "Application Insights", "Check the connection string in the settings.")
	switch keyless := c.Properties.DisableLocalAuth; {
	case !ok:
	case keyless && own && f.setting("POSTHORN_AZURE_MONITOR_IDENTITY") != "true":
		a.red(f.set("POSTHORN_AZURE_MONITOR_IDENTITY=true"), "Application Insights accepts no key, but Posthorn does not use its identity")
	case keyless && host && !strings.Contains(f.setting("APPLICATIONINSIGHTS_AUTHENTICATION_STRING"), "Authorization=AAD"):
		a.red(f.set("APPLICATIONINSIGHTS_AUTHENTICATION_STRING=ClientId="+f.client()+";Authorization=AAD"), "Application Insights accepts no key, but the host does not use the identity")
	default:
		a.green("telemetry is sent to %s", c.ID.Name())
	}
}
