package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

const (
	testGroup   = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/mail"
	testService = testGroup + "/providers/Microsoft.Communication/communicationServices/post"
	testEmails  = testGroup + "/providers/Microsoft.Communication/emailServices/post"
	testManaged = testEmails + "/domains/AzureManagedDomain"
	testSite    = testGroup + "/providers/Microsoft.Web/sites/posthorn"
)

// desk is an operator who is connected to a deployment in a stand-in of Azure.
type desk struct {
	*azuretest.Fake
	environ []string
	login   azuretest.Credential
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	f := azuretest.New(t)
	f.Put("/subscriptions/00000000-0000-0000-0000-000000000001", azuretest.Object{"subscriptionId": "00000000-0000-0000-0000-000000000001", "displayName": "Work", "state": "Enabled"})
	f.Put(testEmails, azuretest.Object{"location": "global", "properties": azuretest.Object{"dataLocation": "Europe"}})
	f.Put(testManaged, azuretest.Object{"properties": azuretest.Object{"domainManagement": "AzureManaged", "fromSenderDomain": "x.azurecomm.net"}})
	f.Put(testService, azuretest.Object{"location": "global", "tags": azuretest.Object{"costCentre": "4711"}, "properties": azuretest.Object{
		"hostName": "post.europe.communication.azure.com", "dataLocation": "Europe", "disableLocalAuth": true, "linkedDomains": []any{testManaged},
	}})
	f.Put(testSite, azuretest.Object{"location": "westeurope", "tags": azuretest.Object{"azd-service-name": "posthorn"}, "properties": azuretest.Object{"defaultHostName": "posthorn.azurewebsites.net"}})
	f.SetSettings(testSite, map[string]string{"POSTHORN_QUOTA": "managed-domain", "POSTHORN_ACS_ENDPOINT": "https://post.europe.communication.azure.com"})
	file := filepath.Join(t.TempDir(), "connection.json")
	text, err := json.Marshal(connection{
		Subscription: "00000000-0000-0000-0000-000000000001", Site: testSite, Service: testService, EmailService: testEmails,
		Settings: map[string]string{"POSTHORN_ACS_ENDPOINT": "https://post.europe.communication.azure.com"},
	})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &desk{Fake: f, environ: []string{"POSTHORN_CONNECTION=" + file}}
}

// run gives the words to the program.
func (d *desk) run(t *testing.T, words ...string) (out, said string, code int) {
	t.Helper()
	return d.runAs(t, func(*console) {}, words...)
}

// runAs is run at a console that differs.
func (d *desk) runAs(t *testing.T, differ func(*console), words ...string) (out, said string, code int) {
	t.Helper()
	var o, s bytes.Buffer
	c := &console{
		environ: d.environ, in: strings.NewReader(""), out: &o, said: &s,
		arm: func() (*azure.Client, error) { return d.Client(t, d.login), nil },
	}
	differ(c)
	code = run(t.Context(), words, c)
	return o.String(), s.String(), code
}
