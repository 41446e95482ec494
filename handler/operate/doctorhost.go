package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// oldestHost is the minor version of the host that hands HTTP on as it is.
const oldestHost = 1040

func (f *facts) checkHost(a *area) {
	site, ok := known(a, f.site, "function app", deployAgain)
	if !ok {
		return
	}
	if s := site.Properties.State; s != "" && s != "Running" {
		a.red("az functionapp start"+f.app(), "the function app is %s", strings.ToLower(s))
		return
	}
	h, ok := known(a, f.host, "Functions host", "Deploy the package: docs/deploy.md. Then check the log of the function app.")
	if !ok {
		return
	}
	logs := "az functionapp restart" + f.app() + "\nIf the error stays, check the log stream of the function app in the Azure portal."
	switch {
	case h.State == "Running" && len(h.Errors) == 0:
		a.green("the host runs")
	case h.State == "Running" || h.State == "Error":
		a.red(logs, "the host is in the state %s: %s", h.State, strings.Join(h.Errors, " "))
	default:
		a.yellow("Run doctor again in a minute.", "the host is in the state %q", h.State)
	}
	parts := strings.Split(h.Version, ".")
	minor := -1
	if len(parts) > 1 {
		if n, err := strconv.Atoi(parts[1]); err == nil {
			minor = n
		}
	}
	switch {
	case minor < 0:
		a.yellow("Run doctor again.", "version of the host: not checked: it names none")
	case parts[0] == "4" && minor < oldestHost:
		a.red("az functionapp restart"+f.app(), "the host has version %s: it must be 4.%d or newer", h.Version, oldestHost)
	default:
		a.green("its version is %s", h.Version)
	}
}

func (f *facts) checkGateway(a *area) {
	address := f.setting("POSTHORN_PUBLIC_URL")
	if answer, ok := known(a, f.alive, "answer of "+cmp.Or(address, "the gateway"), "Check the name in POSTHORN_PUBLIC_URL, and at the function app."); ok {
		f.checkAlive(a, address, answer)
	}
	answer, ok := known(a, f.ready, "readiness", deployAgain)
	if !ok {
		return
	}
	var body struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}
	_ = json.Unmarshal(answer.Body, &body) // what cannot be read stays empty
	switch {
	case answer.Status == http.StatusOK && body.Status == "paused":
		a.yellow("posthorn sending resume", "the gateway is ready, but sending is paused")
	case answer.Status == http.StatusOK && body.Status == "ready":
		a.green("the gateway is ready")
	case answer.Status == http.StatusServiceUnavailable && len(body.Checks) > 0:
		var away []string
		for _, name := range slices.Sorted(maps.Keys(body.Checks)) {
			if body.Checks[name] != "ok" {
				away = append(away, name)
			}
		}
		a.red("Fix their roles and network, as said above. The log has the cause.", "the gateway does not reach: %s", strings.Join(away, ", "))
	default:
		a.red("Deploy the package: docs/deploy.md.", "%s/readyz answers %d", address, answer.Status)
	}
}

func (f *facts) checkAlive(a *area, address string, answer azure.Answer) {
	var body struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}
	_ = json.Unmarshal(answer.Body, &body) // what cannot be read stays empty
	switch {
	case answer.Status != http.StatusOK || body.Status != "alive":
		a.red("Deploy the package: docs/deploy.md. Then check the log of the function app.", "%s/healthz answers %d, and not as Posthorn does", address, answer.Status)
	case body.Version == "":
		a.yellow("Deploy a newer package: docs/deploy.md.", "version: not checked: the gateway names none")
	case body.Version != f.version:
		a.yellow("Deploy the package of this version, or use the program of the gateway's version: docs/deploy.md.", "the gateway has version %s, but this program has %s", body.Version, f.version)
	default:
		a.green("the gateway answers, with version %s", body.Version)
	}
}
