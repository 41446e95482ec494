package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// The two requests. The questions are those of Microsoft's form:
// learn.microsoft.com/azure/communication-services/concepts/email/email-quota-increase.
var (
	//go:embed quotareport.md.tmpl
	rateRequest string
	//go:embed quotasize.md.tmpl
	sizeRequest string
)

// requestText is what the templates see.
type requestText struct {
	Cmd *reportQuota
	*quotaReport
}

func (cmd *reportQuota) text(w io.Writer, r *quotaReport) error {
	text := rateRequest
	if cmd.MessageSize {
		text = sizeRequest
	}
	t, err := template.New("request").Funcs(template.FuncMap{
		"said": said, "number": number,
		"minute": func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") },
		"date":   func(at time.Time) string { return at.UTC().Format(time.DateOnly) },
	}).Parse(text)
	if err != nil {
		return err
	}
	return t.Execute(w, requestText{cmd, r})
}

// said is what the operator said, or a place for it.
func said(what, flag, value string) string {
	return cmp.Or(oneLine(value), "["+what+": "+flag+"]")
}

// oneLine keeps a text from being a second heading or row.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// number is one with its thousands apart, or a place for it.
func number(what, flag string, n int64) string {
	if n <= 0 && flag != "" {
		return "[" + what + ": " + flag + "]"
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Own are the domains that are not Azure's.
func (r *quotaReport) Own() (own []string) {
	for i := range r.Domains {
		if !r.Domains[i].Managed {
			own = append(own, r.Domains[i].Domain)
		}
	}
	return own
}

// InUse answers whether a domain of one's own sends.
func (t requestText) InUse() string {
	own := t.Own()
	if len(own) == 0 {
		return "no"
	}
	var said []string
	for i := range t.Domains {
		d := &t.Domains[i]
		switch {
		case d.Managed:
		case d.Delivery == nil:
			said = append(said, d.Domain+" is linked")
		case d.Delivery.FirstDay == "":
			said = append(said, d.Domain+" is linked, and has sent nothing yet")
		case d.Delivery.Earlier:
			said = append(said, fmt.Sprintf("%s is linked, and sends since %s or earlier", d.Domain, d.Delivery.FirstDay))
		default:
			said = append(said, fmt.Sprintf("%s is linked, and sends since %s (%d days)", d.Domain, d.Delivery.FirstDay, d.Delivery.days))
		}
	}
	return "yes: " + strings.Join(said, "; ")
}

// Senders are the domains that have sent, or those that could.
func (t requestText) Senders() string { return cmp.Or(strings.Join(t.Own(), ", "), "none of ours yet") }

// Before are the conditions that the operator has to look at.
func (t requestText) Before() []condition {
	return slices.DeleteFunc(slices.Clone(t.Conditions), func(c condition) bool { return c.Met == met && c.Do == "" })
}

// Ends tells how the messages of a domain ended, the most frequent first.
func (d *delivery) Ends() string {
	names := slices.SortedFunc(maps.Keys(d.Classes), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.Classes[b], d.Classes[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + number("", "", d.Classes[name])
	}
	return cmp.Or(strings.Join(names, ", "), "-")
}

// Rate is the failure rate.
func (d *delivery) Rate() string {
	if d.Recipients == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", d.FailurePercent)
}

// Word tells a level to Microsoft.
func (s dnsState) Word() string {
	switch s.Level {
	case "green":
		return "in place"
	case "red":
		return "not in place"
	}
	return "not certain"
}

// FromBusiest tells whether the plan begins with the busiest day.
func (t requestText) FromBusiest() bool { return t.Plan[0].PerDay == t.Traffic.PeakDay.Accepted }

// Rises tells whether the plan has more than one step.
func (t requestText) Rises() bool { return len(t.Plan) > 1 }

// Last is when a plan ends, and whether that is within the four weeks of Microsoft's advice.
func (t requestText) Last() string {
	last := fmt.Sprintf("day %d", t.Plan[len(t.Plan)-1].From)
	if t.Plan[len(t.Plan)-1].From > longRampDays {
		last += ", after more than four weeks"
	}
	return last
}
