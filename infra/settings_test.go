package infra

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/settings"
)

// hosts are settings that the Functions host reads, and not the handler.
var hosts = []string{
	"AzureWebJobsStorage__accountName", "AzureWebJobsStorage__credential", "AzureWebJobsStorage__clientId", "AzureWebJobsDisableHomepage",
	"POSTHORN_QUEUE__queueServiceUri", "POSTHORN_QUEUE__credential", "POSTHORN_QUEUE__clientId",
	"AzureFunctionsJobHost__extensions__http__maxConcurrentRequests", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
	"APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}

// operators are the settings that the template begins with, and that what is set now replaces.
var operators = []string{"POSTHORN_MASTER_KEY", "POSTHORN_PUBLIC_URL", "POSTHORN_QUOTA"}

var settingNames = regexp.MustCompile(`['"]((?:POSTHORN|AZURE|AzureWebJobs|AzureFunctions|FUNCTIONS|APPLICATIONINSIGHTS|OTEL|WEBSITE)_?\w*)['"][,:]`)

func namesIn(text string) (all []string) {
	for _, m := range settingNames.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// plausible is a value as Azure would make it of the expression for a setting.
func plausible(name string) string {
	switch {
	case strings.HasSuffix(name, "_ENDPOINT"), strings.HasSuffix(name, "_URL"):
		return "https://name.example.com"
	case name == "POSTHORN_MASTER_KEY":
		return strings.Repeat("0", 64)
	case name == "POSTHORN_QUOTA":
		return "managed-domain"
	case name == "POSTHORN_AZURE_MONITOR_IDENTITY":
		return "true"
	case strings.HasSuffix(name, "_BYTES"):
		return "1000000"
	case name == "POSTHORN_MEMORY_MB":
		return "320"
	case name == "POSTHORN_HISTORY_DAYS":
		return "30"
	}
	return "x"
}

// settingFaults are what is wrong with the settings of the site.
func (d deployed) settingFaults() (all []string) {
	add := func(rule string, broken bool, what string) {
		if broken {
			all = append(all, rule+": "+what)
		}
	}
	app, set := d.modules["app"], d.modules["settings"]
	first := compact(app.Parameters["firstSettings"]) + compact(set.Parameters["first"])
	ours, given := compact(app.Parameters["ownSettings"]), compact(set.Parameters["own"])
	own := ours + given

	// None that nobody reads, and all without which host and handler do not start.
	var environ []string
	for _, name := range slices.Concat(namesIn(first), namesIn(own)) {
		known := slices.ContainsFunc(settings.Table(), func(r settings.Row) bool { return r.Variable == name })
		add("a setting that nobody reads", !known && !slices.Contains(hosts, name), name)
		environ = append(environ, name+"="+plausible(name))
	}
	for _, name := range hosts {
		add("a setting of the host is missing", !slices.Contains(namesIn(own), name), name)
	}
	if _, err := settings.Load(environ); err != nil {
		add("the handler does not start", true, err.Error())
	}

	// What is set now counts more than what the template begins with.
	add("settings are forgotten", compact(set.Template.Resources["Microsoft.Web/sites/config"].Properties) !=
		"\"[union(parameters('first'), variables('kept'), parameters('own'), parameters('given'))]\"\n", "the order")
	kept, _ := set.Template.Variables["kept"].(string)
	add("settings are forgotten", !strings.Contains(kept, "items(parameters('present'))") || !strings.Contains(kept, "'POSTHORN_'") || !strings.Contains(kept, "'OTEL_'"), "kept")
	present := compact(set.Parameters["present"])
	add("settings are forgotten", !strings.Contains(present, "list(format('{0}/config/appsettings'"), "what is set now")
	for _, name := range []string{"present", "own", "given"} {
		add("kept in the history of deployments", set.Template.Parameters[name].Type != "secureObject", name)
	}
	add("the quota is a literal", !strings.Contains(ours, "if(empty(parameters('quota')), createObject(), createObject('POSTHORN_QUOTA', parameters('quota')))"), "")
	for _, name := range operators {
		add("an operator's setting is the template's", !slices.Contains(namesIn(first), name) || slices.Contains(namesIn(given), name), name)
	}
	for _, name := range namesIn(first) {
		add("a setting may be kept too long", !slices.Contains(operators, name), name)
	}

	// Memory is one choice.
	site := compact(app.Template.Resources["site"].Properties)
	for text, want := range map[string]string{
		given: "'AzureFunctionsJobHost__extensions__http__maxConcurrentRequests', string(parameters('memory').requestsAtOnce), " +
			"'FUNCTIONS_REQUEST_BODY_SIZE_LIMIT', string(parameters('memory').hostBodyBytes), 'POSTHORN_HOST_MAX_REQUEST_BYTES', string(parameters('memory').hostBodyBytes), " +
			"'POSTHORN_MAX_REQUEST_BYTES', string(parameters('memory').bodyBytes), 'POSTHORN_MEMORY_MB', string(parameters('memory').handlerMB)",
		site: `"instanceMemoryMB":"[parameters('memory').instanceMB]"`,
	} {
		add("memory is no one choice", !strings.Contains(text, want), want)
	}
	add("memory is no one choice", !strings.Contains(site, `"perInstanceConcurrency":"[parameters('memory').requestsAtOnce]"`), "concurrency")
	return all
}

// azd hands on every parameter, but for what it does itself.
func TestAzdHandsOnEveryParameter(t *testing.T) {
	t.Parallel()
	azd := read(t, "azd.bicep")
	text, err := os.ReadFile("azuredeploy.json")
	if err != nil {
		t.Fatal(err)
	}
	d := load(t, text)
	for name := range d.main.Parameters {
		if name != "packageUri" && name != "seed" && !regexp.MustCompile(`(?m)^    `+name+`: (options\.\?)?`+name+`$`).MatchString(azd) {
			t.Errorf("azd.bicep does not hand on %s", name)
		}
	}
	for name := range d.main.Outputs {
		if !strings.Contains(azd, "output "+name+" string = posthorn.outputs."+name+"\n") {
			t.Errorf("azd.bicep has no output %s", name)
		}
	}
}
