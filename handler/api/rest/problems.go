package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/problem"
)

// document is a problem on the wire: RFC 9457, with ACS's error beside it so
// that ACS's SDKs find their code and message.
type document struct {
	Type   string              `json:"type"`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Errors []problem.Violation `json:"errors,omitempty"`
	Error  acsError            `json:"error"`
}

func newDocument(p *problem.Problem) document {
	return document{
		Type: p.Kind.Type(), Title: p.Kind.Title(), Status: p.Kind.Status(), Detail: p.Detail,
		Errors: p.Violations, Error: acsError{acsCode(p), p.Sentence()},
	}
}

type acsError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// StatusClientGone is what the log says of a caller that went away; nobody
// receives it. It is nginx's 499.
const StatusClientGone = 499

func (a *api) writeProblem(w *recorder, req *http.Request, path string, err error) {
	p := understand(err)
	h := w.Header()
	if p.Kind == problem.Unauthenticated {
		h.Set("WWW-Authenticate", `Bearer realm="posthorn"`)
	}
	if wait := retryAfter(p); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(wait))
	}
	if path == hookPath && wantsPage(req) {
		h.Set("X-Ms-Error-Code", acsCode(p))
		tellPerson(w, req, p)
	} else if w.dialect != nil {
		status, body := w.dialect.refusal(p, caller.Keyed(req.Header))
		writeJSON(w, status, "application/json", body)
	} else {
		h.Set("X-Ms-Error-Code", acsCode(p))
		writeJSON(w, p.Kind.Status(), problemType(req), newDocument(p))
	}
	// It is written all the same: a caller that has only closed its side reads on,
	// and would take an answer without a status for 200.
	if gone(req.Context(), err) {
		w.status = StatusClientGone
	}
}

// gone says whether nobody is left to answer.
func gone(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) &&
		(errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF))
}

// understand gives a kind to a context that has ended; all other errors that a
// caller can cause are problems already.
func understand(err error) *problem.Problem {
	if _, ok := errors.AsType[*problem.Problem](err); !ok && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		err = problem.Wrap(problem.Unavailable, "The request could not be finished in time, and nothing was sent. Try again after Retry-After.", err)
	}
	return problem.Of(err)
}

// retryAfter is in whole seconds, rounded up; 0 means none.
func retryAfter(p *problem.Problem) int {
	if p.RetryAfter > 0 {
		return int(math.Ceil(p.RetryAfter.Seconds()))
	}
	if p.Kind == problem.Unavailable {
		return int((5 * time.Second).Seconds())
	}
	return 0
}

// acsCode is ACS's own code if it gave one, else the slug in ACS's way of
// writing: over-quota is OverQuota.
func acsCode(p *problem.Problem) string {
	if p.Upstream != "" {
		return p.Upstream
	}
	var b strings.Builder
	for word := range strings.SplitSeq(p.Kind.Slug(), "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// problemType is RFC 9457's media type unless the client says that it takes
// application/json and does not mention the other: ACS's SDKs read only that.
func problemType(req *http.Request) string {
	plain := false
	for part := range strings.SplitSeq(req.Header.Get("Accept"), ",") {
		switch media, _, _ := mime.ParseMediaType(strings.TrimSpace(part)); media {
		case "application/problem+json":
			return media
		case "application/json":
			plain = true
		}
	}
	if plain {
		return "application/json"
	}
	return "application/problem+json"
}

// writeJSON encodes v, which is made of types that always encode.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	text := bytes.NewBuffer(make([]byte, 0, 512)) // most answers
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false) // a signed URL is to be read by people too
	_ = encoder.Encode(v)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(status)
	// A caller that has gone is no news.
	_, _ = text.WriteTo(w)
}
