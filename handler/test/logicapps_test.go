package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// workflow is as much of a workflow definition as the page has.
type workflow struct {
	Definition struct {
		Schema         string `json:"$schema"`
		ContentVersion string
		Parameters     map[string]struct {
			Type         string
			DefaultValue any
		}
		Triggers map[string]json.RawMessage
		Actions  map[string]action
		Outputs  map[string]any
	}
	Parameters map[string]any
}

// action is the HTTP action, all of whose members are here. Source:
// learn.microsoft.com, "Schema reference guide for trigger and action types in
// Azure Logic Apps", HTTP action.
type action struct {
	Type                 string
	Inputs               inputs
	RunAfter             map[string][]string
	OperationOptions     string
	RuntimeConfiguration map[string]any
}

type inputs struct {
	Method, URI    string
	Headers        map[string]string
	Queries        map[string]string
	Body           json.RawMessage
	Authentication struct{ Type, Value, Audience, Identity string }
	RetryPolicy    map[string]any
}

var expression = regexp.MustCompile(`^@([a-z]+\([^@]*\)[.a-z]*)$|@\{([^}]*)\}`)

// evaluate is what the workflow's expressions come to, of those that the page has.
func evaluate(t *testing.T, text string, parameters map[string]string) string {
	t.Helper()
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		e = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(e, "@"), "{"), "}")
		if e == "workflow().run.name" {
			return parameters["run"]
		}
		if name, ok := strings.CutPrefix(e, "parameters('"); ok {
			return parameters[strings.TrimSuffix(name, "')")]
		}
		t.Errorf("the test knows no %s", e)
		return ""
	})
}

// What docs/clients/logic-apps.md offers to paste is a workflow, and the requests
// that it makes send.
func (p *product) testLogicAppsPage(t *testing.T) {
	s := newSecure(t, p, audience)
	texts := snippets(t, "logic-apps.md", "json")
	if len(texts) != 2 {
		t.Fatalf("the page has %d definitions", len(texts))
	}
	for i, want := range []struct {
		authentication string
		end            int // status of the last answer
	}{
		{"Raw", http.StatusOK},                          // waits at Location
		{"ManagedServiceIdentity", http.StatusAccepted}, // goes on at once
	} {
		t.Run(want.authentication, func(t *testing.T) {
			a := parseWorkflow(t, texts[i])
			if a.Inputs.Authentication.Type != want.authentication {
				t.Errorf("authentication %+v", a.Inputs.Authentication)
			}
			answers := s.perform(t, a)
			last := answers[len(answers)-1]
			if answers[0].StatusCode != http.StatusAccepted || last.StatusCode != want.end {
				t.Errorf("%d answers, the last %s: %s", len(answers), last.Status, last.Body)
			}
			if n := len(s.ACS.Arrivals(t)); n != i+1 {
				t.Errorf("%d calls of ACS, want %d", n, i+1)
			}
			// The action's own retry is the same message.
			if again := s.perform(t, a)[0]; again.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("a retry is not known: %s %s", again.Status, again.Body)
			}
		})
	}
}

func parseWorkflow(t *testing.T, text string) action {
	t.Helper()
	var w workflow
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		t.Fatal(err)
	}
	def := w.Definition
	if def.Schema != "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#" || def.ContentVersion == "" || len(def.Triggers) != 1 || len(def.Actions) != 1 {
		t.Errorf("no workflow of one action: %s", text)
	}
	for name, parameter := range def.Parameters {
		if !slices.Contains([]string{"String", "SecureString"}, parameter.Type) || parameter.Type == "SecureString" && parameter.DefaultValue != nil {
			t.Errorf("the parameter %s is %+v", name, parameter)
		}
	}
	for _, a := range def.Actions {
		if a.Type != "Http" || a.OperationOptions != "" && a.OperationOptions != "DisableAsyncPattern" {
			t.Errorf("the action is %+v", a)
		}
		return a
	}
	return action{}
}

// perform does what the HTTP action does: it asks and, unless that is switched off,
// asks at Location until the answer is not 202 any more.
func (s *secure) perform(t *testing.T, a action) (answers []world.Answer) {
	t.Helper()
	// Each kind of workflow has one run here.
	parameters := map[string]string{"posthornUrl": s.public, "posthornKey": s.key, "run": "08585123456789012345-" + a.Inputs.Authentication.Type}
	ask := func(method, uri string, body []byte) world.Answer {
		req, err := http.NewRequestWithContext(t.Context(), method, uri, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		switch auth := a.Inputs.Authentication; auth.Type {
		case "Raw":
			req.Header.Set("Authorization", evaluate(t, auth.Value, parameters))
		case "ManagedServiceIdentity":
			req.Header.Set("Authorization", "Bearer "+s.token(t, auth.Audience, s.app))
		}
		if body != nil {
			for name, value := range a.Inputs.Headers {
				req.Header.Set(name, evaluate(t, value, parameters))
			}
		}
		res, err := s.trusting(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return world.Read(t, res)
	}
	answer := ask(a.Inputs.Method, evaluate(t, a.Inputs.URI, parameters), a.Inputs.Body)
	answers = append(answers, answer)
	if a.OperationOptions == "DisableAsyncPattern" {
		return answers
	}
	world.Await(t, "the end at Location", func(context.Context) bool {
		if answer.StatusCode == http.StatusAccepted {
			answer = ask(http.MethodGet, answer.Header.Get("Location"), nil)
			answers = append(answers, answer)
		}
		return answer.StatusCode != http.StatusAccepted
	})
	return answers
}

// trusting is a client that knows the deployment's certificate.
func (s *secure) trusting(t *testing.T) *http.Client {
	t.Helper()
	text, err := os.ReadFile(s.certFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
