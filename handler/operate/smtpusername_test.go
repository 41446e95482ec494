package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

const testApp = "aaaa1111-bbbb-2222-3333-aaaa111122bb"

func (d *testOperator) printsBySMTP() {
	d.Put(testService+"/smtpUsernames/printers", azuretest.Object{"properties": azuretest.Object{
		"username": "printers@example.test", "entraApplicationId": testApp, "tenantId": "aaaa1111-bbbb-2222-3333-aaaa11112222",
	}})
}

// graph has Microsoft Graph answer about the application.
func (d *testOperator) graph(status int, body any) {
	d.Answer(http.MethodGet, "/v1.0/applications(appid='"+testApp+"')", -1, func(azuretest.Request) azuretest.Answer {
		return azuretest.Answer{Status: status, Body: body}
	})
}

func secretOf(id, start, end string) azuretest.Object {
	return azuretest.Object{"keyId": id, "displayName": "smtp", "startDateTime": start, "endDateTime": end, "hint": "abc"}
}

func TestSMTPUsernamesWithTheirSecrets(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.printsBySMTP()
	d.graph(http.StatusOK, azuretest.Object{"displayName": "Printers", "passwordCredentials": []any{
		secretOf("k1", "2024-11-22T12:00:00Z", "2026-11-22T12:00:00Z"), secretOf("k2", "2026-11-01T12:00:00Z", "2027-11-01T12:00:00Z"),
	}})
	out, said, code := d.run(t, "smtp-username", "list")
	if want := `NAME      USERNAME               APPLICATION                                      SECRET AGE  SECRET ENDS
printers  printers@example.test  Printers (aaaa1111-bbbb-2222-3333-aaaa111122bb)  731d,22d    2026-11-22 (ended),2027-11-01
`; code != 0 || out != want {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"Retire printers once nothing sends by SMTP with it.",
		"az communication smtp-username delete --subscription 00000000-0000-0000-0000-000000000001 --resource-group mail --comm-service-name post --smtp-username printers\n" +
			"az role assignment delete --assignee " + testApp + " --scope " + testService + "\n" +
			"az ad app credential delete --id " + testApp + " --key-id k1\naz ad app credential delete --id " + testApp + " --key-id k2\n",
		"az role assignment list --scope " + testService + " --include-inherited",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %q", want, said)
		}
	}
	var rows []smtpRow
	out, said, code = d.run(t, "smtp-username", "list", "--json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 || said != "" || len(rows) != 1 ||
		len(rows[0].Secrets) != 2 || rows[0].Secrets[0].Left != -1 || rows[0].Secrets[1].Left != 343 || len(rows[0].Retire) != 4 {
		t.Errorf("exit code %d, %v, %q, %s", code, err, said, out)
	}
}

// Whatever Microsoft Graph answers, the names are listed.
func TestSMTPUsernamesWhoseSecretsAreNotKnown(t *testing.T) {
	t.Parallel()
	refused := azuretest.Object{"error": azuretest.Object{"code": "Authorization_RequestDenied", "message": "Insufficient privileges to complete the operation."}}
	for _, c := range []struct {
		name   string
		status int
		body   any
		says   string
	}{
		{"without the right", http.StatusForbidden, refused, "unknown: needs Application.Read.All"},
		{"of another tenant", http.StatusNotFound, azuretest.Object{"error": azuretest.Object{"code": "Request_ResourceNotFound"}}, "unknown: no such application in your tenant"},
		{"with a token for something else", http.StatusUnauthorized, azuretest.Object{"error": azuretest.Object{"code": "InvalidAuthenticationToken"}}, "unknown: your login gives no token for Microsoft Graph"},
		{"away", http.StatusServiceUnavailable, nil, "unknown: Microsoft Graph gave no answer"},
		{"babbling", http.StatusOK, "text", "unknown: Microsoft Graph gave no answer"},
		{"without secrets", http.StatusOK, azuretest.Object{"displayName": "Printers", "passwordCredentials": []any{}}, "Printers (" + testApp + ")  -           -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.printsBySMTP()
			d.graph(c.status, c.body)
			out, said, code := d.run(t, "smtp-username", "list")
			if code != 0 || !strings.Contains(out, c.says) || !strings.Contains(said, "az communication smtp-username delete") {
				t.Errorf("exit code %d, %q\n%s", code, said, out)
			}
		})
	}
}

func TestNoSMTPUsername(t *testing.T) {
	t.Parallel()
	out, said, code := newTestOperator(t).run(t, "smtp-username", "list")
	if code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(said, "No SMTP username is left to retire.") {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}
