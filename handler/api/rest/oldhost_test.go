package rest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A host of before May 2025 describes a request where a newer one passes it on.
func TestAHostThatDoesNotProxyIsTold(t *testing.T) {
	t.Parallel()
	const call = `{"Data":{"req":{"Url":"https://app.azurewebsites.net/emails:send","Method":"POST","Query":"{}","Headers":{"Host":["app.azurewebsites.net"]},"Params":{},"Identities":[],"Body":"{}"}},` +
		`"Metadata":{"Query":"{}","Headers":"{}","sys":{"MethodName":"NAME","UtcNow":"2026-11-28T12:00:00Z","RandGuid":"5e4b2f0c-7f0f-4c3a-9d43-0b4f8f3c6f5a"}}}`
	d := newDeployment(t, plenty)
	invocation := []string{"Authorization", "", "X-Azure-Functions-InvocationId", "5691f3a6-395f-45e6-93f2-3b0bd071dd22", "X-Azure-Functions-HostVersion", "4.38.0.0"}
	for _, function := range []string{"emails-send", "attachments", "quota", "hooks", "healthz"} {
		req := d.request(t, "POST", "/"+function, strings.Replace(call, "NAME", function, 1), invocation...)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Outputs struct {
				Res struct {
					StatusCode int
					Headers    map[string]string
					Body       string
				}
			}
			Logs []string
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK || answer.Logs == nil {
			t.Errorf("%s: %s %+v, %v", function, res.Status, answer, err)
		}
		res.Body.Close()
		var told struct{ Type, Detail string }
		if err := json.Unmarshal([]byte(answer.Outputs.Res.Body), &told); err != nil || !strings.HasSuffix(told.Type, "#host-unsupported") ||
			!strings.Contains(told.Detail, "4.1040") || answer.Outputs.Res.StatusCode != http.StatusInternalServerError || answer.Outputs.Res.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%s: %+v, %v", function, answer.Outputs.Res, err)
		}
	}
	if log := d.log.String(); strings.Count(log, "does not proxy") != 1 || !strings.Contains(log, `"host_version":"4.38.0.0"`) || !strings.Contains(log, "enableProxyingHttpRequest") {
		t.Errorf("the log is %s", log)
	}
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
	}{
		{"one that a stranger made up, through a host that proxies", "/emails:send", call, invocation, 401},
		{"without a host", "/emails-send", call, nil, 404},
		{"another body", "/emails-send", `{"Data":{"tick":"0"},"Metadata":{}}`, invocation, 404},
		{"an upload slot with a body", "/attachments", "x", invocation, 400},
	} {
		if res := d.do(t, d.request(t, "POST", c.path, c.body, c.headers...)); res.StatusCode != c.status {
			t.Errorf("%s: %s %s", c.name, res.Status, res.text)
		}
	}
}
