package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

const day = 24 * time.Hour

// reportDays are those that the figures of a report are of, today left out.
const reportDays = 30

// traffic is what Azure Monitor counts of calls that send. Times are UTC.
type traffic struct {
	From       time.Time    `json:"from"`
	To         time.Time    `json:"to"` // excluded
	Accepted   int64        `json:"accepted"`
	Refused    int64        `json:"refused"` // with 429
	PeakMinute peak         `json:"peakMinute"`
	PeakHour   peak         `json:"peakHour"`
	PeakDay    peak         `json:"peakDay"`
	Days       []dayTraffic `json:"days"` // all of them, oldest first
}

type peak struct {
	At       time.Time `json:"at"`
	Accepted int64     `json:"accepted"`
}

type dayTraffic struct {
	Day      string `json:"day"`
	Accepted int64  `json:"accepted"`
	Refused  int64  `json:"refused"` // with 429
}

// delivery is what became of a domain's messages, by recipient.
type delivery struct {
	FirstDay       string           `json:"firstDay"` // of sending, as far as Azure remembers; empty: it has sent nothing
	Earlier        bool             `json:"earlier"`  // it may have begun before FirstDay
	Recipients     int64            `json:"recipients"`
	Failed         int64            `json:"failed"`
	HardBounces    int64            `json:"hardBounces"`
	Classes        map[string]int64 `json:"classes"`
	FailurePercent float64          `json:"failurePercent"`
	Level          string           `json:"level"` // of FailurePercent: green, yellow, red

	days int // since FirstDay
}

// sendFilter splits calls; sends picks those that send from them.
// Source: learn.microsoft.com/azure/communication-services/concepts/email-metrics.
const sendFilter = "Operation eq '*' and StatusCode eq '*'"

func sends(points []azure.Point) []azure.Point {
	return slices.DeleteFunc(points, func(p azure.Point) bool { return !strings.Contains(strings.ToLower(p.Of["operation"]), "send") })
}

// outcome is 2 for a call that was accepted, 4 for one that was refused with 429.
func outcome(p azure.Point) (accepted, refused int64) {
	status := p.Of["statuscode"]
	switch {
	case strings.HasPrefix(status, "2"):
		return p.Sum, 0
	case status == "429":
		return 0, p.Sum
	}
	return 0, 0
}

// readTraffic asks for the hours of all days, and for the minutes of the days that may
// hold the busiest one.
func (cl cloud) readTraffic(ctx context.Context, m azure.Metric, to time.Time) (*traffic, error) {
	t := &traffic{From: to.Add(-reportDays * day), To: to}
	hours, err := cl.Points(ctx, cl.at.Service, m, azure.Hour, t.From, t.To, sendFilter)
	if err != nil {
		return nil, err
	}
	days := map[time.Time]dayTraffic{}
	byHour := map[time.Time]int64{}
	for _, p := range sends(hours) {
		accepted, refused := outcome(p)
		date := p.At.Truncate(day)
		d := days[date]
		days[date] = dayTraffic{Accepted: d.Accepted + accepted, Refused: d.Refused + refused}
		byHour[p.At] += accepted
		t.Accepted, t.Refused = t.Accepted+accepted, t.Refused+refused
	}
	t.PeakHour = busiest(byHour)
	byDay := map[time.Time]int64{}
	for at := t.From; at.Before(t.To); at = at.Add(day) {
		byDay[at] = days[at].Accepted
		t.Days = append(t.Days, dayTraffic{at.Format(time.DateOnly), days[at].Accepted, days[at].Refused})
	}
	t.PeakDay = busiest(byDay)
	t.PeakMinute, err = cl.busiestMinute(ctx, m, byDay)
	return t, err
}

// busiestMinute looks at days, the busiest first, until no further day can hold it.
func (cl cloud) busiestMinute(ctx context.Context, m azure.Metric, byDay map[time.Time]int64) (best peak, err error) {
	order := make([]peak, 0, len(byDay))
	for at, accepted := range byDay {
		order = append(order, peak{at, accepted})
	}
	slices.SortFunc(order, func(a, b peak) int { return cmp.Or(cmp.Compare(b.Accepted, a.Accepted), a.At.Compare(b.At)) })
	for _, d := range order {
		if d.Accepted <= best.Accepted {
			return best, nil
		}
		points, err := cl.Points(ctx, cl.at.Service, m, azure.Minute, d.At, d.At.Add(day), sendFilter)
		if err != nil {
			return best, err
		}
		minutes := map[time.Time]int64{}
		for _, p := range sends(points) {
			accepted, _ := outcome(p)
			minutes[p.At] += accepted
		}
		if b := busiest(minutes); b.Accepted > best.Accepted {
			best = b
		}
	}
	return best, nil
}

// busiest is the time with the most, the earliest if there are several.
func busiest(of map[time.Time]int64) (best peak) {
	for at, accepted := range of {
		if accepted > best.Accepted || accepted == best.Accepted && accepted > 0 && at.Before(best.At) {
			best = peak{at, accepted}
		}
	}
	return best
}

// readDelivery asks what became of what a domain sent: since when, as far back as Azure
// keeps it, and how much failed in the days of the report.
func (cl cloud) readDelivery(ctx context.Context, m azure.Metric, domain string, to time.Time) (*delivery, error) {
	from := to.Add(-azure.MetricsKept + day) // the first day that is whole
	points, err := cl.Points(ctx, cl.at.Service, m, azure.Day, from, to,
		fmt.Sprintf("SenderDomain eq '%s' and MessageStatus eq '*' and IsHardBounce eq '*'", domain))
	if err != nil {
		return nil, err
	}
	d := &delivery{Classes: map[string]int64{}}
	first := to
	for _, p := range points {
		if p.At.Before(first) {
			first = p.At
		}
		if p.At.Before(to.Add(-reportDays * day)) {
			continue
		}
		status := p.Of["messagestatus"]
		if isPassing(status) {
			continue
		}
		d.Classes[status] += p.Sum
		d.Recipients += p.Sum
		if !strings.EqualFold(status, "Delivered") {
			d.Failed += p.Sum
		}
		if strings.EqualFold(p.Of["ishardbounce"], "true") {
			d.HardBounces += p.Sum
		}
	}
	if first.Before(to) {
		d.FirstDay, d.Earlier, d.days = first.Format(time.DateOnly), first.Equal(from), int(to.Sub(first)/day)
	}
	if d.Recipients > 0 {
		d.FailurePercent = 100 * float64(d.Failed) / float64(d.Recipients)
	}
	d.Level = failureLevel(d.FailurePercent)
	return d, nil
}

// isPassing tells a status that is not the end of a message to a recipient. Others that
// are not known here count as failures.
func isPassing(status string) bool {
	return strings.EqualFold(status, "OutForDelivery") || strings.EqualFold(status, "Expanded")
}

// The failure rates at which to look, and to act. Microsoft's own limits are 1 percent and
// 2 percent: learn.microsoft.com/azure/communication-services, concepts/service-limits
// and concepts/email/email-quota-increase.
const (
	warnPercent  = 0.5
	alarmPercent = 1.0
)

func failureLevel(percent float64) string {
	switch {
	case percent >= alarmPercent:
		return "red"
	case percent >= warnPercent:
		return "yellow"
	}
	return "green"
}
