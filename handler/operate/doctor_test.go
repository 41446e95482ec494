package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/operate/dns"
	"github.com/posthorn/posthorn/handler/version"
)

// object is short for the JSON of a resource.
type object = azuretest.Object

const (
	testCustom    = testEmails + "/domains/example.com"
	testAccount   = testGroup + "/providers/Microsoft.Storage/storageAccounts/posthornx"
	testVault     = testGroup + "/providers/Microsoft.KeyVault/vaults/kv-x"
	testInsights  = testGroup + "/providers/Microsoft.Insights/components/posthorn-insights"
	testTopic     = testGroup + "/providers/Microsoft.EventGrid/systemTopics/posthorn-events"
	testEvents    = testTopic + "/eventSubscriptions/posthorn-reports"
	testPrincipal = "aaaaaaaa-0000-0000-0000-000000000001"
	testClient    = "cccccccc-0000-0000-0000-000000000001"
	testTopicID   = "bbbbbbbb-0000-0000-0000-000000000001"
	testTenant    = "dddddddd-0000-0000-0000-000000000001"
	// Whatever is told, these are not.
	secretKey        = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
	secretConnection = "InstrumentationKey=5ec7e7aa-1111-2222-3333-444444444444;IngestionEndpoint=https://x.example/"
	secretStorage    = "DefaultEndpointsProtocol=https;AccountName=posthornx;AccountKey=c2VjcmV0LWtleQ=="
)

var testNow = time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)

// healthySettings are as infra makes them.
func healthySettings() map[string]string {
	return map[string]string{
		"AzureWebJobsStorage__accountName": "posthornx", "AzureWebJobsStorage__credential": "managedidentity", "AzureWebJobsStorage__clientId": testClient,
		"POSTHORN_QUEUE__queueServiceUri": "https://posthornx.queue.core.windows.net", "POSTHORN_QUEUE__credential": "managedidentity", "POSTHORN_QUEUE__clientId": testClient,
		"AZURE_CLIENT_ID": testClient, "AzureWebJobsDisableHomepage": "true",
		"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "44040192", "POSTHORN_MAX_REQUEST_BYTES": "42991616", "POSTHORN_MEMORY_MB": "320",
		"POSTHORN_PUBLIC_URL":     "https://posthorn.azurewebsites.net",
		"POSTHORN_ACS_ENDPOINT":   "https://post.europe.communication.azure.com",
		"POSTHORN_BLOB_ENDPOINT":  "https://posthornx.blob.core.windows.net",
		"POSTHORN_QUEUE_ENDPOINT": "https://posthornx.queue.core.windows.net",
		"POSTHORN_TABLE_ENDPOINT": "https://posthornx.table.core.windows.net",
		"POSTHORN_MASTER_KEY":     "@Microsoft.KeyVault(SecretUri=https://kv-x.vault.azure.net/secrets/posthorn-master-key)",
		"POSTHORN_QUOTA":          "custom-domain",

		"POSTHORN_HOST_MAX_REQUEST_BYTES": "44040192", hostThrottle: "8",

		"POSTHORN_AZURE_MONITOR_CONNECTION_STRING": secretConnection, "POSTHORN_AZURE_MONITOR_IDENTITY": "true",
		"APPLICATIONINSIGHTS_CONNECTION_STRING":     secretConnection,
		"APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=" + testClient + ";Authorization=AAD",
	}
}

// testDeployment is an operator at a whole deployment, as infra makes it, with a domain of its own that
// is linked and used.
type testDeployment struct {
	*testOperator
	now      time.Time
	zone     dns.Report
	settings map[string]string
}

func newTestDeployment(t *testing.T) *testDeployment {
	t.Helper()
	w := &testDeployment{testOperator: newTestOperator(t), now: testNow, settings: healthySettings()}
	w.zone = dns.Report{Domain: "example.com", Servers: []dns.Server{{Name: "ns1", Answered: true}}, Findings: []dns.Finding{{Level: dns.Green, Code: "spf", Sentence: "SPF is right."}}}
	w.login.Claims = `{"tid":"` + testTenant + `","oid":"0","idtyp":"user"}`
	w.Put("/subscriptions/00000000-0000-0000-0000-000000000001", object{"subscriptionId": "00000000-0000-0000-0000-000000000001", "displayName": "Work", "state": "Enabled", "tenantId": testTenant})
	w.SetClock(testNow)
	w.Put(testSite, object{
		"location": "westeurope", "tags": object{"azd-service-name": "posthorn"},
		"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{testGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/posthorn": object{"principalId": testPrincipal, "clientId": testClient}}},
		"properties": object{"state": "Running", "defaultHostName": "posthorn.azurewebsites.net", "functionAppConfig": object{"scaleAndConcurrency": object{
			"instanceMemoryMB": 2048, "maximumInstanceCount": 40, "triggers": object{"http": object{"perInstanceConcurrency": 8}},
		}}},
	})
	w.mail()
	w.storage()
	w.Put(testVault, object{"properties": object{"enableRbacAuthorization": true, "vaultUri": "https://kv-x.vault.azure.net/"}})
	w.Put(testInsights, object{"properties": object{"InstrumentationKey": "5ec7e7aa-1111-2222-3333-444444444444", "DisableLocalAuth": true}})
	for scope, roles := range map[string][]role{
		testAccount: {roleBlobOwner, roleQueues, roleTables}, testService: {roleSends}, testVault + "/secrets/posthorn-master-key": {roleSecrets}, testInsights: {roleMetrics},
	} {
		for _, r := range roles {
			w.Assign(scope, testPrincipal, r.id)
		}
	}
	w.Put(testSite+"/config/configreferences/appsettings/POSTHORN_MASTER_KEY", object{"properties": object{"status": "Resolved", "vaultName": "kv-x", "secretName": "posthorn-master-key"}})
	w.says("/hostruntime/admin/host/status", http.StatusOK, object{"state": "Running", "version": "4.1052.200.0", "errors": []any{}})
	w.says("//posthorn.azurewebsites.net/healthz", http.StatusOK, object{"status": "alive", "version": version.String()})
	w.says("//posthorn.azurewebsites.net/readyz", http.StatusOK, object{"status": "ready", "checks": object{"acs": "ok", "blobs": "ok", "quota": "ok", "tables": "ok"}})
	w.says("//post.europe.communication.azure.com", http.StatusNotFound, nil)
	w.says("//posthornx.table.core.windows.net/posthorncallers()", http.StatusOK, object{"value": []any{}})
	return w
}

// mail has a domain that is verified and linked, and its reports go to their queue.
func (w *testDeployment) mail() {
	states := object{"DMARC": object{"status": "NotStarted"}}
	for _, kind := range azure.Verifications() {
		states[kind] = object{"status": "Verified"}
	}
	w.Put(testCustom, object{"properties": object{"domainManagement": "CustomerManaged", "userEngagementTracking": "Disabled", "fromSenderDomain": "example.com", "verificationStates": states}})
	w.Put(testCustom+"/senderUsernames/donotreply", object{"properties": object{"username": "donotreply"}})
	w.Change(testService, object{"linkedDomains": []any{testManaged, testCustom}, "provisioningState": "Succeeded"})
	w.Put(testTopic, object{"identity": object{"type": "SystemAssigned", "principalId": testTopicID}, "properties": object{"source": strings.ToLower(testService), "provisioningState": "Succeeded"}})
	w.Put(testEvents, object{"properties": object{
		"provisioningState": "Succeeded", "filter": object{"includedEventTypes": []any{reportType}},
		"deliveryWithResourceIdentity":   object{"destination": object{"endpointType": "StorageQueue", "properties": object{"resourceId": testAccount, "queueName": "posthorn-reports"}}},
		"deadLetterWithResourceIdentity": object{"deadLetterDestination": object{"endpointType": "StorageBlob", "properties": object{"resourceId": testAccount, "blobContainerName": "posthorn-dead-events"}}},
	}})
	w.says(testTopic+"/providers/Microsoft.Insights/metrics", http.StatusOK, dead(0))
	w.Assign(testAccount+"/queueServices/default/queues/posthorn-reports", testTopicID, roleQueueSender.id)
	w.Assign(testAccount+"/blobServices/default/containers/posthorn-dead-events", testTopicID, roleBlobs.id)
}

func dead(n int) object {
	return object{"value": []any{object{"timeseries": []any{object{"data": []any{object{"total": n}}}}}}}
}

func (w *testDeployment) storage() {
	w.Put(testAccount, object{"properties": object{
		"allowSharedKeyAccess": false, "allowBlobPublicAccess": false, "minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": true,
		"publicNetworkAccess": "Enabled", "networkAcls": object{"bypass": "AzureServices", "defaultAction": "Allow"},
	}})
	for _, name := range []string{"posthorn-files", "posthorn-messages", "posthorn-packages", "posthorn-dead-events"} {
		w.Put(testAccount+"/blobServices/default/containers/"+name, object{"properties": object{"publicAccess": "None"}})
	}
	for _, name := range []string{"posthorn-dispatch", "posthorn-reports"} {
		w.Put(testAccount+"/queueServices/default/queues/"+name, object{})
	}
	for _, name := range []string{"callers", "hooks", "records", "links", "queue", "deadletters", "quota"} {
		w.Put(testAccount+"/tableServices/default/tables/posthorn"+name, object{})
	}
}

// says has an address answer so.
func (w *testDeployment) says(path string, status int, body object) {
	w.Answer(http.MethodGet, path, -1, func(azuretest.Request) azuretest.Answer {
		if body == nil {
			return azuretest.Answer{Status: status}
		}
		return azuretest.Answer{Status: status, Body: body}
	})
}

// set has a setting be so.
func (w *testDeployment) set(name, value string) { w.settings[name] = value }

// told is a finding as JSON has it.
type told struct{ Area, Level, Says, Do string }

// examined is the page as JSON, and all that was told.
func (w *testDeployment) examined(t *testing.T) (all []told, text string, code int) {
	t.Helper()
	w.SetSettings(testSite, w.settings)
	out, said, code := w.run(t, "doctor", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return all, out + said, code
}

// run runs a command of the operator, with the deployment's clock and DNS.
func (w *testDeployment) run(t *testing.T, words ...string) (out, said string, code int) {
	t.Helper()
	return w.testOperator.runAs(t, func(c *console) {
		c.now = func() time.Time { return w.now }
		c.dns = func(context.Context, dns.Domain) dns.Report { return w.zone }
	}, words...)
}

func notGreen(all []told) []told {
	return slices.DeleteFunc(slices.Clone(all), func(f told) bool { return f.Level == "green" })
}

func TestAHealthyDeploymentIsGreen(t *testing.T) {
	t.Parallel()
	w := newTestDeployment(t)
	all, text, code := w.examined(t)
	if code != 0 || len(notGreen(all)) > 0 || len(all) < 40 {
		t.Errorf("exit code %d, %d findings, %+v", code, len(all), notGreen(all))
	}
	areas := map[string]bool{}
	for _, f := range all {
		areas[f.Area] = true
	}
	for _, a := range []string{"login", "settings", "vault", "identity", "storage", "mail", "domains", "dns", "reports", "memory", "telemetry", "host", "gateway"} {
		if !areas[a] {
			t.Errorf("the page has nothing of %s", a)
		}
	}
	for _, r := range w.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/list") {
			t.Errorf("it has changed something: %s %s", r.Method, r.Path)
		}
	}
	page, said, code := w.run(t, "doctor")
	if code != 0 || strings.Count(page, "\n") > 40 || strings.Contains(page, "! yellow") || !strings.HasPrefix(page, "posthorn: 0 red, 0 yellow, ") {
		t.Errorf("exit code %d, %s%s", code, page, said)
	}
	noSecret(t, text+page)
	t.Log(page)
}
