package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

type connectCommand struct {
	Subscription string `placeholder:"ID" help:"Search only this subscription."`
	App          string `placeholder:"NAME" help:"Function app. Needed if there are several, or if it lacks infra's tag."`
	List         bool   `help:"List Posthorn's function apps, and connect to none."`
	JSON         bool   `name:"json" help:"With --list: print a JSON array instead of a table."`
}

func (connectCommand) Help() string {
	return "The command writes endpoints and settings into a file. It writes no secret.\n\n" + examples("posthorn connect", "posthorn connect --list", "posthorn connect --app posthorn-x7k2")
}

// appRow is a function app in a list.
type appRow struct {
	App          string `json:"app"`
	Group        string `json:"resourceGroup"`
	Region       string `json:"region"`
	Subscription string `json:"subscription"`
}

func (r appRow) columns() []string { return []string{r.App, r.Group, r.Region, r.Subscription} }

const appHead = "APP\tRESOURCE GROUP\tREGION\tSUBSCRIPTION"

func (cmd *connectCommand) Run(ctx context.Context, c *console) error {
	client, err := c.arm()
	if err != nil {
		return err
	}
	subscriptions, err := cmd.subscriptions(ctx, client)
	if err != nil {
		return err
	}
	sites, err := cmd.sites(ctx, c, client, subscriptions)
	if err != nil {
		return err
	}
	rows := make([]appRow, len(sites))
	for i, s := range sites {
		rows[i] = appRow{s.ID.Name(), s.ID.Group(), s.Location, s.ID.Subscription()}
	}
	switch {
	case cmd.List:
		return show(c, listing{cmd.JSON}, rows, appHead, appRow.columns)
	case len(sites) == 0:
		return &azure.Error{Kind: azure.NotFound, What: cmd.looked(len(subscriptions))}
	case len(sites) > 1:
		if err := show(c, listing{}, rows, appHead, appRow.columns); err != nil {
			return err
		}
		return usageError(fmt.Sprintf("there are %d deployments. Choose one, such as:\nposthorn connect --subscription %s --app %s", len(rows), word(rows[0].Subscription), word(rows[0].App)))
	}
	at, err := connectionTo(ctx, client, sites[0].ID, subscriptions)
	if err != nil {
		return err
	}
	return c.connected(at)
}

// looked says in vain for what, as the end of "could not …".
func (cmd *connectCommand) looked(subscriptions int) string {
	if cmd.App != "" {
		return fmt.Sprintf("find a function app %q with the setting POSTHORN_ACS_ENDPOINT in %d subscriptions", cmd.App, subscriptions)
	}
	return fmt.Sprintf("find a function app with the tag azd-service-name=posthorn in %d subscriptions: name it with --app", subscriptions)
}

func (cmd *connectCommand) subscriptions(ctx context.Context, client *azure.Client) ([]string, error) {
	if cmd.Subscription != "" {
		return []string{cmd.Subscription}, nil
	}
	all, err := client.Subscriptions(ctx)
	var ids []string
	for _, s := range all {
		if s.State != "Deleted" && s.State != "Disabled" {
			ids = append(ids, s.ID)
		}
	}
	return ids, err
}

// sites are the function apps that are meant. A subscription that this account may not
// look into is told of and passed over, if there are others.
func (cmd *connectCommand) sites(ctx context.Context, c *console, client *azure.Client, subscriptions []string) ([]azure.Resource, error) {
	var found []azure.Resource
	for _, id := range subscriptions {
		sites, err := cmd.in(ctx, client, id)
		if closed(err) && len(subscriptions) > 1 {
			c.tell("Skipped subscription %s: %s.", id, sentence(err))
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, sites...)
	}
	return found, nil
}

// closed tells a subscription that gives no answer by itself: without the right to read it,
// gone, or without the providers that a deployment has.
func closed(err error) bool {
	return azure.IsKind(err, azure.Forbidden) || azure.IsKind(err, azure.NotFound) || azure.IsKind(err, azure.Refused)
}

func (cmd *connectCommand) in(ctx context.Context, client *azure.Client, subscription string) ([]azure.Resource, error) {
	sites, err := client.Sites(ctx, subscription)
	unmeant := func(s azure.Resource) bool {
		return !strings.EqualFold(s.Type, "Microsoft.Web/sites") || cmd.App != "" && !strings.EqualFold(s.ID.Name(), cmd.App)
	}
	sites = slices.DeleteFunc(sites, unmeant)
	if err != nil || len(sites) > 0 || cmd.App == "" {
		return sites, err
	}
	all, err := client.AllSites(ctx, subscription)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.DeleteFunc(all, unmeant) {
		settings, err := client.AppSettings(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		if settings[acsEndpoint] != "" {
			sites = append(sites, s)
		}
	}
	return sites, nil
}

// connectionTo reads what commands need of a function app. What a deployment that is
// half done lacks stays empty.
func connectionTo(ctx context.Context, client *azure.Client, site azure.ID, subscriptions []string) (connection, error) {
	app, err := client.Site(ctx, site)
	if err != nil {
		return connection{}, err
	}
	all, err := client.AppSettings(ctx, site)
	if err != nil {
		return connection{}, err
	}
	at := connection{Subscription: site.Subscription(), Site: site, Settings: kept(all), MasterKey: secretAddress(all["POSTHORN_MASTER_KEY"])}
	if err := refuseForeign(at.Settings); err != nil {
		return connection{}, err
	}
	if at.Settings["POSTHORN_PUBLIC_URL"] == "" && app.Properties.HostName != "" {
		at.Settings["POSTHORN_PUBLIC_URL"] = "https://" + app.Properties.HostName
	}
	service, err := serviceAt(ctx, client, all[acsEndpoint], site.Subscription(), subscriptions)
	if err != nil || service.ID == "" {
		return at, err
	}
	at.Service = service.ID
	at.EmailService, err = emailServiceOf(ctx, client, service)
	return at, err
}

// serviceAt finds the Communication Services resource by its host name, in the app's
// subscription first.
func serviceAt(ctx context.Context, client *azure.Client, endpoint, first string, subscriptions []string) (azure.Service, error) {
	host := hostOf(endpoint)
	if host == "" {
		return azure.Service{}, nil
	}
	for _, id := range slices.Concat([]string{first}, slices.DeleteFunc(slices.Clone(subscriptions), func(s string) bool { return s == first })) {
		services, err := client.Services(ctx, id)
		if err != nil && (id == first || !closed(err)) {
			return azure.Service{}, err
		}
		for _, s := range services {
			if strings.EqualFold(s.Properties.HostName, host) {
				return s, nil
			}
		}
	}
	return azure.Service{}, nil
}

// emailServiceOf is what the linked domains belong to; without any, the one of the group.
func emailServiceOf(ctx context.Context, client *azure.Client, service azure.Service) (azure.ID, error) {
	for _, d := range service.Properties.LinkedDomains {
		return d.Parent(), nil
	}
	all, err := client.EmailServices(ctx, service.ID.Subscription())
	all = slices.DeleteFunc(all, func(e azure.EmailService) bool { return !strings.EqualFold(e.ID.Group(), service.ID.Group()) })
	if err != nil || len(all) != 1 {
		return "", err
	}
	return all[0].ID, nil
}

// connected keeps the connection, and says what it is and what comes next.
func (c *console) connected(at connection) error {
	if err := c.keep(at); err != nil {
		return err
	}
	file, err := c.connectionFile()
	if err != nil {
		return err
	}
	err = c.details([][2]string{
		{"function app", at.Site.Name()},
		{"resource group", at.Site.Group()},
		{"subscription", at.Subscription},
		{"address", at.Settings["POSTHORN_PUBLIC_URL"]},
		{"Communication Services", cmp.Or(at.Service.Name(), "not found by POSTHORN_ACS_ENDPOINT")},
		{"Email Service", cmp.Or(at.EmailService.Name(), "not found")},
		{"storage", hostOf(at.Settings[tableEndpoint])},
		{"master key", cmp.Or(at.MasterKey, "not in a vault")},
	}...)
	c.tell("Saved in %s, without any secret. Next, run \"posthorn doctor\".", file)
	return err
}
