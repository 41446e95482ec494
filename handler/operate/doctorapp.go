package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/settings"
)

// findings are the page, in its order.
func (f *facts) findings() (all []finding) {
	for _, part := range []struct {
		name  string
		check func(*facts, *area)
	}{
		{"login", (*facts).checkLogin},
		{"settings", (*facts).checkSettings},
		{"vault", (*facts).checkVault},
		{"identity", (*facts).checkIdentity},
		{"storage", (*facts).checkStorage},
		{"mail", (*facts).checkMail},
		{"domains", (*facts).checkDomains},
		{"dns", (*facts).checkDNS},
		{"reports", (*facts).checkReports},
		{"memory", (*facts).checkMemory},
		{"telemetry", (*facts).checkTelemetry},
		{"host", (*facts).checkHost},
		{"gateway", (*facts).checkGateway},
	} {
		a := &area{name: part.name}
		part.check(f, a)
		all = append(all, a.all...)
	}
	return all
}

// ACS and Entra ID refuse what is signed with a clock that is wrong by five minutes.
const (
	mostClockSkew = 5 * time.Minute
	someClockSkew = time.Minute
)

func (f *facts) checkLogin(a *area) {
	s, ok := known(a, f.standing, "subscription "+f.at.Subscription, "Check \"az account list\", and run \"posthorn connect\" again.")
	if !ok {
		return
	}
	who := map[string]string{"user": "a user", "app": "an application"}[f.claims.Kind]
	if who == "" {
		who = "an account"
	}
	if f.claims.Tenant != "" && s.Tenant != "" && !strings.EqualFold(f.claims.Tenant, s.Tenant) {
		a.red("az login --tenant "+word(s.Tenant), "the login is for another tenant than the subscription's")
	} else {
		a.green("logged in as %s of the subscription's tenant", who)
	}
	if f.claims.Object != "" && f.claims.Object == f.principal() {
		a.yellow("az login", "the login is the app's own identity: its rights say nothing about yours")
	}
	if s.State != "" && s.State != "Enabled" {
		a.red("Enable it in the Azure portal, under Subscriptions.", "the subscription is in the state %s", s.State)
	}
	skew := f.now.Sub(s.Date).Abs()
	switch {
	case s.Date.IsZero():
		a.yellow("Run doctor again.", "clock: not checked: Azure named no time")
	case skew > mostClockSkew:
		a.red("Set this computer's clock: switch on its time service.", "this computer's clock is wrong by %s", skew.Round(time.Second))
	case skew > someClockSkew:
		a.yellow("Set this computer's clock: switch on its time service.", "this computer's clock is wrong by %s", skew.Round(time.Second))
	default:
		a.green("the clock is right")
	}
}

// set is the line that sets settings of the app.
func (f *facts) set(assignments ...string) string {
	return "az functionapp config appsettings set" + f.app() + " --settings " + words(assignments...)
}

func (f *facts) unset(names ...string) string {
	return "az functionapp config appsettings delete" + f.app() + " --setting-names " + words(names...)
}

func (f *facts) app() string {
	return " " + words("--subscription", f.at.Site.Subscription(), "--resource-group", f.at.Site.Group(), "--name", f.at.Site.Name())
}

const deployAgain = "Deploy infra again: docs/deploy.md. Then run \"posthorn connect\"."

func (f *facts) checkSettings(a *area) {
	all, ok := known(a, f.settings, "settings", deployAgain)
	if !ok {
		return
	}
	f.checkValues(a, all)
	f.checkNames(a, all)
	f.checkHostStorage(a, all)
	f.checkQueueTrigger(a, all)
}

// checkValues has the handler's own rules look at the settings.
func (f *facts) checkValues(a *area, all map[string]string) {
	var environ []string
	for name, value := range all {
		if strings.HasPrefix(value, vaultReference) && name != "POSTHORN_ACS_ACCESS_KEY" {
			value = noKey
		}
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, "WEBSITE_HOSTNAME="+f.site.value.Properties.HostName, "FUNCTIONS_CUSTOMHANDLER_PORT=7071")
	if _, err := settings.Load(environ); err != nil {
		for line := range strings.Lines(strings.TrimPrefix(err.Error(), "settings: ")) {
			line = strings.TrimSpace(line)
			name, _, _ := strings.Cut(line, ":")
			a.red(f.set(name+"=VALUE"), "%s", line)
		}
	} else {
		a.green("all required settings are set")
	}
	for _, e := range endpoints() {
		if e.foreign(all[e.name]) {
			a.red(f.set(e.name+"="+e.example), "%s names a host that is not Azure's: the app sends its token there", e.name)
		}
	}
	switch key := all["POSTHORN_MASTER_KEY"]; {
	case key != "" && !strings.HasPrefix(key, vaultReference):
		a.yellow("Keep it in a Key Vault, and set POSTHORN_MASTER_KEY to @Microsoft.KeyVault(SecretUri=…): docs/deploy.md.", "POSTHORN_MASTER_KEY is in the settings: anyone who reads them can make keys for every caller")
	case all["POSTHORN_ACS_ACCESS_KEY"] != "":
		a.yellow(f.unset("POSTHORN_ACS_ACCESS_KEY"), "POSTHORN_ACS_ACCESS_KEY is set: mail is sent with a key instead of the identity")
	}
	if c := all["POSTHORN_CREDENTIAL"]; c != "" && c != "managed-identity" && c != "workload-identity" {
		a.red(f.unset("POSTHORN_CREDENTIAL"), "POSTHORN_CREDENTIAL is not managed-identity: the app has no other login")
	}
}

// checkNames finds settings that nobody reads, and those that Azure must not have.
func (f *facts) checkNames(a *area, all map[string]string) {
	read := map[string]bool{}
	for _, row := range settings.Table() {
		read[row.Variable] = true
	}
	unknown := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case strings.HasPrefix(name, "POSTHORN_") && !read[name] && name != "POSTHORN_QUEUE" && !strings.HasPrefix(name, "POSTHORN_QUEUE__"):
			a.yellow(f.unset(name), "%s is not a setting of this version", name)
			unknown++
		case name == "FUNCTIONS_WORKER_RUNTIME" || name == "FUNCTIONS_EXTENSION_VERSION" || name == "WEBSITE_RUN_FROM_PACKAGE":
			if f.site.value.Properties.FunctionAppConfig.Scale.InstanceMemoryMB > 0 {
				a.yellow(f.unset(name), "%s must not be set on Flex Consumption", name)
				unknown++
			}
		}
	}
	if unknown == 0 {
		a.green("no setting is unknown")
	}
}

// checkHostStorage looks at what the host itself needs: without it, its timers do not
// run. Azure was seen to set two of these by itself, after a deployment, some of them
// empty; they go before the identity.
// Source: github.com/Azure/azure-functions-host, issues 11636 and 11796.
func (f *facts) checkHostStorage(a *area, all map[string]string) {
	wrong := 0
	for _, name := range []string{"AzureWebJobsStorage", "DEPLOYMENT_STORAGE_CONNECTION_STRING"} {
		if _, set := all[name]; set {
			a.red(f.unset(name), "%s is set: the host uses it instead of the identity", name)
			wrong++
		}
	}
	name, _, _ := strings.Cut(hostOf(f.setting(blobEndpoint)), ".")
	if name == "" {
		name = "ACCOUNT"
	}
	wanted := [][2]string{{"AzureWebJobsStorage__accountName", name}, {"AzureWebJobsStorage__credential", "managedidentity"}}
	if client := f.client(); client != "" {
		wanted = append(wanted, [2]string{"AzureWebJobsStorage__clientId", client})
	}
	for _, w := range wanted {
		switch value := all[w[0]]; {
		case value == "":
			a.red(f.set(w[0]+"="+w[1]), "%s is missing: the host has no storage, and its timers do not run", w[0])
			wrong++
		case w[0] == "AzureWebJobsStorage__accountName" && name != "ACCOUNT" && !strings.EqualFold(value, name):
			a.yellow("If there is no such account, or the host is to use Posthorn's: "+f.set(w[0]+"="+w[1]), "%s is %s, and not Posthorn's account: it is not checked", w[0], value)
			wrong++
		case w[0] != "AzureWebJobsStorage__accountName" && !strings.EqualFold(value, w[1]):
			a.red(f.set(w[0]+"="+w[1]), "%s is not %s", w[0], w[1])
			wrong++
		}
	}
	if wrong == 0 {
		a.green("the host has its storage")
	}
}

// checkQueueTrigger looks at how the host finds the queue that wakes Posthorn.
func (f *facts) checkQueueTrigger(a *area, all map[string]string) {
	queue := f.setting(queueEndpoint)
	if queue == "" {
		queue = "https://ACCOUNT.queue.core.windows.net"
	}
	wanted := [][2]string{{"POSTHORN_QUEUE__queueServiceUri", queue}, {"POSTHORN_QUEUE__credential", "managedidentity"}}
	if client := f.client(); client != "" {
		wanted = append(wanted, [2]string{"POSTHORN_QUEUE__clientId", client})
	}
	wrong := 0
	for _, w := range wanted {
		if !strings.EqualFold(strings.TrimSuffix(all[w[0]], "/"), w[1]) {
			a.red(f.set(w[0]+"="+w[1]), "%s is not %s: queued messages are not sent", w[0], w[1])
			wrong++
		}
	}
	if wrong == 0 {
		a.green("the host finds the queue")
	}
}

func (f *facts) checkVault(a *area) {
	all, ok := known(a, f.settings, "references", deployAgain)
	if !ok {
		return
	}
	resolved := map[string]azure.Reference{}
	list, ok := known(a, f.references, "references", deployAgain)
	if !ok {
		return
	}
	for _, r := range list {
		resolved[strings.ToLower(r.Name)] = r
	}
	refresh := "az rest --method post --uri " + word(string(f.at.Site)+"/config/configreferences/appsettings/refresh?api-version=2022-03-01")
	some := false
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(all[name], vaultReference) {
			continue
		}
		some = true
		r := resolved[strings.ToLower(name)].Properties
		switch r.Status {
		case "Resolved":
			a.green("%s is read from the vault", name)
		case "":
			a.yellow("Run doctor again in a minute.", "%s: not checked: Azure does not say whether the reference works", name)
		case "AccessToKeyVaultDenied", "MSINotEnabled", "UnauthorizedClient":
			a.red("Fix the role under identity, then run:\n"+refresh, "%s: the app's identity may not read the secret (%s)", name, r.Status)
		case "InvalidSyntax":
			a.red(f.set(name+"=@Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME)"), "%s: the reference is misspelt", name)
		case "VaultNotFound", "SecretNotFound", "SecretVersionNotFound":
			a.red("Create it, or correct the reference: "+f.set(name+"=@Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME)"), "%s: there is no such vault or secret (%s)", name, r.Status)
		default:
			a.yellow(refresh, "%s: the reference does not work yet (%s)", name, r.Status)
		}
	}
	if !some && all["POSTHORN_MASTER_KEY"] != "" {
		a.green("no setting is a reference")
	}
}

// checkMemory holds what an instance gets against the choices that there are.
func (f *facts) checkMemory(a *area) {
	if _, ok := known(a, f.settings, "settings of memory", deployAgain); !ok {
		return
	}
	site, ok := known(a, f.site, "plan", deployAgain)
	if !ok {
		return
	}
	scale := site.Properties.FunctionAppConfig.Scale
	if scale.InstanceMemoryMB == 0 {
		a.yellow("Check docs/limits.md.", "not checked: the plan is not Flex Consumption")
		return
	}
	const hostDefault = 104857600 // ScriptConstants.DefaultMaxRequestBodySize of the host
	has := settings.Profile{
		InstanceMB: scale.InstanceMemoryMB, RequestsAtOnce: scale.Triggers.HTTP.PerInstance,
		HostBodyBytes: f.number("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", hostDefault), BodyBytes: f.number("POSTHORN_MAX_REQUEST_BYTES", 0), HandlerMB: int(f.number("POSTHORN_MEMORY_MB", 0)),
	}
	// The handler and host.json's own throttle are told of two of these once more.
	told := f.number("POSTHORN_HOST_MAX_REQUEST_BYTES", 0)
	throttle := f.number(hostThrottle, int64(settings.Profiles()[0].RequestsAtOnce))
	nearest := settings.Profiles()[0]
	for i, p := range slices.Backward(settings.Profiles()) {
		has.Name = p.Name
		if has == p && told == p.HostBodyBytes && throttle == int64(p.RequestsAtOnce) {
			a.green("%s: %d MB, %d requests at once, bodies of %d bytes", p.Name, p.InstanceMB, p.RequestsAtOnce, p.BodyBytes)
			return
		}
		if p.InstanceMB == has.InstanceMB {
			nearest = settings.Profiles()[i]
		}
	}
	a.red(f.set(fmt.Sprintf("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=%d", nearest.HostBodyBytes), fmt.Sprintf("POSTHORN_HOST_MAX_REQUEST_BYTES=%d", nearest.HostBodyBytes),
		fmt.Sprintf("POSTHORN_MAX_REQUEST_BYTES=%d", nearest.BodyBytes), fmt.Sprintf("POSTHORN_MEMORY_MB=%d", nearest.HandlerMB), fmt.Sprintf("%s=%d", hostThrottle, nearest.RequestsAtOnce))+"\n"+
		fmt.Sprintf("az functionapp scale config set%s --instance-memory %d --trigger-type http --trigger-settings perInstanceConcurrency=%d", f.app(), nearest.InstanceMB, nearest.RequestsAtOnce),
		"%d MB, %d requests at once (%d by the host), bodies of %d (told: %d) and %d bytes, %d MB for the handler: docs/limits.md has no such profile. The nearest is %s",
		has.InstanceMB, has.RequestsAtOnce, throttle, has.HostBodyBytes, told, has.BodyBytes, has.HandlerMB, nearest.Name)
}

// hostThrottle is what host.json says of requests at once, where an app differs from it.
const hostThrottle = "AzureFunctionsJobHost__extensions__http__maxConcurrentRequests"

// number is a setting, or its default; 0 is the one of the table.
func (f *facts) number(name string, otherwise int64) int64 {
	text := f.settings.value[name]
	if text == "" && otherwise == 0 {
		text = defaultOf(name)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return otherwise
}
