package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Whether a condition is met, in the order in which they are told.
const (
	unmet      = "no"
	unanswered = "unknown"
	met        = "yes"
)

// condition is what Microsoft wants before it raises a quota.
// Source: learn.microsoft.com/azure/communication-services/concepts/email/email-quota-increase.
type condition struct {
	What   string `json:"what"`
	Met    string `json:"met"` // no, unknown, yes
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"`
}

// rampDays are how long a domain is to send little before it sends much: two weeks, or
// better four. Source: learn.microsoft.com/azure/communication-services/concepts/service-limits.
const (
	rampDays     = 14
	longRampDays = 28
)

// conditions are all of them, those that are not met first.
func (r *quotaReport) conditions(missing []string) []condition {
	var all []condition
	own := 0
	for i := range r.Domains {
		d := &r.Domains[i]
		if !d.Managed {
			own++
			all = append(all, d.dnsCondition(), d.rampCondition())
		}
		all = append(all, d.failureCondition())
	}
	linked := condition{What: "A domain of your own is linked", Met: met, Detail: fmt.Sprintf("%d linked.", own)}
	if own == 0 {
		linked = condition{linked.What, unmet, "Microsoft does not raise the quota of the Azure-managed domain.", `run "posthorn domain add NAME"`}
	}
	form := condition{What: "All questions are answered", Met: met, Detail: "No answer is missing."}
	if len(missing) > 0 {
		form.Met, form.Detail, form.Do = unmet, "The text has gaps for "+strings.Join(missing, ", ")+".", "add these flags"
	}
	lists := condition{"No block list has the domain", unanswered, "Posthorn does not ask block lists.", "check https://check.spamhaus.org"}
	all = append([]condition{linked}, append(all, lists, form)...)
	slices.SortStableFunc(all, func(a, b condition) int { return cmp.Compare(rank(a.Met), rank(b.Met)) })
	return all
}

func rank(answer string) int { return slices.Index([]string{unmet, unanswered, met}, answer) }

func (d *reportDomain) dnsCondition() condition {
	c := condition{What: "SPF, DKIM, DMARC and MX of " + d.Domain + " are in place", Met: met, Detail: "Its DNS servers confirm it."}
	var wrong []string
	for _, s := range d.DNS {
		if s.Level != "green" {
			wrong = append(wrong, s.Kind+": "+s.Detail)
		}
	}
	switch {
	case len(wrong) == 0 && len(d.DNS) > 0:
		return c
	case slices.ContainsFunc(d.DNS, func(s dnsState) bool { return s.Level == "red" }):
		c.Met = unmet
	default:
		c.Met = unanswered
	}
	c.Detail, c.Do = cmp.Or(strings.Join(wrong, " "), "DNS was not asked."), fmt.Sprintf("run \"posthorn doctor --domain %s\"", d.Domain)
	return c
}

func (d *reportDomain) rampCondition() condition {
	c := condition{What: d.Domain + " has sent little for two to four weeks", Met: met}
	switch {
	case d.Delivery == nil:
		c.Met, c.Detail = unanswered, "The metrics could not be read."
	case d.Delivery.FirstDay == "":
		c.Met, c.Detail, c.Do = unmet, "It has sent nothing yet.", "send a little each day"
	case d.Delivery.days < rampDays:
		c.Met, c.Detail, c.Do = unmet, fmt.Sprintf("It has sent for %d days.", d.Delivery.days), fmt.Sprintf("send a little each day until it has sent for %d", rampDays)
	case d.Delivery.days < longRampDays:
		c.Detail = fmt.Sprintf("It has sent for %d days. Four weeks are better.", d.Delivery.days)
	default:
		c.Detail = fmt.Sprintf("It has sent for %d days or more.", d.Delivery.days)
	}
	return c
}

func (d *reportDomain) failureCondition() condition {
	c := condition{What: fmt.Sprintf("Less than %g %% of %s fails", alarmPercent, d.Domain), Met: met}
	switch {
	case d.Delivery == nil:
		c.Met, c.Detail = unanswered, "The metrics could not be read."
	case d.Delivery.Recipients == 0:
		c.Met, c.Detail = unanswered, "It has sent nothing in these days."
	default:
		c.Detail = fmt.Sprintf("%.2f %% failed.", d.Delivery.FailurePercent)
		switch d.Delivery.Level {
		case "red":
			c.Met, c.Do = unmet, "remove addresses that bounce from your lists"
		case "yellow":
			c.Do = fmt.Sprintf("find out why it is %g %% or more", warnPercent)
		}
	}
	return c
}

// planStep is how many messages a day are sent from a day on; the first day is 1.
type planStep struct {
	From   int   `json:"fromDay"`
	PerDay int64 `json:"perDay"`
}

// planEvery is after how many days the amount doubles: a thousandfold takes four weeks,
// as Microsoft advises.
const planEvery = 3

// planStart is where a plan begins that has little or nothing to begin with.
const planStart = 100

// rampPlan rises from the busiest day so far to the wanted amount a day.
func rampPlan(busiestDay, wanted int64) (steps []planStep) {
	if wanted <= 0 {
		return nil
	}
	amount := max(busiestDay, planStart)
	for from := 1; ; from += planEvery {
		if amount >= wanted {
			return append(steps, planStep{from, wanted})
		}
		steps = append(steps, planStep{from, amount})
		amount += min(amount, wanted-amount)
	}
}
