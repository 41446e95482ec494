package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/api/trigger"
	product "github.com/posthorn/posthorn/handler/settings"
)

const root = "../../.."

func templates(t *testing.T) []function {
	t.Helper()
	files, err := filepath.Glob(root + "/function.json-templates/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no templates", err)
	}
	all := make([]function, len(files))
	for i, file := range files {
		// readFunction holds names, one HTTP input and one HTTP output.
		all[i], err = readFunction(file, strings.TrimSuffix(filepath.Base(file), ".json"), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestTheTimersRunAsOftenAsTheyShould(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	want := map[string][2]time.Duration{"cleanup": {7 * time.Minute, time.Hour}, "watchdog": {time.Minute, time.Minute}}
	for _, f := range templates(t) {
		if f.timer == nil {
			continue
		}
		first := f.timer.next(noon)
		if got := [2]time.Duration{first.Sub(noon), f.timer.next(first).Sub(first)}; got != want[f.name] {
			t.Errorf("%s: first after %v, then every %v; want %v", f.name, got[0], got[1], want[f.name])
		}
		delete(want, f.name)
	}
	if len(want) > 0 {
		t.Errorf("timers without a template: %v", want)
	}
}

// The host calls a trigger as POST /NAME. A public route that matches such a path
// would let a stranger make the call. So does none that has no fixed part before it stands
// for all paths.
func TestNoPublicRouteReachesATrigger(t *testing.T) {
	t.Parallel()
	all := templates(t)
	for _, public := range all {
		if public.route != nil && strings.HasPrefix(public.route[0], "{") {
			t.Errorf("the route of %s begins with no fixed part", public.name)
		}
		for _, private := range all {
			if public.route != nil && private.route == nil && matchRoute(public.route, []string{private.name}) {
				t.Errorf("the route of %s reaches %s", public.name, private.name)
			}
		}
	}
}

// The product authenticates every caller itself.
func TestTheHostAsksForNoKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob(root + "/function.json-templates/*.json")
	for _, file := range files {
		var doc struct {
			Bindings []struct{ Type, AuthLevel string }
		}
		if err := readJSON(file, &doc); err != nil {
			t.Fatal(err)
		}
		if b := doc.Bindings[0]; b.Type == "httpTrigger" && b.AuthLevel != "anonymous" {
			t.Errorf("%s: authLevel %q", file, b.AuthLevel)
		}
	}
}

func TestHostJSONServesTheProduct(t *testing.T) {
	t.Parallel()
	s, err := readSettings(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.routePrefix != "" {
		t.Errorf("route prefix %q", s.routePrefix)
	}
	if s.functionTimeout < trigger.Deadline+30*time.Second {
		t.Errorf("functionTimeout %v leaves no room for work of %v to end by itself", s.functionTimeout, trigger.Deadline)
	}
	loaded, err := product.Load([]string{"POSTHORN_PUBLIC_URL=http://127.0.0.1", "POSTHORN_MASTER_KEY_FILE=x",
		"POSTHORN_BLOB_ENDPOINT=https://a.b", "POSTHORN_TABLE_ENDPOINT=https://a.b", "POSTHORN_QUEUE_ENDPOINT=https://a.b", "POSTHORN_ACS_ENDPOINT=https://a.b"})
	if err != nil {
		t.Fatal(err)
	}
	if s.functionTimeout <= loaded.RequestTimeout {
		t.Errorf("functionTimeout %v, requests may take %v", s.functionTimeout, loaded.RequestTimeout)
	}
}

// hosts are variables that Azure or the host sets, never a person.
var hosts = map[string]bool{
	"FUNCTIONS_CUSTOMHANDLER_PORT": true, "WEBSITE_HOSTNAME": true, "WEBSITE_SITE_NAME": true, "WEBSITE_INSTANCE_ID": true,
}

func TestTheSampleNamesEverySetting(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(root + "/local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct{ Values map[string]string }
	if err := json.Unmarshal(data, &sample); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"FUNCTIONS_WORKER_RUNTIME": true, "AzureWebJobsSecretStorageType": true, "AzureWebJobsStorage": true, "POSTHORN_QUEUE": true, "POSTHORN_QUEUE__queueServiceUri": true, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": true, "IDENTITY_ENDPOINT": true, "IDENTITY_HEADER": true}
	for _, row := range product.Table() {
		known[row.Variable] = true
		if _, ok := sample.Values[row.Variable]; !ok && !hosts[row.Variable] {
			t.Errorf("%s is not in the sample", row.Variable)
		}
	}
	var env []string
	for name, value := range sample.Values {
		if !known[name] {
			t.Errorf("%s is no setting", name)
		}
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	if _, err := product.Load(env); err != nil {
		t.Errorf("the sample as it stands: %v", err)
	}
}
