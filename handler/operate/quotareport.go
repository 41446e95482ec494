package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// reportQuota is the command. What only the operator knows are its flags.
type reportQuota struct {
	Company     string `placeholder:"NAME" help:"Your company."`
	Site        string `placeholder:"URL" help:"Its website."`
	Business    string `hidden:"" placeholder:"TEXT" help:"Its business, in one line."`
	Kind        string `placeholder:"WORD" help:"transactional, marketing or promotional."`
	PerMinute   int64  `placeholder:"N" help:"Wanted messages a minute."`
	PerHour     int64  `placeholder:"N" help:"Wanted messages an hour."`
	PerDay      int64  `placeholder:"N" help:"Wanted messages a day."`
	OptIn       string `placeholder:"TEXT" help:"Where the addresses come from."`
	Unsubscribe string `hidden:"" placeholder:"TEXT" help:"How addresses leave your lists."`
	MessageSize bool   `help:"Ask for 30 MB a message instead."`
	Reason      string `hidden:"" placeholder:"TEXT" help:"Why 30 MB, where links would do."`
	resolving
	reporting
}

func (reportQuota) Help() string {
	return "A missing answer stands as […] in the text.\n\n" +
		examples(`posthorn quota report --company "Example Ltd" --kind transactional --per-day 20000 > request.md`,
			"posthorn quota report --message-size")
}

// kinds are the words of Microsoft's form.
var kinds = []string{"transactional", "marketing", "promotional"}

// Validate looks at the words.
func (cmd *reportQuota) Validate() error {
	switch {
	case cmd.Kind != "" && !slices.Contains(kinds, cmd.Kind):
		return errors.New("--kind is " + strings.Join(kinds[:2], ", ") + " or " + kinds[2])
	case cmd.PerMinute < 0 || cmd.PerHour < 0 || cmd.PerDay < 0:
		return errors.New("--per-minute, --per-hour and --per-day are above 0")
	}
	return nil
}

// open names the flags that are needed and were not given.
func (cmd *reportQuota) open() (missing []string) {
	flags := []struct {
		name  string
		given bool
		size  bool // for --message-size
		rate  bool // without it
	}{
		{"--company", cmd.Company != "", true, true}, {"--site", cmd.Site != "", true, true},
		{"--business", cmd.Business != "", true, true}, {"--kind", cmd.Kind != "", true, true},
		{"--per-minute", cmd.PerMinute > 0, false, true}, {"--per-hour", cmd.PerHour > 0, false, true},
		{"--per-day", cmd.PerDay > 0, false, true}, {"--opt-in", cmd.OptIn != "", false, true},
		{"--unsubscribe", cmd.Unsubscribe != "", false, true}, {"--reason", cmd.Reason != "", true, false},
	}
	for _, f := range flags {
		if !f.given && (cmd.MessageSize && f.size || !cmd.MessageSize && f.rate) {
			missing = append(missing, f.name)
		}
	}
	return missing
}

// quotaReport is the evidence.
type quotaReport struct {
	At           time.Time      `json:"at"`
	Subscription string         `json:"subscription"`
	Service      string         `json:"service"`
	Wanted       wantedQuota    `json:"wanted"`
	Domains      []reportDomain `json:"domains"`
	Traffic      *traffic       `json:"traffic"` // nil: the metrics cannot be read
	Conditions   []condition    `json:"conditions"`
	Plan         []planStep     `json:"plan"`
}

// wantedQuota is 0 where nothing was said.
type wantedQuota struct {
	PerMinute int64 `json:"perMinute"`
	PerHour   int64 `json:"perHour"`
	PerDay    int64 `json:"perDay"`
}

// reportDomain is a linked domain.
type reportDomain struct {
	Domain   string     `json:"domain"`
	Managed  bool       `json:"managed"`
	Created  *time.Time `json:"created"`
	Delivery *delivery  `json:"delivery"` // nil: the metrics cannot be read
	DNS      []dnsState `json:"dns"`      // nil of a managed domain
}

// dnsState is what the DNS servers say of one kind of record.
type dnsState struct {
	Kind   string `json:"kind"`
	Level  string `json:"level"` // green, yellow, red
	Detail string `json:"detail,omitempty"`
}

func (cmd *reportQuota) Run(ctx context.Context, c *console, cl cloud) error {
	domains, err := cl.sendingDomains(ctx, c)
	if err != nil {
		return err
	}
	r := &quotaReport{
		At: c.now().UTC(), Subscription: cl.at.Service.Subscription(), Service: cl.at.Service.Name(),
		Wanted: wantedQuota{cmd.PerMinute, cmd.PerHour, cmd.PerDay}, Domains: []reportDomain{}, Plan: []planStep{},
	}
	for i := range domains {
		if domains[i].linked {
			d, err := cmd.reportOn(ctx, c, domains[i])
			if err != nil {
				return err
			}
			r.Domains = append(r.Domains, d)
		}
	}
	slices.SortStableFunc(r.Domains, func(a, b reportDomain) int { // those of one's own first
		switch {
		case a.Managed == b.Managed:
			return strings.Compare(a.Domain, b.Domain)
		case b.Managed:
			return -1
		}
		return 1
	})
	if err := r.read(ctx, c, cl); err != nil {
		return err
	}
	missing := cmd.open()
	r.Conditions = r.conditions(missing)
	if r.Traffic != nil {
		r.Plan = append(r.Plan, rampPlan(r.Traffic.PeakDay.Accepted, cmd.PerDay)...)
	}
	return cmd.write(c, r, missing, cl.at.Site)
}

// reportOn is what Azure and the DNS say of a domain.
func (cmd *reportQuota) reportOn(ctx context.Context, c *console, d sendingDomain) (reportDomain, error) {
	r := reportDomain{Domain: d.Sends(), Managed: d.Managed()}
	if at := d.SystemData.CreatedAt; !at.IsZero() {
		r.Created = &at
	}
	if r.Managed {
		return r, nil
	}
	found, err := cmd.ask(ctx, c, d.Domain)
	if _, unasked := errors.AsType[usageError](err); unasked && cmd.Resolver == "" {
		c.tell("The DNS was not asked: %s", err)
		err = nil
	}
	for _, kind := range []dns.Kind{dns.KindSPF, dns.KindDKIM, dns.KindDKIM2, dns.KindDMARC, dns.KindMX} {
		r.DNS = append(r.DNS, stateOf(found, kind))
	}
	return r, err
}

// wantedForARaise are findings that hinder no message, and a raise of the quota.
var wantedForARaise = []string{"mx-missing", "mx-null", "dmarc-missing"}

// stateOf is the worst that was found of a kind. Nothing found is not good.
func stateOf(found dns.Report, kind dns.Kind) dnsState {
	s := dnsState{string(kind), dns.Yellow.String(), "no answer."}
	worst := dns.Level(-1)
	for _, f := range found.Findings {
		level := f.Level
		if slices.Contains(wantedForARaise, f.Code) {
			level = dns.Red
		}
		if f.Kind != kind || level <= worst {
			continue
		}
		worst, s = level, dnsState{string(kind), level.String(), ""}
		if level != dns.Green {
			s.Detail = f.Sentence
		}
	}
	return s
}

// read asks Azure Monitor. Without the right to, the report has no figures.
func (r *quotaReport) read(ctx context.Context, c *console, cl cloud) error {
	c.tell("Asking Azure Monitor for %d days of figures.", reportDays)
	to := r.At.Truncate(day)
	err := func() error {
		metrics, err := cl.EmailMetrics(ctx, cl.at.Service)
		if err != nil {
			return err
		}
		deliveries := make([]*delivery, len(r.Domains))
		for i := range r.Domains {
			if deliveries[i], err = cl.readDelivery(ctx, metrics.Deliveries, r.Domains[i].Domain, to); err != nil {
				return err
			}
		}
		if r.Traffic, err = cl.readTraffic(ctx, metrics.Requests, to); err != nil {
			r.Traffic = nil
			return err
		}
		for i := range r.Domains {
			r.Domains[i].Delivery = deliveries[i]
		}
		return nil
	}()
	fault, ok := errors.AsType[*azure.Error](err)
	if !ok || fault.Kind == azure.Login {
		return err
	}
	c.tell("The text has no figures: %s.", err)
	if fault.Kind == azure.Forbidden {
		c.tell("%s", roleAdvice(fault))
	}
	return nil
}

func (cmd *reportQuota) write(c *console, r *quotaReport, missing []string, site azure.ID) error {
	if cmd.JSON {
		return c.asJSON(r)
	}
	if err := cmd.text(c.out, r); err != nil {
		return err
	}
	if len(missing) > 0 {
		c.tell("Missing answers, shown as […]: %s.", strings.Join(missing, ", "))
	}
	if cmd.MessageSize {
		c.tell("After Microsoft has raised the size, run:\n%s", setLine(site, fmt.Sprintf("POSTHORN_ACS_MAX_REQUEST_BYTES=%d", 30<<20)))
		return nil
	}
	if n := r.open(); n > 0 {
		c.tell("Unmet conditions: %d. The text begins with them and their remedies.", n)
	}
	c.tell("Send it as a support request: https://azure.microsoft.com/support/create-ticket/, \"Service and subscription limits (quotas)\".")
	return nil
}

// open is how many conditions are not met.
func (r *quotaReport) open() (n int) {
	for _, c := range r.Conditions {
		if c.Met == unmet {
			n++
		}
	}
	return n
}
