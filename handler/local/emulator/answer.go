package emulator

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// supportedVersions of the API, as ACS lists them in api-supported-versions.
const supportedVersions = "2023-03-31, 2025-01-15-preview, 2025-09-01"

const (
	version2023 = "2023-03-31"
	preview2025 = "2025-01-15-preview" // version2025 and senderDisplayName
	version2025 = "2025-09-01"
)

// refusal is an answer in ACS's error form.
type refusal struct {
	status     int
	code       string
	message    string
	retryAfter time.Duration // 0 means no header
}

func (f *refusal) Error() string { return f.code + ": " + f.message }

// errorBody is ErrorResponse of common-types/data-plane/v1, with the members
// that ACS's real answers have beside code and message.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Target     any    `json:"target"`
	Details    any    `json:"details"`
	InnerError any    `json:"innererror"`
}

func (f *refusal) write(w http.ResponseWriter) {
	w.Header().Set("x-ms-error-code", f.code)
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", seconds(f.retryAfter))
	}
	writeJSON(w, f.status, errorBody{Error: errorDetail{Code: f.code, Message: f.message}})
}

// pollAfter is what Retry-After says for an operation that is Running. ACS says 3
// at each answer, however long the operation has yet to go; an emulator that was
// made faster says so.
func (e *Emulator) pollAfter() string { return seconds(min(e.cfg.Delay, 3*time.Second)) }

func badRequest(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "BadRequest", message: fmt.Sprintf(format, args...)}
}

// invalid is ACS's answer to a member that is missing or wrong.
func invalid(property string) *refusal {
	return badRequest("Request body validation error. See property '%s'", property)
}

func denied() *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "Denied", message: "Denied by the resource provider."}
}

// skewed is ACS's answer to a signature of another time, which it has also given,
// for a while, to callers whose clocks were right.
func skewed() *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "Denied",
		message: "The given request could not be resolved. The time difference between the originating client and the server is greater than the allowed margin of 5 minutes."}
}

func tooMany(window string, wait time.Duration) *refusal {
	return &refusal{
		status:     http.StatusTooManyRequests,
		code:       "TooManyRequests",
		message:    fmt.Sprintf("PerSubscriptionPer%sLimitExceeded - Please try again after %s seconds.", window, seconds(wait)),
		retryAfter: wait,
	}
}

func internalError() *refusal {
	return &refusal{status: http.StatusInternalServerError, code: "InternalServerError", message: "An internal server error occurred."}
}

// seconds rounds up: a client that waits this long has waited long enough.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// writeServiceHeaders sets what ACS puts on its answers; its support asks for the
// last of them, a correlation vector, and for the operation's id.
func writeServiceHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("api-supported-versions", supportedVersions)
	h.Set("mise-correlation-id", newUUID())
	h.Set("X-Azure-Ref", newUUID())
	h.Set("X-Cache", "CONFIG_NOCACHE")
	h.Set("MS-CV", rand.Text()[:22]+".0")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	body, _ := json.Marshal(v) // values of our own, which always can be
	_, _ = w.Write(body)       // the caller went away: nobody to tell
}

// checkVersion answers like ASP.NET's API versioning, whose header
// api-supported-versions ACS sends.
func checkVersion(r *http.Request) *refusal {
	switch v := r.URL.Query().Get("api-version"); v {
	case version2023, preview2025, version2025:
		return nil
	case "":
		return &refusal{status: http.StatusBadRequest, code: "ApiVersionUnspecified",
			message: "An API version is required, but was not specified."}
	default:
		return &refusal{status: http.StatusBadRequest, code: "UnsupportedApiVersion",
			message: fmt.Sprintf("The HTTP resource that matches the request URI '%s' does not support the API version '%s'.", baseURL(r)+r.URL.Path, v)}
	}
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
