package front

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"

	"github.com/posthorn/posthorn/handler/problem"
)

// jsonCall is how a host begins that does not proxy HTTP: with a description of the
// request, for `POST /<FunctionName>`. Source: learn.microsoft.com, "Azure Functions
// custom handlers", section Request payload.
var jsonCall = regexp.MustCompile(`^\s*\{\s*"Data"\s*:\s*\{\s*"[^"]*"\s*:\s*\{\s*"Url"\s*:\s*"https?:`)

// tellOldHost answers such a call in its own form, so that the caller behind the host
// reads what is wrong, and logs it once. It says whether it was one.
func (f *front) tellOldHost(w http.ResponseWriter, req *http.Request) bool {
	if req.Method != http.MethodPost || req.Header.Get(InvocationHeader) == "" {
		return false
	}
	_ = http.NewResponseController(w).SetReadDeadline(f.Now().Add(firstByteTime))
	// Whatever ends the reading, there is more of it or it is no such call.
	if start, _ := io.ReadAll(io.LimitReader(req.Body, 1<<10)); !jsonCall.Match(start) {
		return false
	}
	p := problem.New(problem.HostUnsupported, "The Functions host does not proxy HTTP requests. %s", problem.HostUnsupported.Advice())
	f.oldHost.Do(func() {
		f.Log.ErrorContext(req.Context(), "Functions host does not proxy HTTP requests", "host_version", req.Header.Get("X-Azure-Functions-HostVersion"), "advice", p.Kind.Advice())
	})
	text, _ := json.Marshal(newDocument(p)) //nolint:errchkjson // of types that always encode
	type output struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"Outputs": map[string]output{"res": {p.Kind.Status(), map[string]string{"Content-Type": "application/problem+json"}, string(text)}},
		"Logs":    []string{}, "ReturnValue": nil,
	})
	return true
}
