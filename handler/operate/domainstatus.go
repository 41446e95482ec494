package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

type statusDomain struct {
	domainName
	reporting
}

func (statusDomain) Help() string {
	return examples("posthorn domain status example.com", "posthorn domain status example.com --json")
}

// verificationRow is one kind of verification, with the record that it wants.
type verificationRow struct {
	Kind      string `json:"kind"`
	Status    string `json:"status"`
	ErrorCode string `json:"errorCode"`
	azure.Record
}

// domainStatus is what Azure knows of one domain.
type domainStatus struct {
	domainRow
	Made          *time.Time        `json:"made"` // null: Azure does not say it
	Senders       []string          `json:"senders"`
	Verifications []verificationRow `json:"verifications"`
	Next          string            `json:"next"`
}

func (cmd *statusDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.read(ctx, cl)
	if err != nil {
		return err
	}
	links, err := cl.links(ctx)
	if err != nil {
		return err
	}
	senders, err := cl.Senders(ctx, d.ID)
	if err != nil {
		return err
	}
	row := cl.row(d, links)
	s := domainStatus{domainRow: row, Senders: []string{}, Verifications: verificationsOf(d), Next: nextStep(d, cmd.Name, row.Linked)}
	for _, one := range senders {
		s.Senders = append(s.Senders, one.Properties.Username)
	}
	if made := d.SystemData.CreatedAt; !made.IsZero() {
		s.Made = &made
	}
	if cmd.JSON {
		return c.asJSON(s)
	}
	return s.print(c)
}

// verificationsOf are the states in the order in which ACS verifies. That of DMARC never
// ends, and is left out.
func verificationsOf(d azure.Domain) []verificationRow {
	rows := []verificationRow{}
	if d.Managed() {
		return rows
	}
	for _, kind := range azure.Verifications() {
		state := d.Properties.States[kind]
		rows = append(rows, verificationRow{kind, cmp.Or(state.Status, azure.StatusNotStarted), state.ErrorCode, d.Properties.Records[kind]})
	}
	return rows
}

func (s domainStatus) print(c *console) error {
	made := ""
	if s.Made != nil {
		made = s.Made.Format(time.RFC3339)
	}
	err := c.details(
		[2]string{"domain", s.Domain}, [2]string{"sends as", s.Sends}, [2]string{"made", made},
		[2]string{"verified", yesOrNo(s.Verified)}, [2]string{"linked", yesOrNo(s.Linked)},
		[2]string{"engagement tracking", s.Tracking}, [2]string{"senders", strconv.Itoa(len(s.Senders)) + ": " + orDash(s.Senders)},
		[2]string{quotaSetting, s.Quota}, [2]string{"resource", string(s.ID)},
	)
	if err != nil || len(s.Verifications) == 0 {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nVERIFICATION\tSTATUS\tERROR\tTYPE\tNAME\tVALUE")
	for _, v := range s.Verifications {
		fmt.Fprintln(w, cells(v.Kind, v.Status, cmp.Or(v.ErrorCode, "-"), cmp.Or(v.Type, "-"), cmp.Or(v.Name, "-"), cmp.Or(v.Value, "-")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	c.tell("%s", s.Next)
	return nil
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type listDomains struct{ listing }

func (listDomains) Help() string {
	return examples("posthorn domain list", "posthorn domain list --json")
}

// domainRow is a domain as a list tells it. Domain is its name, or the resource id of one
// of another Email Service.
type domainRow struct {
	Domain   string   `json:"domain"`
	Sends    string   `json:"sendsAs"` // what stands behind the @
	Managed  bool     `json:"managed"`
	Verified bool     `json:"verified"`
	Linked   bool     `json:"linked"`
	Tracking string   `json:"engagementTracking"`
	Quota    string   `json:"quota"` // the deployment's; empty if it is not known
	Trouble  string   `json:"trouble,omitempty"`
	ID       azure.ID `json:"id"`
}

func (cl cloud) row(d azure.Domain, l links) domainRow {
	return domainRow{
		Domain: cl.short(d.ID), Sends: d.Sends(), Managed: d.Managed(), Verified: d.Verified(), Linked: isLinked(l.domains, d.ID),
		Tracking: d.Properties.Tracking, Quota: l.quota, ID: d.ID,
	}
}

func (r domainRow) columns() []string {
	return []string{r.Domain, cmp.Or(r.Sends, "-"), yesOrNo(r.Verified), yesOrNo(r.Linked), cmp.Or(r.Tracking, "-"), cmp.Or(r.Trouble, "-")}
}

func (cmd *listDomains) Run(ctx context.Context, c *console, cl cloud) error {
	if cl.at.EmailService == "" {
		return errNoEmailService
	}
	links, err := cl.links(ctx)
	if err != nil {
		return err
	}
	domains, err := cl.Domains(ctx, cl.at.EmailService)
	if err != nil {
		return err
	}
	var rows []domainRow
	for i := range domains {
		rows = append(rows, cl.row(domains[i], links))
	}
	for _, id := range links.domains {
		if slices.ContainsFunc(rows, func(r domainRow) bool { return azure.SameID(r.ID, id) }) {
			continue
		}
		d, err := cl.Domain(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.ID = id
		row := cl.row(d, links)
		if err != nil { // of another Email Service, which this account may not see
			row.Sends, row.Verified, row.Trouble = "", false, err.Error()
		}
		rows = append(rows, row)
	}
	if err := show(c, cmd.listing, rows, "DOMAIN\tSENDS AS\tVERIFIED\tLINKED\tTRACKING\tTROUBLE", domainRow.columns); err != nil {
		return err
	}
	c.tell("%s is %s.", quotaSetting, cmp.Or(links.quota, "not known"))
	if want := quotaFor(links.domains); want != "" && (links.quota == quotaManaged || links.quota == quotaCustom) && links.quota != want {
		c.tell("The linked domains need %s. Run \"posthorn domain link\" for a linked domain to set it.", want)
	}
	return nil
}
