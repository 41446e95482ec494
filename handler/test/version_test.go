package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// A person who asks which Posthorn this is hears the same everywhere.
func (p *product) testVersion(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	told := world.Run(t, w.Env, p.HandlerFile, "--version").Stdout.String()
	version := strings.TrimSuffix(strings.TrimPrefix(told, "handler "), "\n")
	if version == "" || strings.ContainsAny(version, " \n") {
		t.Fatalf("handler --version says %q", told)
	}
	if got := w.Operate(t, "--version"); got != "posthorn "+version {
		t.Errorf("posthorn --version says %q", got)
	}
	first, _, _ := strings.Cut(w.Handler.Stdout.String(), "\n")
	var line struct{ Msg, Version string }
	if err := json.Unmarshal([]byte(first), &line); err != nil || line.Msg != "serving" || line.Version != version {
		t.Errorf("the log begins with %s", first)
	}
	var alive struct{ Version string }
	if err := json.Unmarshal(w.Get(t, "/healthz").Body, &alive); err != nil || alive.Version != version {
		t.Errorf("/healthz says %q, %v", alive.Version, err)
	}
	for _, path := range []string{"/openapi.json", "/swagger.json"} {
		var doc struct{ Info struct{ Version string } }
		if err := json.Unmarshal(w.Get(t, path).Body, &doc); err != nil || doc.Info.Version != version {
			t.Errorf("%s says %q, %v", path, doc.Info.Version, err)
		}
	}
}
