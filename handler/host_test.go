package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/settings"
)

// memoryJSON is the table of profiles as Bicep reads it, a line each.
func memoryJSON(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, p := range settings.Profiles() {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		spaced := strings.NewReplacer(`{`, `{ `, `}`, ` }`, `:`, `: `, `,`, `, `).Replace(string(text))
		lines = append(lines, fmt.Sprintf("  %q: %s", p.Name, spaced))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}\n"
}

func profilesTable() string {
	var b strings.Builder
	b.WriteString(`
Memory of an instance.

The Functions host reads a body into memory before it calls Posthorn. So four limits go together, as one choice:
the parameter ` + "`memory`" + ` of the deployment. The first line is the default.

| ` + "`memory`" + ` | memory of an instance | requests at once | ` + "`POSTHORN_MAX_REQUEST_BYTES`" + `: more is 413 | limit of the host: more is 500 | ` + "`POSTHORN_MEMORY_MB`" + ` |
| --- | --- | --- | --- | --- | --- |
`)
	for _, p := range settings.Profiles() {
		fmt.Fprintf(&b, "| `%s` | %d MB | %d | %d | %d | %d |\n", p.Name, p.InstanceMB, p.RequestsAtOnce, p.BodyBytes, p.HostBodyBytes, p.HandlerMB)
	}
	b.WriteString("\nA larger file goes by `POST /attachments`, straight to Blob Storage.\n")
	return b.String()
}

// host.json is the default profile's. The template sets the requests at once of another
// one over it.
func TestHostJSONIsThatOfTheDefaultProfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		t.Fatal(err)
	}
	var host struct {
		TelemetryMode string
		Logging       struct{ LogLevel map[string]string }
		Extensions    struct {
			HTTP struct{ MaxConcurrentRequests, MaxOutstandingRequests int }
		}
	}
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	most := settings.Profiles()[0].RequestsAtOnce
	if h := host.Extensions.HTTP; h.MaxConcurrentRequests != most || h.MaxOutstandingRequests <= most {
		t.Errorf("host.json takes %d requests at once and holds %d, the default profile takes %d", h.MaxConcurrentRequests, h.MaxOutstandingRequests, most)
	}
	// Posthorn sends its requests itself. Source: learn.microsoft.com, "How to configure monitoring
	// for Azure Functions", section Configure categories.
	if host.Logging.LogLevel["Host.Results"] != "Error" {
		t.Error("the host sends each request once more")
	}
	// Only with telemetryMode "OpenTelemetry" does the host read the OTEL_ variables too.
	if host.TelemetryMode != "" {
		t.Errorf("with telemetryMode %q the host reads settings of ours", host.TelemetryMode)
	}
}

// hostNames are what the Functions host and its extensions read. Source:
// learn.microsoft.com, "App settings reference for Azure Functions".
var hostNames = regexp.MustCompile(`^(?i)(AzureWebJobs|AzureFunctions|FUNCTIONS_|APPLICATIONINSIGHTS_|APPINSIGHTS_|WEBSITE_|CONTAINER_|SCALE_|DOCKER_|SCM_)`)

// given are what Azure itself sets: no operator chooses them for one reader and changes the other.
var given = []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "WEBSITE_HOSTNAME", "WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID"}

// No setting of ours is one that the host also reads: who changes one would change the other.
func TestNoSettingIsAlsoTheHosts(t *testing.T) {
	t.Parallel()
	var connections []string
	files, err := filepath.Glob(filepath.Join(root, "function.json-templates", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"connection": *"([^"]+)"`).FindAllSubmatch(text, -1) {
			connections = append(connections, string(m[1]))
		}
	}
	if len(connections) == 0 {
		t.Error("no template has a connection")
	}
	for _, row := range settings.Table() {
		name, _, _ := strings.Cut(row.Variable, "__") // the host reads CONNECTION__queueServiceUri and its like
		if (hostNames.MatchString(row.Variable) && !slices.Contains(given, row.Variable)) || slices.Contains(connections, name) {
			t.Errorf("the Functions host reads %s too", row.Variable)
		}
	}
}
