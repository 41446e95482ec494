package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

type smtpCommands struct {
	List listSMTPUsernames `cmd:"" help:"List SMTP usernames, their secrets, and how to retire them."`
}

type listSMTPUsernames struct{ listing }

func (listSMTPUsernames) Help() string {
	return "The secrets belong to the Entra application of a username. Reading them needs the right Application.Read.All.\n\n" +
		examples("posthorn smtp-username list", "posthorn smtp-username list --json")
}

// smtpRow is a name for SMTP. Secrets is nil if they are not known, and Unknown says why.
type smtpRow struct {
	Name            string      `json:"name"`
	Username        string      `json:"username"`
	ApplicationID   string      `json:"applicationId"`
	TenantID        string      `json:"tenantId"`
	ApplicationName string      `json:"applicationName"`
	Secrets         []secretRow `json:"secrets"`
	Unknown         string      `json:"unknown,omitempty"`
	Retire          []string    `json:"retire"` // command lines of the Azure CLI, in this order
}

type secretRow struct {
	KeyID string    `json:"keyId"`
	Name  string    `json:"name"`
	Made  time.Time `json:"made"`
	Ends  time.Time `json:"ends"`
	Days  int       `json:"ageDays"`
	Left  int       `json:"daysLeft"` // below 0: it has ended
}

func (cmd *listSMTPUsernames) Run(ctx context.Context, c *console, cl cloud) error {
	if cl.at.Service == "" {
		return errNoService
	}
	names, err := cl.SMTPUsernames(ctx, cl.at.Service)
	if err != nil {
		return err
	}
	rows := make([]smtpRow, len(names))
	for i, n := range names {
		p := n.Properties
		rows[i] = smtpRow{Name: n.ID.Name(), Username: p.Username, ApplicationID: p.ApplicationID, TenantID: p.TenantID}
		app, err := cl.Application(ctx, p.ApplicationID)
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if err != nil {
			rows[i].Unknown = unknownSecrets(err)
		} else {
			rows[i].secretsOf(app, c.now())
		}
		rows[i].Retire = retirement(cl.at.Service, rows[i])
	}
	if err := show(c, cmd.listing, rows, "NAME\tUSERNAME\tAPPLICATION\tSECRET AGE\tSECRET ENDS", smtpRow.columns); err != nil || cmd.JSON {
		return err
	}
	tellRetirement(c, cl.at.Service, rows)
	return nil
}

func (r *smtpRow) secretsOf(app azure.Application, now time.Time) {
	r.ApplicationName, r.Secrets = app.Name, []secretRow{}
	for _, s := range app.Secrets {
		r.Secrets = append(r.Secrets, secretRow{s.KeyID, s.Name, s.Start, s.End, wholeDays(now.Sub(s.Start)), wholeDays(s.End.Sub(now))})
	}
}

// wholeDays rounds down, so that what ended an hour ago is -1.
func wholeDays(d time.Duration) int { return int(math.Floor(d.Hours() / 24)) }

// unknownSecrets says why Microsoft Graph does not show the secrets.
func unknownSecrets(err error) string {
	switch {
	case azure.IsKind(err, azure.Forbidden):
		return "unknown: needs Application.Read.All"
	case azure.IsKind(err, azure.NotFound):
		return "unknown: no such application in your tenant"
	case azure.IsKind(err, azure.Login):
		return "unknown: your login gives no token for Microsoft Graph"
	}
	return "unknown: Microsoft Graph gave no answer"
}

func (r smtpRow) columns() []string {
	application := r.ApplicationID
	if r.ApplicationName != "" {
		application = r.ApplicationName + " (" + application + ")"
	}
	var ages, ends []string
	for _, s := range r.Secrets {
		ages = append(ages, fmt.Sprintf("%dd", s.Days))
		end := s.Ends.UTC().Format(time.DateOnly)
		if s.Left < 0 {
			end += " (ended)"
		}
		ends = append(ends, end)
	}
	if r.Unknown != "" {
		ages, ends = []string{r.Unknown}, nil
	}
	return []string{r.Name, r.Username, application, orDash(ages), orDash(ends)}
}

// retirement are the lines that end a way of sending by SMTP: the name, the role of its
// application, and each secret. sh and PowerShell read them alike.
// Source: learn.microsoft.com/cli/azure/communication/smtp-username.
func retirement(service azure.ID, r smtpRow) []string {
	lines := []string{
		fmt.Sprintf("az communication smtp-username delete --subscription %s --resource-group %s --comm-service-name %s --smtp-username %s",
			word(service.Subscription()), word(service.Group()), word(service.Name()), word(r.Name)),
		fmt.Sprintf("az role assignment delete --assignee %s --scope %s", word(r.ApplicationID), word(string(service))),
	}
	for _, s := range r.Secrets {
		lines = append(lines, fmt.Sprintf("az ad app credential delete --id %s --key-id %s", word(r.ApplicationID), word(s.KeyID)))
	}
	if r.Secrets == nil {
		lines = append(lines,
			"az ad app credential list --id "+word(r.ApplicationID),
			fmt.Sprintf("az ad app credential delete --id %s --key-id KEY-ID", word(r.ApplicationID)))
	}
	return lines
}

// tellRetirement says what to do once the programs that use a name send by Posthorn.
func tellRetirement(c *console, service azure.ID, rows []smtpRow) {
	c.tell("An application with a role on %s can also send by SMTP, without a username:\naz role assignment list --scope %s --include-inherited --output table", service.Name(), word(string(service)))
	if len(rows) == 0 {
		c.tell("No SMTP username is left to retire.")
		return
	}
	for _, r := range rows {
		why := "once nothing sends by SMTP with it"
		if len(r.Secrets) > 0 && !usable(r.Secrets) {
			why = "now, for all its secrets have ended"
		}
		c.tell("\nRetire %s %s. Other programs may use the same secrets:\n%s", r.Name, why, strings.Join(r.Retire, "\n"))
	}
}

func usable(secrets []secretRow) bool {
	for _, s := range secrets {
		if s.Left >= 0 {
			return true
		}
	}
	return false
}
