package infra

import (
	"strings"
	"testing"
)

// part is a text without which a deployment is open, does not work, or forgets what an operator
// wants, and yet compiles. It stands in a resource of a module or, where none is named, in what
// the module is given. Members are in the order of the alphabet.
type part struct{ module, resource, text, why string }

const (
	account      = "Microsoft.Storage/storageAccounts"
	subscription = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
	metrics      = "Microsoft.Insights/metricAlerts"
	acls         = `"networkAcls":{"bypass":"AzureServices","defaultAction":"[if(parameters('closed'), 'Deny', 'Allow')]"}`
)

var parts = []part{
	{"storage", account, `"allowBlobPublicAccess":false`, "blobs are public"},
	{"storage", account, `"supportsHttpsTrafficOnly":true`, "without TLS"},
	{"storage", account, acls, "a network that is not closed, or that Event Grid does not come through"},
	{"storage", "", `"closed":{"value":"[parameters('private')]"}`, "a network that is not closed"},
	{"storage", "", `"sku":"[if(parameters('zoneRedundant'), createObject('value', 'Standard_ZRS'), createObject('value', 'Standard_LRS'))]"`, "zones are a literal"},
	{"storage", account + "/blobServices/containers", `createArray(variables('files'), variables('spool'), variables('packages'), variables('deadEvents'))[copyIndex()]`, "a container is not made"},
	{"storage", account + "/queueServices/queues", `createArray(variables('dispatch'), variables('reports'))[copyIndex()]`, "a queue is not made"},

	{"vault", "vault", `"enableRbacAuthorization":true`, "roles do not count"},
	// The service refuses false where it is on already.
	{"vault", "vault", `"enablePurgeProtection":"[if(parameters('purgeProtection'), true(), null())]"`, "a second deployment fails"},
	{"vault", "vault", acls, "a network that is not closed"},
	{"vault", "", `"closed":{"value":"[parameters('private')]"}`, "a network that is not closed"},
	{"vault", "", `"masterKey":{"value":"[replace(parameters('seed'), '-', '')]"}`, "no key of 64 hex digits"},

	{"communication", "service", `createArray(resourceId('Microsoft.Communication/emailServices/domains', parameters('emailServiceName'), 'AzureManagedDomain'))`, "the managed domain is not linked at once"},
	{"communication", "service", `"dataLocation":"[parameters('dataLocation')]"`, "the data's place is a literal"},
	{"communication", "email", `"dataLocation":"[parameters('dataLocation')]"`, "the data's place is a literal"},
	{"communication", "send", `"roleDefinitionId":"[if(empty(parameters('sendRoleId')), variables('owner'), parameters('sendRoleId'))]"`, "the role is a literal"},

	{"events", "Microsoft.EventGrid/systemTopics", `"identity":{"type":"SystemAssigned"}`, "storage takes no other identity"},
	{"events", "Microsoft.EventGrid/systemTopics", `"topicType":"Microsoft.Communication.CommunicationServices"`, "no event comes"},
	{"events", subscription, `"includedEventTypes":["Microsoft.Communication.EmailDeliveryReportReceived","Microsoft.Communication.EmailEngagementTrackingReportReceived"]`, "no event comes"},
	{"events", subscription, `"eventDeliverySchema":"CloudEventSchemaV1_0"`, "another schema"},
	{"events", subscription, `"queueMessageTimeToLiveInSeconds":"[parameters('secondsToLive')]"`, "reports do not live for a day"},
	{"events", subscription, `"endpointType":"StorageQueue"`, "no queue"},
	{"events", subscription, `"identity":{"type":"SystemAssigned"}},"eventDeliverySchema"`, "storage takes no other identity"},
	{"events", subscription, `"identity":{"type":"SystemAssigned"}},"deliveryWithResourceIdentity"`, "storage takes no other identity"},
	{"events", subscription, `'Microsoft.Authorization/roleAssignments', guid(resourceId('Microsoft.Storage/storageAccounts/queueServices/queues'`, "it does not wait for its role"},
	{"events", subscription, `'Microsoft.Authorization/roleAssignments', guid(resourceId('Microsoft.Storage/storageAccounts/blobServices/containers'`, "it does not wait for its role"},
	{"events", "", `"secondsToLive":{"value":86400}`, "reports do not live for a day"},

	{"app", "plan", `"sku":{"name":"FC1","tier":"FlexConsumption"}`, "another plan"},
	{"app", "plan", `"zoneRedundant":"[parameters('zoneRedundant')]"`, "zones are a literal"},
	{"app", "site", `"identity":{"type":"UserAssigned","userAssignedIdentities":{"[format('{0}', parameters('identityId'))]":{}}}`, "another identity"},
	{"app", "site", `"keyVaultReferenceIdentity":"[parameters('identityId')]"`, "the master key cannot be read"},
	{"app", "site", `"httpsOnly":true`, "without TLS"},
	{"app", "site", `"minTlsVersion":"1.2"`, "old TLS"},
	{"app", "site", `"runtime":{"name":"custom","version":"1.0"}`, "another runtime"},
	{"app", "site", `"authentication":{"type":"UserAssignedIdentity","userAssignedIdentityResourceId":"[parameters('identityId')]"}`, "the package cannot be read"},
	{"app", "site", `"maximumInstanceCount":"[parameters('maximumInstances')]"`, "instances are a literal"},
	{"app", "site", `"virtualNetworkSubnetId":"[if(empty(parameters('subnetId')), null(), parameters('subnetId'))]"`, "it is not in the network"},
	{"app", "site::scm", `"allow":false`, "passwords open it"},
	{"app", "site::ftp", `"allow":false`, "passwords open it"},
	{"app", "package", `"dependsOn":["settings","site"]`, "the package comes before the settings"},
	{"app", "package", `"remoteBuild":false`, "Azure builds it"},
	{"app", "", `"subnetId":"[if(parameters('private'), createObject('value', coalesce(tryGet(if(parameters('private'), reference('network')`, "it is not in the network"},
	{"app", "", `format('@Microsoft.KeyVault(SecretUri={0})', reference('vault').outputs.masterKeyUri.value)`, "the master key itself is in the settings"},
	{"app", "", `"POSTHORN_QUOTA":"managed-domain"`, "a quota that Azure does not give at first"},
	{"app", "", `'POSTHORN_ACS_ENDPOINT', reference('communication').outputs.endpoint.value, 'POSTHORN_BLOB_ENDPOINT', reference('storage').outputs.blob.value, ` +
		`'POSTHORN_QUEUE_ENDPOINT', reference('storage').outputs.queue.value, 'POSTHORN_QUEUE__queueServiceUri', reference('storage').outputs.queue.value, ` +
		`'POSTHORN_TABLE_ENDPOINT', reference('storage').outputs.table.value`, "another endpoint"},
	{"settings", "", `'AzureWebJobsStorage__accountName', parameters('storageName'), 'AzureWebJobsStorage__credential', 'managedidentity', 'AzureWebJobsStorage__clientId', parameters('identityClientId'), ` +
		`'POSTHORN_QUEUE__credential', 'managedidentity', 'POSTHORN_QUEUE__clientId', parameters('identityClientId'), 'AZURE_CLIENT_ID', parameters('identityClientId'), ` +
		`'AzureWebJobsDisableHomepage', 'true'`, "another identity, or the homepage"},
	{"settings", "", `format('ClientId={0};Authorization=AAD', parameters('identityClientId'))`, "telemetry without the identity"},

	{"alerts", metrics, `"actions":"[if(empty(parameters('email')), createArray(), createArray(createObject('actionGroupId'`, "nobody is told"},
	{"alerts", metrics, `"enabled":true`, "nobody is told"},
	{"warning", "", `"start":{"value":"[parameters('budgetStart')]"}`, "the start is a literal"},
}

// missing are the parts that are not there.
func (d deployed) missing() (all []string) {
	for _, p := range parts {
		m := d.modules[p.module]
		in := []string{compact(m.Template.Resources[p.resource].raw)}
		if p.resource == "" {
			for name, value := range m.Parameters {
				in = append(in, `"`+name+`":`+strings.TrimSuffix(compact(value), "\n")+",")
			}
		}
		if !strings.Contains(strings.Join(in, ""), p.text) {
			all = append(all, p.why+": "+p.module+" "+p.resource+" lacks "+p.text)
		}
	}
	for name, alert := range map[string]string{
		"DeliveryStatusUpdate": "serviceId", "APIRequestEmail": "serviceId", "DeadLetteredCount": "topicId", "Http5xx": "siteId",
		"posthorn.cleanup.age": "insightsId",
	} {
		if !alertOn(d.modules["alerts"].Template.Variables["alerts"], name, alert) {
			all = append(all, "no alert on "+name)
		}
	}
	for _, want := range []struct{ module, name, kind string }{
		{"vault", "masterKey", "securestring"}, {"app", "givenSettings", "secureObject"}, {"", "settings", "secureObject"}, {"", "seed", "securestring"},
	} {
		in := d.main
		if want.module != "" {
			in = d.modules[want.module].Template
		}
		if in.Parameters[want.name].Type != want.kind {
			all = append(all, "kept in the history of deployments: "+want.module+" "+want.name)
		}
	}
	if seed := d.main.Parameters["seed"].DefaultValue; seed != "[format('{0}{1}', newGuid(), newGuid())]" {
		all = append(all, "a master key that can be guessed")
	}
	if uri, _ := d.modules["vault"].Template.Outputs["masterKeyUri"].Value.(string); !strings.HasPrefix(uri, "[format('{0}secrets/{1}'") {
		all = append(all, "a new version of the master key is not read: "+uri)
	}
	return all
}

func alertOn(alerts any, metric, scope string) bool {
	list, _ := alerts.([]any)
	for _, one := range list {
		if a, _ := one.(map[string]any); a["metric"] == metric && a["scope"] == "[parameters('"+scope+"')]" {
			return true
		}
	}
	return false
}

// handedFaults are names and tags that a tenant gives, and that a module does not get.
func (d deployed) handedFaults() (all []string) {
	for of, r := range d.main.Resources {
		if r.Type != "Microsoft.Resources/deployments" {
			continue
		}
		m := d.modules[of]
		if _, has := m.Template.Parameters["tags"]; has && compact(m.Parameters["tags"]) != "{\"value\":\"[parameters('tags')]\"}\n" {
			all = append(all, "without tags: "+of)
		}
		for _, name := range []string{"name", "emailServiceName", "planName", "workspaceName", "groupName"} {
			if _, has := m.Template.Parameters[name]; has && !strings.HasPrefix(compact(m.Parameters[name]), `{"value":"[variables('given').`) {
				all = append(all, "a name that cannot be given: "+of+" "+name)
			}
		}
	}
	return all
}

// Mistakes that the compiler takes are found in what is committed, wherever there is none.
func TestMistakesOfTheTemplateAreFound(t *testing.T) {
	t.Parallel()
	text := read(t, "azuredeploy.json")
	for _, c := range []struct{ name, old, new string }{
		{"open in private", `if(parameters('closed'), 'Deny', 'Allow')`, `if(parameters('closed'), 'Allow', 'Allow')`},
		{"Event Grid kept out", `"bypass": "AzureServices"`, `"bypass": "None"`},
		{"public blobs", `"allowBlobPublicAccess": false`, `"allowBlobPublicAccess": true`},
		{"a rule for every container", `"[format('{0}/', variables('files'))]"`, `"posthorn-"`},
		{"a rule for the package", `"[format('{0}/', variables('deadEvents'))]"`, `"[format('{0}/', variables('packages'))]"`},
		{"a queue by another name", `"reports": "posthorn-reports"`, `"reports": "posthorn-report"`},
		{"access policies of the vault", `"enableRbacAuthorization": true`, `"enableRbacAuthorization": false`},
		{"a key half as long", `[format('{0}{1}', newGuid(), newGuid())]`, `[newGuid()]`},
		{"a key with dashes", `[replace(parameters('seed'), '-', '')]`, `[parameters('seed')]`},
		{"a seed in the history", `"seed": {
      "type": "securestring"`, `"seed": {
      "type": "string"`},
		{"one version of the key", `[format('{0}secrets/{1}', `, `[format('{0}secrets/{1}/1', `},
		{"nobody to read the key", `"keyVaultReferenceIdentity": "[parameters('identityId')]",`, ``},
		{"the id of the wrong kind", `'AZURE_CLIENT_ID', parameters('identityClientId')`, `'AZURE_CLIENT_ID', parameters('identityId')`},
		{"passwords", `"allow": false`, `"allow": true`},
		{"another runtime", `"name": "custom",`, `"name": "costum",`},
		{"a package too early", `"dependsOn": [
                "settings",
                "site"
              ]`, `"dependsOn": ["site"]`},
		{"the managed domain not linked", `, createArray(resourceId('Microsoft.Communication/emailServices/domains', parameters('emailServiceName'), 'AzureManagedDomain'))`, ``},
		{"a role that is ignored", `"roleDefinitionId": "[if(empty(parameters('sendRoleId')), variables('owner'), parameters('sendRoleId'))]"`, `"roleDefinitionId": "[variables('owner')]"`},
		{"events of another name", `EmailDeliveryReportReceived`, `EmailDeliveryReportRecieved`},
		{"reports for ever", `"value": 86400`, `"value": -1`},
		{"endpoints exchanged", `'POSTHORN_BLOB_ENDPOINT', reference('storage').outputs.blob.value`, `'POSTHORN_BLOB_ENDPOINT', reference('storage').outputs.queue.value`},
		{"a metric that is none", `"metric": "APIRequestEmail"`, `"metric": "ApiRequestsEmail"`},
		{"the tenant's name ignored", `[variables('given').vault]`, `[format('kv-{0}', variables('suffix'))]`},
		{"a role without a type", `"principalType": "ServicePrincipal",`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(text, c.old) {
				t.Fatalf("there is no %q", c.old)
			}
			if len(load(t, []byte(strings.ReplaceAll(text, c.old, c.new))).faults()) == 0 {
				t.Error("it was not found")
			}
		})
	}
}
