package rest

import (
	"bytes"
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
// reads what is wrong, and logs it once. It says whether it was one. If it was not, the
// request still has all of its body.
func (a *api) tellOldHost(w http.ResponseWriter, req *http.Request) bool {
	if req.Method != http.MethodPost || req.Header.Get(InvocationHeader) == "" {
		return false
	}
	_ = http.NewResponseController(w).SetReadDeadline(a.Now().Add(firstByteTime))
	// Whatever ends the reading, there is more of it or it is no such call.
	start, _ := io.ReadAll(io.LimitReader(req.Body, 1<<10))
	if !jsonCall.Match(start) {
		req.Body = &unread{bytes.NewReader(start), req.Body}
		return false
	}
	p := problem.New(problem.HostUnsupported, "The Functions host does not proxy HTTP requests. %s", problem.HostUnsupported.Advice())
	a.oldHost.Do(func() {
		a.Log.ErrorContext(req.Context(), "Functions host does not proxy HTTP requests", "host_version", req.Header.Get("X-Azure-Functions-HostVersion"), "advice", p.Kind.Advice())
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

// unread is a body whose start was read before.
type unread struct {
	start *bytes.Reader
	io.ReadCloser
}

func (u *unread) Read(p []byte) (int, error) {
	if u.start.Len() > 0 {
		return u.start.Read(p)
	}
	return u.ReadCloser.Read(p)
}
