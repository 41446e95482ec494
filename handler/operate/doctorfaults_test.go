package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// denied is what ARM says where a right is missing.
func denied(action, scope string) string {
	return "The client 'x' with object id 'y' does not have authorization to perform action '" + action + "' over scope '" + scope + "' or the scope is invalid."
}

// Each fault alone makes its line red or yellow, with what to do, and leaves all others
// green.
func TestEachFaultHasItsLine(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*testDeployment) { return func(w *testDeployment) { w.set(name, value) } }
	lack := func(name string) func(*testDeployment) { return func(w *testDeployment) { delete(w.settings, name) } }
	change := func(id string, o object) func(*testDeployment) { return func(w *testDeployment) { w.Change(id, o) } }
	gone := func(id string) func(*testDeployment) { return func(w *testDeployment) { w.Delete(id) } }
	unassigned := func(principal string, r role) func(*testDeployment) {
		return func(w *testDeployment) { w.Unassign(principal, r.id) }
	}
	status := func(s string) func(*testDeployment) {
		return change(testSite+"/config/configreferences/appsettings/POSTHORN_MASTER_KEY", object{"status": s})
	}
	host := func(o object) func(*testDeployment) {
		return func(w *testDeployment) { w.says("/hostruntime/admin/host/status", http.StatusOK, o) }
	}
	for i, c := range []struct {
		name  string
		plant func(*testDeployment)
		level string
		area  string
		says  string
		do    string
	}{
		{"another tenant", func(w *testDeployment) { w.login.Claims = `{"tid":"other","oid":"0"}` }, "red", "login", "another tenant", "az login --tenant " + testTenant},
		{"the app's own identity", func(w *testDeployment) { w.login.Claims = `{"tid":"` + testTenant + `","oid":"` + testPrincipal + `"}` }, "yellow", "login", "the app's own identity", "az login"},
		{"a subscription that is off", func(w *testDeployment) {
			o := w.Resource("/subscriptions/00000000-0000-0000-0000-000000000001")
			o["state"] = "Disabled"
			w.Put("/subscriptions/00000000-0000-0000-0000-000000000001", o)
		}, "red", "login", "state Disabled", "portal"},
		{"a clock that is late", func(w *testDeployment) { w.now = testNow.Add(-2 * time.Minute) }, "yellow", "login", "wrong by 2m0s", "clock"},
		{"a clock that is wrong", func(w *testDeployment) { w.now = testNow.Add(time.Hour) }, "red", "login", "wrong by 1h0m0s", "clock"},

		{"a setting that names another's host", func(w *testDeployment) {
			w.set("POSTHORN_BLOB_ENDPOINT", "https://posthornx.blob.core.windows.net.evil.example")
		}, "red", "settings", "POSTHORN_BLOB_ENDPOINT names a host that is not Azure's", "--settings POSTHORN_BLOB_ENDPOINT=https://ACCOUNT.blob.core.windows.net"},
		{"a setting that is missing", lack("POSTHORN_BLOB_ENDPOINT"), "red", "settings", "POSTHORN_BLOB_ENDPOINT: is missing", "appsettings set --subscription 00000000-0000-0000-0000-000000000001 --resource-group mail --name posthorn --settings POSTHORN_BLOB_ENDPOINT="},
		{"a setting that is wrong", set("POSTHORN_REQUEST_TIMEOUT", "10m"), "red", "settings", "POSTHORN_REQUEST_TIMEOUT: must be at most 120s", "POSTHORN_REQUEST_TIMEOUT="},
		{"a setting that nobody reads", set("POSTHORN_QOUTA", "custom"), "yellow", "settings", "POSTHORN_QOUTA is not a setting", "appsettings delete --subscription 00000000-0000-0000-0000-000000000001 --resource-group mail --name posthorn --setting-names POSTHORN_QOUTA"},
		{"a setting that Flex refuses", set("FUNCTIONS_WORKER_RUNTIME", "custom"), "yellow", "settings", "FUNCTIONS_WORKER_RUNTIME must not be set", "delete"},
		{"a master key in clear", set("POSTHORN_MASTER_KEY", secretKey), "yellow", "settings", "anyone who reads them can make keys", "Key Vault"},
		{"an access key", set("POSTHORN_ACS_ACCESS_KEY", "c2VjcmV0LWtleQ=="), "yellow", "settings", "POSTHORN_ACS_ACCESS_KEY is set", "delete"},
		{"another credential", set("POSTHORN_CREDENTIAL", "azure-cli"), "red", "settings", "not managed-identity", "delete"},
		{"an injected connection string", set("AzureWebJobsStorage", secretStorage), "red", "settings", "AzureWebJobsStorage is set", "--setting-names AzureWebJobsStorage"},
		{"an empty one", set("AzureWebJobsStorage", ""), "red", "settings", "AzureWebJobsStorage is set", "--setting-names AzureWebJobsStorage"},
		{"one of the deployment", set("DEPLOYMENT_STORAGE_CONNECTION_STRING", secretStorage), "red", "settings", "DEPLOYMENT_STORAGE_CONNECTION_STRING is set", "delete"},
		{"a host without storage", lack("AzureWebJobsStorage__accountName"), "red", "settings", "AzureWebJobsStorage__accountName is missing", "AzureWebJobsStorage__accountName=posthornx"},
		{"a host without credential", lack("AzureWebJobsStorage__credential"), "red", "settings", "AzureWebJobsStorage__credential is missing", "=managedidentity"},
		{"a host without identity", lack("AzureWebJobsStorage__clientId"), "red", "settings", "AzureWebJobsStorage__clientId is missing", "=" + testClient},
		{"a host with another identity", set("AzureWebJobsStorage__clientId", "other"), "red", "settings", "AzureWebJobsStorage__clientId is not", "=" + testClient},
		{"a host with another account", set("AzureWebJobsStorage__accountName", "posthorny"), "yellow", "settings", "AzureWebJobsStorage__accountName is posthorny", "AzureWebJobsStorage__accountName=posthornx"},
		{"a host that reads no queue", lack("POSTHORN_QUEUE__queueServiceUri"), "red", "settings", "POSTHORN_QUEUE__queueServiceUri is not", "=https://posthornx.queue.core.windows.net"},

		{"a reference that is refused", status("AccessToKeyVaultDenied"), "red", "vault", "may not read the secret", "refresh"},
		{"a reference to nothing", status("SecretNotFound"), "red", "vault", "no such vault or secret", "Create it"},
		{"a reference that is misspelt", status("InvalidSyntax"), "red", "vault", "misspelt", "SecretUri="},
		{"a reference under way", status("Initialized"), "yellow", "vault", "does not work yet", "az rest"},
		{"a reference of which nothing is said", func(w *testDeployment) {
			w.Put(testSite+"/config/configreferences/appsettings/OTHER", object{"properties": object{"status": "Resolved"}})
			w.Delete(testSite + "/config/configreferences/appsettings/POSTHORN_MASTER_KEY")
		}, "yellow", "vault", "not checked", "Run doctor again"},

		{"no identity is named", lack("AZURE_CLIENT_ID"), "red", "identity", "AZURE_CLIENT_ID is missing", "AZURE_CLIENT_ID=" + testClient},
		{"another identity is named", set("AZURE_CLIENT_ID", "other"), "red", "identity", "AZURE_CLIENT_ID names no identity of the app", "AZURE_CLIENT_ID="},
		{"no role on blobs", unassigned(testPrincipal, roleBlobOwner), "red", "identity", "lacks the role Storage Blob Data Owner", `az role assignment create --assignee-object-id ` + testPrincipal + ` --assignee-principal-type ServicePrincipal --role "Storage Blob Data Owner" --scope ` + testAccount},
		{"no role on queues", unassigned(testPrincipal, roleQueues), "red", "identity", "lacks the role Storage Queue Data Contributor", "az role"},
		{"no role on tables", unassigned(testPrincipal, roleTables), "red", "identity", "lacks the role Storage Table Data Contributor", "az role"},
		{"no role on ACS", unassigned(testPrincipal, roleSends), "red", "identity", "lacks the role Communication and Email Service Owner", "--scope " + testService},
		{"a role of the tenant's own on ACS", func(w *testDeployment) {
			w.Unassign(testPrincipal, roleSends.id)
			w.Assign(testService, testPrincipal, "custom")
		}, "yellow", "identity", "has roles other than", "az role"},
		{"no role on the secret", unassigned(testPrincipal, roleSecrets), "red", "identity", "lacks the role Key Vault Secrets User", "/vaults/kv-x/secrets/posthorn-master-key"},
		{"no role on telemetry", unassigned(testPrincipal, roleMetrics), "red", "identity", "lacks the role Monitoring Metrics Publisher", "--scope " + testInsights},

		{"shared keys", change(testAccount, object{"allowSharedKeyAccess": true}), "yellow", "storage", "shared keys work", "--allow-shared-key-access false"},
		{"shared keys by default", change(testAccount, object{"allowSharedKeyAccess": nil}), "yellow", "storage", "shared keys work", "--allow-shared-key-access false"},
		{"public blobs", change(testAccount, object{"allowBlobPublicAccess": true}), "yellow", "storage", "made public", "--allow-blob-public-access false"},
		{"old TLS", change(testAccount, object{"minimumTlsVersion": "TLS1_0"}), "yellow", "storage", "older than 1.2", "--min-tls-version TLS1_2"},
		{"no trusted services", change(testAccount, object{"networkAcls": object{"bypass": "None", "defaultAction": "Deny"}}), "red", "storage", "Event Grid cannot deliver", "--bypass AzureServices"},
		{"a container that is marked as public", change(testAccount+"/blobServices/default/containers/posthorn-files", object{"publicAccess": "Blob"}), "yellow", "storage", "posthorn-files is marked as public", "portal"},
		{"no container", gone(testAccount + "/blobServices/default/containers/posthorn-messages"), "yellow", "storage", "missing containers: posthorn-messages", "first use"},
		{"no queue", gone(testAccount + "/queueServices/default/queues/posthorn-dispatch"), "yellow", "storage", "missing queues: posthorn-dispatch", "first use"},
		{"no table", gone(testAccount + "/tableServices/default/tables/posthornqueue"), "yellow", "storage", "missing tables: posthornqueue", "roles"},
		{"no right of one's own", func(w *testDeployment) { w.says("/posthorncallers()", http.StatusForbidden, nil) }, "yellow", "storage", "you may not read the tables", "Storage Table Data Contributor"},

		{"ACS is silent", func(w *testDeployment) {
			w.says("//post.europe.communication.azure.com", http.StatusServiceUnavailable, nil)
		}, "green", "mail", "it answers", ""},
		{"another ACS", func(w *testDeployment) {
			w.set("POSTHORN_ACS_ENDPOINT", "https://other.communication.azure.com")
			w.says("//other.communication.azure.com", http.StatusNotFound, nil)
		}, "red", "mail", "is not the address of post", "POSTHORN_ACS_ENDPOINT=https://post.europe.communication.azure.com"},
		{"access keys", change(testService, object{"disableLocalAuth": false}), "yellow", "mail", "access keys work", "disableLocalAuth=true"},
		{"ACS half made", change(testService, object{"provisioningState": "Failed"}), "red", "mail", "state Failed", "Deploy"},

		{"engagement tracking", change(testCustom, object{"userEngagementTracking": "Enabled"}), "yellow", "domains", "engagement tracking is on", "--user-engmnt-tracking Disabled"},
		{"verified no longer", change(testCustom, object{"verificationStates": object{"Domain": object{"status": "Verified"}, "SPF": object{"status": "VerificationFailed"}, "DKIM": object{"status": "Verified"}, "DKIM2": object{"status": "Verified"}}}), "red", "domains", "SPF is VerificationFailed", "posthorn domain status example.com"},
		{"no sender", gone(testCustom + "/senderUsernames/donotreply"), "red", "domains", "has no sender", "posthorn sender add 'donotreply@example.com'"},
		{"the Azure-managed domain is not linked", change(testService, object{"linkedDomains": []any{testCustom}}), "yellow", "domains", "managed domain is not linked", "posthorn domain link AzureManagedDomain"},
		{"a quota that is too small", set("POSTHORN_QUOTA", "managed-domain"), "red", "domains", "POSTHORN_QUOTA is managed-domain", "POSTHORN_QUOTA=custom-domain"},

		{"a quota that is too large", func(w *testDeployment) {
			w.Delete(testCustom)
			w.Change(testService, object{"linkedDomains": []any{testManaged}})
		}, "yellow", "domains", "only the Azure-managed domain is linked", "POSTHORN_QUOTA=managed-domain"},

		{"a domain of another Email Service", func(w *testDeployment) {
			w.Delete(testCustom)
			w.Change(testService, object{"linkedDomains": []any{testManaged, testGroup + "/providers/Microsoft.Communication/emailServices/other/domains/example.org"}})
		}, "yellow", "domains", "1 linked domains belong to another Email Service", "portal"},
		{"DNS is wrong", func(w *testDeployment) {
			w.zone.Findings = append(w.zone.Findings, dns.Finding{Level: dns.Red, Sentence: "There are two SPF records.", Remedy: "Merge them."})
		}, "red", "dns", "example.com: There are two SPF records", "Merge them."},
		{"DNS says nothing", func(w *testDeployment) { w.zone.Findings = nil }, "yellow", "dns", "not checked", "posthorn doctor --domain example.com"},

		{"no topic", gone(testTopic), "red", "reports", "no Event Grid system topic", "Deploy"},
		{"a topic half made", change(testTopic, object{"provisioningState": "Failed"}), "red", "reports", "state Failed", "Deploy"},
		{"no subscription", gone(testEvents), "red", "reports", "no event subscription", "Deploy"},
		{"a subscription half made", change(testEvents, object{"provisioningState": "AwaitingManualAction"}), "red", "reports", "AwaitingManualAction", "Deploy"},
		{"no dead letters", change(testEvents, object{"deadLetterWithResourceIdentity": nil}), "yellow", "reports", "have no container", "Deploy"},
		{"no queue of reports", gone(testAccount + "/queueServices/default/queues/posthorn-reports"), "red", "reports", "posthorn-reports of delivery reports does not exist", "az storage queue create"},
		{"another queue of reports", func(w *testDeployment) {
			w.Put(testAccount+"/queueServices/default/queues/other", object{})
			w.Change(testEvents, object{"deliveryWithResourceIdentity": object{"destination": object{"endpointType": "StorageQueue", "properties": object{"resourceId": testAccount, "queueName": "other"}}}})
		}, "red", "reports", "go to the queue other, and Posthorn reads posthorn-reports", "Deploy"},
		{"Event Grid without identity", func(w *testDeployment) {
			w.Put(testTopic, object{"identity": object{"type": "None"}, "properties": object{"source": testService}})
		}, "red", "reports", "the system topic has no identity", "Deploy"},
		{"Event Grid with another identity", func(w *testDeployment) {
			w.Put(testTopic, object{"identity": object{"type": "UserAssigned"}, "properties": object{"source": testService}})
		}, "yellow", "reports", "roles of Event Grid: not checked", "portal"},
		{"Event Grid with a key that is off", change(testEvents, object{
			"deliveryWithResourceIdentity": nil,
			"destination":                  object{"endpointType": "StorageQueue", "properties": object{"resourceId": testAccount, "queueName": "posthorn-reports"}},
		}), "red", "reports", "with an account key, but keys are off", "Deploy"},
		{"Event Grid may not write", unassigned(testTopicID, roleQueueSender), "red", "reports", "Event Grid lacks the role Storage Queue Data Message Sender", "az role"},
		{"Event Grid may not bury", unassigned(testTopicID, roleBlobs), "red", "reports", "Event Grid lacks the role Storage Blob Data Contributor", "az role"},
		{"reports that got lost", func(w *testDeployment) {
			w.says(testTopic+"/providers/Microsoft.Insights/metrics", http.StatusOK, dead(7))
		}, "yellow", "reports", "7 delivery reports failed", "posthorn-dead-events"},

		{"memory that fits nothing", set("POSTHORN_MEMORY_MB", "490"), "red", "memory", "The nearest is standard", "POSTHORN_MEMORY_MB=320"},
		{"a body larger than the host's", set("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "50000000"), "red", "memory", "The nearest is standard", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=44040192"},

		{"a host that throttles", set(hostThrottle, "16"), "red", "memory", "16 by the host", hostThrottle + "=8"},
		{"a handler that is told of another host", set("POSTHORN_HOST_MAX_REQUEST_BYTES", "50000000"), "red", "memory", "The nearest is standard", "POSTHORN_HOST_MAX_REQUEST_BYTES=44040192"},

		{"telemetry with a key that is off", set("POSTHORN_AZURE_MONITOR_IDENTITY", "false"), "red", "telemetry", "Posthorn does not use its identity", "POSTHORN_AZURE_MONITOR_IDENTITY=true"},
		{"the host's with a key that is off", lack("APPLICATIONINSIGHTS_AUTHENTICATION_STRING"), "red", "telemetry", "the host does not use the identity", "Authorization=AAD"},
		{"no telemetry", lack("POSTHORN_AZURE_MONITOR_CONNECTION_STRING"), "yellow", "telemetry", "Posthorn sends no telemetry", "OTEL_EXPORTER_OTLP_ENDPOINT"},

		{"an app that is stopped", change(testSite, object{"state": "Stopped"}), "red", "host", "the function app is stopped", "az functionapp start"},
		{"a host in error", host(object{"state": "Error", "version": "4.1052.1", "errors": []any{"It broke."}}), "red", "host", "state Error: It broke.", "restart"},
		{"a host that begins", host(object{"state": "Starting", "version": "4.1052.1"}), "yellow", "host", `state "Starting"`, "Run doctor again"},
		{"a host that is old", host(object{"state": "Running", "version": "4.1037.0"}), "red", "host", "must be 4.1040 or newer", "restart"},

		{"another version", func(w *testDeployment) {
			w.says("/healthz", http.StatusOK, object{"status": "alive", "version": "v0.0.1"})
		}, "yellow", "gateway", "the gateway has version v0.0.1", "Deploy the package"},
		{"no package", func(w *testDeployment) { w.says("/healthz", http.StatusNotFound, nil) }, "red", "gateway", "/healthz answers 404", "Deploy the package"},
		{"not ready", func(w *testDeployment) {
			w.says("/readyz", http.StatusServiceUnavailable, object{"status": "not ready", "checks": object{"acs": "ok", "tables": "failed"}})
		}, "red", "gateway", "the gateway does not reach: tables", "roles"},
		{"paused", func(w *testDeployment) { w.says("/readyz", http.StatusOK, object{"status": "paused"}) }, "yellow", "gateway", "sending is paused", "posthorn sending resume"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && i%4 > 0 {
				t.Skip("a deployment for each takes a while")
			}
			w := newTestDeployment(t)
			c.plant(w)
			all, text, code := w.examined(t)
			if want := map[string]int{"red": exitFailed}[c.level]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			wrong, want := notGreen(all), 1
			if c.level == "green" {
				want = 0
			} else if len(wrong) > 0 && (wrong[0].Area != c.area || wrong[0].Level != c.level || !strings.Contains(wrong[0].Says, c.says) || !strings.Contains(wrong[0].Do, c.do)) {
				t.Errorf("got %+v", wrong[0])
			}
			if len(wrong) != want {
				t.Errorf("%d lines are not green: %+v", len(wrong), wrong)
			}
			noSecret(t, text)
		})
	}
}

// noSecret fails if anything of what opens something is told.
func noSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{secretKey, "5ec7e7aa", "AccountKey", "c2VjcmV0LWtleQ", ".operator"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is told:\n%s", secret, text)
		}
	}
}

// What cannot be looked at is yellow, never green, and the right that is missing is
// named.
func TestWhatIsNotSeenIsNotGreen(t *testing.T) {
	t.Parallel()
	role := func(suffix, action, scope string) func(*testDeployment) {
		return func(w *testDeployment) {
			w.Fail("", suffix, -1, http.StatusForbidden, "AuthorizationFailed", denied(action, scope))
		}
	}
	for _, c := range []struct {
		name  string
		plant func(*testDeployment)
		area  string
		do    string
	}{
		{"settings", role("/config/appsettings/list", "Microsoft.Web/sites/config/list/action", testSite), "settings", `"Website Contributor"`},
		{"references", role("/config/configreferences/appsettings", "Microsoft.Web/sites/config/read", testSite), "vault", `"Website Contributor"`},
		{"roles", role(testAccount+"/providers/Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleAssignments/read", testAccount), "identity", "--scope " + testAccount},
		{"accounts", role("/providers/Microsoft.Storage/storageAccounts", "Microsoft.Storage/storageAccounts/read", "/subscriptions/1"), "storage", `"Reader"`},
		{"containers", role("/containers", "Microsoft.Storage/storageAccounts/blobServices/containers/read", testAccount), "storage", `"Reader"`},
		{"service", role("/communicationServices/post", "Microsoft.Communication/communicationServices/read", testService), "mail", `"Communication and Email Service Owner"`},
		{"domains", role("/domains", "Microsoft.Communication/emailServices/domains/read", testEmails), "domains", `"Communication and Email Service Owner"`},
		{"topics", role("/systemTopics", "Microsoft.EventGrid/systemTopics/read", "/subscriptions/1"), "reports", `"Reader"`},
		{"metrics", role("/metrics", "Microsoft.Insights/metrics/read", testTopic), "reports", `"Monitoring Reader"`},
		{"host", role("/host/status", "Microsoft.Web/sites/hostruntime/host/read", testSite), "host", `"Website Contributor"`},
		{"Azure is away", func(w *testDeployment) {
			w.Fail("", "/host/status", -1, http.StatusServiceUnavailable, "Away", "Later.")
		}, "host", "Run doctor again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newTestDeployment(t)
			c.plant(w)
			all, text, code := w.examined(t)
			seen := false
			for _, f := range notGreen(all) {
				if f.Level != "yellow" || f.Do == "" {
					t.Errorf("%+v", f)
				}
				seen = seen || f.Area == c.area && strings.Contains(f.Says, "not checked") && strings.Contains(f.Do, c.do)
			}
			if !seen || code != 0 {
				t.Errorf("exit code %d, and no line of %s among %+v", code, c.area, notGreen(all))
			}
			noSecret(t, text)
		})
	}
}

// A deployment that ended half-way gives a page, at every stage of it.
func TestADeploymentThatIsHalfDone(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	for _, stage := range []string{testTopic, testInsights, testVault, testAccount, testEmails, testService, testSite} {
		w.Delete(stage)
		all, text, code := w.examined(t)
		if code != exitFailed || len(all) < 13 {
			t.Errorf("without %s: exit code %d, %d lines", azure.ID(stage).Name(), code, len(all))
		}
		for _, f := range notGreen(all) {
			if f.Do == "" {
				t.Errorf("without %s nothing is to be done: %+v", azure.ID(stage).Name(), f)
			}
		}
		noSecret(t, text)
	}
	w.SetSettings(testSite, nil)
	if all, _, code := w.examined(t); code != exitFailed || len(all) < 13 {
		t.Errorf("without anything: exit code %d, %d lines", code, len(all))
	}
}

// Without answers nothing is green, and nothing is red either.
func TestTheTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	w.runAs(t, func(c *console) {
		at, err := c.connection()
		if err != nil {
			t.Fatal(err)
		}
		c.now = time.Now
		f, err := c.examine(ctx, w.Client(t, w.login), at, func(context.Context, dns.Domain) dns.Report { return dns.Report{} })
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range f.findings() {
			if line.Level != dns.Yellow || line.Do == "" {
				t.Errorf("%+v", line)
			}
		}
	}, "help")
}

// Settings of the environment, as of a local run, get the page of what can be seen by
// them.
func TestThePageOfTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	w.environ = []string{
		"POSTHORN_PUBLIC_URL=https://posthorn.azurewebsites.net", "POSTHORN_MASTER_KEY=" + secretKey, "POSTHORN_BLOB_ENDPOINT=https://a.blob.localhost:1", "POSTHORN_CREDENTIAL=azure-cli",
		"POSTHORN_TABLE_ENDPOINT=https://a.table.localhost:1", "POSTHORN_QUEUE_ENDPOINT=https://a.queue.localhost:1", "POSTHORN_ACS_ENDPOINT=https://post.europe.communication.azure.com",
	}
	out, said, code := w.run(t, "doctor")
	for _, want := range []string{"green  settings", "red    storage", "green  mail", "green  gateway"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if code != exitFailed || !strings.Contains(said, "The deployment in Azure is not checked") {
		t.Errorf("exit code %d, %s%s", code, out, said)
	}
	noSecret(t, out+said)
}

// An environment that is half set is told of, a line a fault.
func TestThePageOfHalfAnEnvironment(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	w.environ = []string{"POSTHORN_CONNECTION=" + t.TempDir() + "/none", "POSTHORN_TABLE_ENDPOINT=http://a.example.com"}
	out, said, code := w.run(t, "doctor")
	for _, want := range []string{"POSTHORN_TABLE_ENDPOINT: must start with https://", "POSTHORN_BLOB_ENDPOINT: is missing", "posthorn connect"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if code != exitFailed {
		t.Errorf("exit code %d, %s%s", code, out, said)
	}
	w.environ = w.environ[:1]
	if out, said, code := w.run(t, "doctor"); code != exitUsage || out != "" || !strings.Contains(said, `Run "posthorn connect" first`) {
		t.Errorf("without anything: exit code %d, %s%s", code, out, said)
	}
}

// Without a login there is no page of fifty lines that all say so.
func TestThePageNeedsALogin(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	w.login = azuretest.Credential{Err: loggedOutError{}}
	out, said, code := w.run(t, "doctor")
	if code != exitAway || out != "" || !strings.Contains(said, `Run "az login"`) {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}

// loggedOutError is what azidentity answers without a login.
type loggedOutError struct{}

func (loggedOutError) Error() string { return "AzureCLICredential: ERROR: Please run 'az login'" }
func (loggedOutError) NonRetriable() {}
