package azure_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

const (
	subscription = "/subscriptions/00000000-0000-0000-0000-000000000001"
	group        = subscription + "/resourceGroups/mail"
	service      = group + "/providers/Microsoft.Communication/communicationServices/post"
	emails       = group + "/providers/Microsoft.Communication/emailServices/post"
	managed      = emails + "/domains/AzureManagedDomain"
	site         = group + "/providers/Microsoft.Web/sites/posthorn"
)

// deployed is a stand-in with one deployment: the managed domain is linked.
func deployed(t *testing.T) (*azuretest.Fake, *azure.Client) {
	f := azuretest.New(t)
	f.Put(subscription, azuretest.Object{"subscriptionId": "00000000-0000-0000-0000-000000000001", "displayName": "Work", "state": "Enabled"})
	f.Put(emails, azuretest.Object{"location": "global", "properties": azuretest.Object{"dataLocation": "Europe"}})
	f.Put(managed, azuretest.Object{"properties": azuretest.Object{"domainManagement": "AzureManaged", "fromSenderDomain": "x.azurecomm.net"}})
	f.Put(service, azuretest.Object{
		"location": "global", "tags": azuretest.Object{"costCentre": "4711"},
		"properties": azuretest.Object{"hostName": "post.europe.communication.azure.com", "dataLocation": "Europe", "disableLocalAuth": true, "linkedDomains": []any{managed}},
	})
	f.Put(site, azuretest.Object{"location": "westeurope", "tags": azuretest.Object{"azd-service-name": "posthorn"}, "properties": azuretest.Object{"defaultHostName": "posthorn.azurewebsites.net"}})
	return f, f.Client(t, azuretest.Credential{})
}

func TestADomainFromItsBirthToItsLink(t *testing.T) {
	t.Parallel()
	f, c := deployed(t)
	ctx := t.Context()
	d, err := c.CreateDomain(ctx, emails, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Properties.Records["SPF"]; got.Value != "v=spf1 include:spf.protection.outlook.com -all" || got.TTL != 3600 {
		t.Errorf("the record of SPF is %+v", got)
	}
	if err := c.LinkDomains(ctx, service, []azure.ID{managed, d.ID}, ""); !azure.IsKind(err, azure.Refused) {
		t.Errorf("linking what is not verified: %v", err)
	}
	for _, kind := range azure.Verifications() {
		if err := c.StartVerification(ctx, d.ID, kind); err != nil {
			t.Fatal(err)
		}
		for d.Properties.States[kind].Status != azure.StatusVerified {
			if d, err = c.Domain(ctx, d.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !d.Verified() {
		t.Errorf("states are %v", d.Properties.States)
	}
	before, err := c.Service(ctx, service)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LinkDomains(ctx, service, append(before.Properties.LinkedDomains, d.ID), before.ETag); err != nil {
		t.Fatal(err)
	}
	if err := c.LinkDomains(ctx, service, nil, before.ETag); !azure.IsKind(err, azure.Conflict) {
		t.Errorf("linking by an old etag: %v", err)
	}
	after, err := c.Service(ctx, service)
	if err != nil {
		t.Fatal(err)
	}
	if want := []azure.ID{managed, d.ID}; !slices.Equal(after.Properties.LinkedDomains, want) || after.Tags["costCentre"] != "4711" || !after.Properties.DisableLocalAuth {
		t.Errorf("the service is %+v, want %v linked and all else as it was", after, want)
	}
	if again, err := c.CreateDomain(ctx, emails, "example.com"); err != nil || !again.Verified() {
		t.Errorf("made once more it is %+v, %v", again, err)
	}
	for _, r := range f.Requests() {
		if r.Method == http.MethodPut && strings.HasSuffix(r.Path, "/communicationServices/post") {
			t.Error("a PUT of the service forgets what it does not say")
		}
	}
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	f, c := deployed(t)
	for _, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
		f.Put(emails+"/domains/"+name, azuretest.Object{"properties": azuretest.Object{}})
	}
	f.Put(managed+"/senderUsernames/DoNotReply", azuretest.Object{"properties": azuretest.Object{"username": "DoNotReply"}})
	domains, err := c.Domains(t.Context(), emails)
	if err != nil || len(domains) != 5 {
		t.Errorf("%d domains, %v", len(domains), err)
	}
	sites, err := c.Sites(t.Context(), "00000000-0000-0000-0000-000000000001")
	if err != nil || len(sites) != 1 || sites[0].ID.Name() != "posthorn" {
		t.Errorf("sites %v, %v", sites, err)
	}
	if all, err := c.Group(t.Context(), "00000000-0000-0000-0000-000000000001", "mail"); err != nil || len(all) != 3 {
		t.Errorf("the group holds %v, %v", all, err)
	}
	if subs, err := c.Subscriptions(t.Context()); err != nil || len(subs) != 1 {
		t.Errorf("subscriptions %v, %v", subs, err)
	}
}

func TestSettingsKeepWhatIsNotChanged(t *testing.T) {
	t.Parallel()
	f, c := deployed(t)
	f.SetSettings(site, map[string]string{"POSTHORN_QUOTA": "managed-domain", "POSTHORN_LANGUAGE": "de"})
	if err := c.ChangeAppSettings(t.Context(), site, map[string]string{"POSTHORN_QUOTA": "custom-domain"}); err != nil {
		t.Fatal(err)
	}
	if s := f.Settings(site); s["POSTHORN_QUOTA"] != "custom-domain" || s["POSTHORN_LANGUAGE"] != "de" {
		t.Errorf("settings are %v", s)
	}
}

func TestFaultsOfAzure(t *testing.T) {
	t.Parallel()
	denied := "The client 'ann@example.com' with object id '1' does not have authorization to perform action 'Microsoft.Communication/emailServices/domains/read' over scope '" + managed + "' or the scope is invalid. If access was recently granted, please refresh your credentials."
	for name, c := range map[string]struct {
		times, status int
		code, message string
		want          azure.Error
		ok            bool
	}{
		"throttled once":    {times: 1, status: 429, code: "TooManyRequests", ok: true},
		"throttled":         {times: -1, status: 429, code: "TooManyRequests", message: "Wait.", want: azure.Error{Kind: azure.Away, Status: 429, Code: "TooManyRequests", Message: "Wait."}},
		"away once":         {times: 1, status: 503, code: "ServerBusy", ok: true},
		"away":              {times: -1, status: 500, code: "InternalServerError", message: "Oh.", want: azure.Error{Kind: azure.Away, Status: 500, Code: "InternalServerError", Message: "Oh."}},
		"without the right": {times: -1, status: 403, code: "AuthorizationFailed", message: denied, want: azure.Error{Kind: azure.Forbidden, Status: 403, Code: "AuthorizationFailed", Message: denied, Action: "Microsoft.Communication/emailServices/domains/read", Scope: managed}},
		"not there":         {times: -1, status: 404, code: "ResourceNotFound", message: "No.", want: azure.Error{Kind: azure.NotFound, Status: 404, Code: "ResourceNotFound", Message: "No."}},
		"not allowed":       {times: -1, status: 400, code: "BadRequest", message: "Bad.", want: azure.Error{Kind: azure.Refused, Status: 400, Code: "BadRequest", Message: "Bad."}},
		"changed meanwhile": {times: -1, status: 409, code: "Conflict", message: "Later.", want: azure.Error{Kind: azure.Conflict, Status: 409, Code: "Conflict", Message: "Later."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client := deployed(t)
			f.Fail("GET", "/domains/AzureManagedDomain", c.times, c.status, c.code, c.message)
			_, err := client.Domain(t.Context(), managed)
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*azure.Error](err)
			c.want.What = "read the domain AzureManagedDomain"
			if !ok || *e != c.want {
				t.Errorf("got  %+v\nwant %+v", e, c.want)
			}
		})
	}
}

func TestNobodyIsLoggedIn(t *testing.T) {
	t.Parallel()
	f, _ := deployed(t)
	_, err := f.Client(t, azuretest.Credential{Err: noLoginError{}}).Subscriptions(t.Context())
	if !azure.IsKind(err, azure.Login) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Client(t, azuretest.Credential{}).Subscriptions(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// noLoginError is what azidentity answers without a login.
type noLoginError struct{}

func (noLoginError) Error() string { return "AzureCLICredential: ERROR: Please run 'az login'" }
func (noLoginError) NonRetriable() {}

func TestIDs(t *testing.T) {
	t.Parallel()
	id := azure.ID(managed)
	if id.Name() != "AzureManagedDomain" || id.Parent() != emails || id.Subscription() != "00000000-0000-0000-0000-000000000001" || id.Group() != "mail" {
		t.Errorf("%s %s %s %s", id.Name(), id.Parent(), id.Subscription(), id.Group())
	}
	for _, bad := range []string{"", "post", "/subscriptions", "https://example.com/"} {
		if _, err := azure.ParseID(bad); err == nil {
			t.Errorf("%q is taken for an id", bad)
		}
	}
}
