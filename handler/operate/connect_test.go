package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

// unconnected is a deployment whose connection file is not there yet.
func unconnected(t *testing.T) (*testDeployment, string) {
	t.Helper()
	w := newTestDeployment(t)
	w.SetSettings(testSite, w.settings)
	file := t.TempDir() + "/deep/connection.json"
	w.environ = []string{"POSTHORN_CONNECTION=" + file}
	return w, file
}

func TestConnectFindsADeployment(t *testing.T) {
	t.Parallel()
	const other = testGroup + "/providers/Microsoft.Web/sites/mail-two"
	for _, c := range []struct {
		name  string
		plant func(*testDeployment)
		words string
		code  int
		says  string
		out   string
		site  string // connected to; empty: none
	}{
		{"the only one", func(*testDeployment) {}, "", 0, `run "posthorn doctor"`, "posthorn.azurewebsites.net", testSite},
		{"a subscription", func(*testDeployment) {}, "--subscription 00000000-0000-0000-0000-000000000001", 0, "Saved in", "kv-x.vault.azure.net/secrets/posthorn-master-key", testSite},
		{"none", func(w *testDeployment) { w.Delete(testSite) }, "", exitNotFound, "tag azd-service-name=posthorn", "", ""},
		{"several", func(w *testDeployment) { tagged(w, other) }, "", exitUsage, "posthorn connect --subscription 00000000-0000-0000-0000-000000000001 --app mail-two", "mail-two", ""},
		{"one of several", func(w *testDeployment) { tagged(w, other) }, "--app POSTHORN", 0, "Saved in", "posthorn", testSite},
		{"a list", func(w *testDeployment) { tagged(w, other) }, "--list", 0, "", "mail-two", ""},
		{"a list as JSON", func(*testDeployment) {}, "--list --json", 0, "", `"app": "posthorn"`, ""},
		{"an app without the tag", func(w *testDeployment) {
			w.Put(other, object{"properties": object{"defaultHostName": "mail-two.azurewebsites.net"}})
			w.SetSettings(other, map[string]string{"POSTHORN_ACS_ENDPOINT": "https://post.europe.communication.azure.com"})
		}, "--app mail-two", 0, "Saved in", "https://mail-two.azurewebsites.net", other},
		{"an app of something else", func(w *testDeployment) {
			w.Put(other, object{"properties": object{}})
			w.SetSettings(other, map[string]string{})
		}, "--app mail-two", exitNotFound, `a function app "mail-two" with the setting POSTHORN_ACS_ENDPOINT`, "", ""},
		{"settings that may not be read", func(w *testDeployment) {
			w.Fail(http.MethodPost, "/config/appsettings/list", -1, 403, "AuthorizationFailed", denied("Microsoft.Web/sites/config/list/action", testSite))
		}, "", exitAway, `--role "Website Contributor"`, "", ""},
		{"nobody is logged in", func(w *testDeployment) { w.login = azuretest.Credential{Err: loggedOutError{}} }, "", exitAway, `Run "az login"`, "", ""},
		{"no ACS yet", func(w *testDeployment) { w.Delete(testService) }, "", 0, "Saved in", "not found by POSTHORN_ACS_ENDPOINT", testSite},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, file := unconnected(t)
			c.plant(w)
			out, said, code := w.run(t, append([]string{"connect"}, strings.Fields(c.words)...)...)
			if code != c.code || !strings.Contains(said, c.says) || !strings.Contains(out, c.out) {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
			noSecret(t, out+said)
			text, err := os.ReadFile(file)
			if c.site == "" {
				if err == nil {
					t.Errorf("it is connected: %s", text)
				}
				return
			}
			var at connection
			if err != nil || json.Unmarshal(text, &at) != nil || string(at.Site) != c.site {
				t.Errorf("connected to %s, %v", text, err)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file has mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func tagged(w *testDeployment, site string) {
	w.Put(site, object{"location": "westeurope", "tags": object{"azd-service-name": "posthorn"}, "properties": object{}})
	w.SetSettings(site, map[string]string{})
}

// The file has all that commands need, and nothing that opens anything.
func TestTheFileHasNoSecret(t *testing.T) {
	t.Parallel()
	w, file := unconnected(t)
	maps.Copy(w.settings, map[string]string{
		"POSTHORN_MASTER_KEY_OLD": secretKey, "POSTHORN_ACS_ACCESS_KEY": "c2VjcmV0LWtleQ==", "AzureWebJobsStorage": secretStorage, "POSTHORN_OWN": secretKey,
		"POSTHORN_CREDENTIAL": "managed-identity", "POSTHORN_STORAGE_CA_FILE": "/home/site/ca.pem", "POSTHORN_LANGUAGE": "de",
	})
	w.SetSettings(testSite, w.settings)
	if _, said, code := w.run(t, "connect"); code != 0 {
		t.Fatal(said)
	}
	text, err := os.ReadFile(file)
	var at connection
	if err != nil || json.Unmarshal(text, &at) != nil {
		t.Fatal(err)
	}
	noSecret(t, string(text))
	for _, name := range []string{"POSTHORN_MASTER_KEY", "POSTHORN_CREDENTIAL", "POSTHORN_STORAGE_CA_FILE", "AZURE_CLIENT_ID", "POSTHORN_OWN"} {
		if at.Settings[name] != "" {
			t.Errorf("%s is kept", name)
		}
	}
	if at.Settings["POSTHORN_LANGUAGE"] != "de" || at.Service != testService || at.EmailService != testEmails || at.MasterKey != "https://kv-x.vault.azure.net/secrets/posthorn-master-key" {
		t.Errorf("the file is %s", text)
	}
	// It can be written again, over itself.
	if _, said, code := w.run(t, "connect"); code != 0 {
		t.Error(said)
	}
}

func TestSecretAddress(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/key)":  "https://kv.vault.azure.net/secrets/key",
		"@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/key/)": "https://kv.vault.azure.net/secrets/key",
		"@Microsoft.KeyVault(VaultName=kv;SecretName=key)":                       "https://kv.vault.azure.net/secrets/key",
		"@Microsoft.KeyVault(VaultName=kv; SecretName=key; SecretVersion=7)":     "https://kv.vault.azure.net/secrets/key/7",
		"@Microsoft.KeyVault(VaultName=kv)":                                      "",
		secretKey:                                                                "",
		"":                                                                       "",
	} {
		if got := secretAddress(value); got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
}

// Commands work with the connection alone. Those that make no key do not ask the vault.
func TestCommandsWorkByTheConnection(t *testing.T) {
	t.Parallel()
	const vault = "//kv-x.vault.azure.net/secrets/posthorn-master-key"
	reachable := func(w *testDeployment) { w.says(vault, http.StatusOK, object{"value": secretKey}) }
	for _, c := range []struct {
		name    string
		plant   func(*testDeployment)
		environ []string
		keyed   bool
		asked   int // how often the vault was
		says    string
		code    int
	}{
		{"no key needed", func(*testDeployment) {}, nil, false, 0, "", 0},
		{"a key", reachable, nil, true, 1, "", 0},
		{"a key of the environment", reachable, []string{"POSTHORN_MASTER_KEY=" + secretKey}, true, 0, "", 0},
		{"a vault that refuses", func(w *testDeployment) {
			w.Fail("", vault, -1, 403, "Forbidden", "Caller is not authorized to perform action on resource.\nAction: 'x'\nResource: '"+testVault+"/secrets/posthorn-master-key'")
		}, nil, true, 1, `az role assignment create --role "Key Vault Secrets User" --assignee YOUR-ACCOUNT --scope ` + testVault + "/secrets/posthorn-master-key", exitAway},
		{"a vault that refuses and says less", func(w *testDeployment) { w.Fail("", vault, -1, 403, "Forbidden", "No.") }, nil, true, 1, `--scope "$(az keyvault show --name kv-x --query id --output tsv)/secrets/posthorn-master-key"`, exitAway},
		{"a vault behind a network", func(w *testDeployment) {
			w.Fail("", vault, -1, 403, "Forbidden", "Client address is not authorized and caller is not a trusted service.")
		}, nil, true, 1, "takes no requests from this network", exitFailed},
		{"no such secret", func(w *testDeployment) { w.Fail("", vault, -1, 404, "SecretNotFound", "No such secret.") }, nil, true, 1, "could not read the secret", exitNotFound},
		{"places of two deployments", func(*testDeployment) {}, []string{"POSTHORN_TABLE_ENDPOINT=https://other.table.core.windows.net"}, false, 0, "lacks POSTHORN_BLOB_ENDPOINT, POSTHORN_QUEUE_ENDPOINT, POSTHORN_ACS_ENDPOINT", exitUsage},
		{"a setting over the connection's", func(*testDeployment) {}, []string{"POSTHORN_LANGUAGE=quux quux"}, false, 0, "POSTHORN_LANGUAGE: ", exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, _ := unconnected(t)
			if _, said, code := w.run(t, "connect"); code != 0 {
				t.Fatal(said)
			}
			before := len(w.Requests())
			c.plant(w)
			w.environ = append(w.environ, c.environ...)
			code := 0
			_, said, _ := w.testOperator.runAs(t, func(con *console) {
				var err error
				if c.keyed {
					_, err = con.openKeyed(t.Context())
				} else {
					_, err = con.open()
				}
				code = con.failed(err)
			}, "help")
			asked := len(w.Requests()) - before
			if code != c.code || !strings.Contains(said, c.says) || asked != c.asked {
				t.Errorf("exit code %d, %q, and the vault was asked %d times", code, said, asked)
			}
			noSecret(t, said)
		})
	}
}

// An environment that has all that there must be goes before the connection: the file is
// not even read.
func TestTheEnvironmentGoesFirst(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/connection.json"
	if err := os.WriteFile(file, []byte("no JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &console{environ: []string{
		"POSTHORN_CONNECTION=" + file, "POSTHORN_PUBLIC_URL=http://127.0.0.1:7071", "POSTHORN_MASTER_KEY=" + secretKey, "POSTHORN_BLOB_ENDPOINT=https://a.blob.localhost:1",
		"POSTHORN_TABLE_ENDPOINT=https://a.table.localhost:2", "POSTHORN_QUEUE_ENDPOINT=https://a.queue.localhost:3", "POSTHORN_ACS_ENDPOINT=http://127.0.0.1:4",
	}}
	s, later, err := c.settings()
	if err != nil || later != nil || s.MasterKey != secretKey || s.Credential != "managed-identity" {
		t.Errorf("%v, %v", later, err)
	}
	c.environ = c.environ[:3]
	if _, _, err := c.settings(); err == nil || !strings.Contains(err.Error(), "posthorn connect") {
		t.Errorf("a file that is none: %v", err)
	}
}
