package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

const (
	testGroup   = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/mail"
	testService = testGroup + "/providers/Microsoft.Communication/communicationServices/post"
	testEmails  = testGroup + "/providers/Microsoft.Communication/emailServices/post"
	testManaged = testEmails + "/domains/AzureManagedDomain"
	testSite    = testGroup + "/providers/Microsoft.Web/sites/posthorn"
)

// testOperator is an operator who is connected to a deployment in a stand-in of Azure.
type testOperator struct {
	*azuretest.Fake
	environ []string
	login   azuretest.Credential
	clock   time.Time // it goes on only while the program sleeps
	world   *dnstest.World
}

func newTestOperator(t *testing.T) *testOperator {
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
	return &testOperator{Fake: f, environ: []string{"POSTHORN_CONNECTION=" + file}, clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

// run gives the words to the program.
func (d *testOperator) run(t *testing.T, words ...string) (out, said string, code int) {
	t.Helper()
	return d.runAs(t, func(*console) {}, words...)
}

// runAs is run at a console that differs.
func (d *testOperator) runAs(t *testing.T, differ func(*console), words ...string) (out, said string, code int) {
	t.Helper()
	var o, s bytes.Buffer
	c := d.console(t)
	c.out, c.said = &o, &s
	differ(c)
	code = run(t.Context(), words, c)
	return o.String(), s.String(), code
}

func (d *testOperator) console(t *testing.T) *console {
	return &console{
		environ: d.environ, in: strings.NewReader(""), out: io.Discard, said: io.Discard,
		arm: func() (*azure.Client, error) { return d.Client(t, d.login), nil },
		sleep: func(ctx context.Context, wait time.Duration) error {
			d.clock = d.clock.Add(wait)
			return ctx.Err()
		},
		now: func() time.Time { return d.clock },
		dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if d.world == nil {
				return nil, errors.New("no way to " + address)
			}
			if conn, err := d.world.Dial(ctx, network, address); err == nil {
				return conn, nil
			}
			return d.world.Dial(ctx, network, dnstest.Resolver) // the address is this computer's
		},
	}
}
