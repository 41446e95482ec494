// Package rest is the HTTP API: routes, methods, media types and sizes come
// in, answers and problems go out. A problem becomes an answer here and nowhere
// else; an error is logged here, once.
//
// It decides nothing about a message: gateway does. What the Functions host
// calls by itself (timers, queues) is api/trigger's.
//
// Routes are explicit. The host calls a trigger as `POST /<FunctionName>` on the
// same port, so no route below may match such a path. Slashes too many in a path mean
// nothing: see plainly.
package rest

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/problem"
)

// Config is what the HTTP API is made of.
type Config struct {
	Gateway *gateway.Gateway
	Callers *caller.Registry
	Hooks   *hook.Registry
	// Public is the address under which callers reach us. Absolute URLs are made
	// of it and never of the Host header, which the Functions host may replace.
	Public *url.URL
	// Language is the default for pages that a recipient sees.
	Language string
	// Version is the program's, for /healthz and the documents of the API.
	Version string
	// MaxRequestBytes bounds a body before it is parsed.
	MaxRequestBytes int64
	// Admission is the memory for bodies, and Memory what one of so many bytes
	// (-1: of unknown length) may need of it.
	Admission *Admission
	Memory    func(bodyBytes int64) int64
	// RequestTimeout bounds how long a body may take to arrive.
	RequestTimeout time.Duration
	// Probes are what /readyz looks at.
	Probes []Probe
	// Now is a local clock.
	Now        func() time.Time
	NewID      func() string // a random UUID
	Log        *slog.Logger
	Tracer     trace.Tracer
	Propagator propagation.TextMapPropagator
}

// Probe is one thing that must work for messages to be sent.
type Probe struct {
	Name  string
	Check func(ctx context.Context) error
}

//go:embed openapi.json
var openAPI []byte

// route is one public path. Only these are ever served to the outside. A route that does
// not look at a body itself is served without one.
type route struct {
	path    string
	methods []string
	serve   handle
	body    bool
}

// handle serves a route.
type handle func(*api, http.ResponseWriter, *http.Request) error

var routes = []route{
	{"/emails:send", []string{http.MethodPost}, (*api).send, true},
	{"/emails/operations/{id}", []string{http.MethodGet, http.MethodDelete}, withVersion(withMessage((*api).operation)), false},
	{"/emails/operations/{id}/result", []string{http.MethodGet}, withVersion(withMessage((*api).result)), false},
	{"/emails/operations/{id}/links", []string{http.MethodDelete}, withMessage((*api).revokeLinks), false},
	{"/emails", []string{http.MethodPost}, (*api).resendEmail, true},
	{"/emails/batch", []string{http.MethodPost}, (*api).resendBatch, true},
	{"/emails/{id}", []string{http.MethodGet}, withMessage((*api).resendFind), false},
	{"/emails/{id}/cancel", []string{http.MethodPost}, withMessage((*api).resendCancel), false},
	{"/v3/mail/send", []string{http.MethodPost}, (*api).sendgridMail, true},
	{"/email", []string{http.MethodPost}, (*api).postmarkEmail, true},
	{"/email/batch", []string{http.MethodPost}, (*api).postmarkBatch, true},
	{"/attachments", []string{http.MethodPost}, (*api).slot, true},
	{"/files/{token}", []string{http.MethodGet, http.MethodHead}, (*api).file, false},
	{"/files/{token}/{number}", []string{http.MethodGet, http.MethodHead}, (*api).file, false},
	{"/quota", []string{http.MethodGet}, (*api).quota, false},
	{"/callers/me", []string{http.MethodGet}, (*api).whoAmI, false},
	{hookPath, hookMethods, (*api).hook, true},
	{"/healthz", []string{http.MethodGet, http.MethodHead}, (*api).healthz, false},
	{"/readyz", []string{http.MethodGet, http.MethodHead}, (*api).readyz, false},
	{"/openapi.json", []string{http.MethodGet, http.MethodHead}, (*api).openapi, false},
	{"/swagger.json", []string{http.MethodGet, http.MethodHead}, (*api).swagger, false},
}

// Routes lists path and methods of every public route, in the form of
// http.ServeMux, for the tests that hold function.json and the pages against them.
func Routes() map[string][]string {
	all := make(map[string][]string, len(routes))
	for _, r := range routes {
		all[r.path] = slices.Clone(r.methods)
	}
	return all
}

type api struct {
	Config
	operations string // the URL of all messages, with a slash at its end
	ready      readiness
	oldHost    sync.Once // is told
	rates      hook.Rates
}

// New returns the handler of all public routes. Anything else is 404.
func New(c Config) http.Handler {
	a := &api{Config: c, operations: c.Public.JoinPath("emails", "operations").String() + "/"}
	mux := http.NewServeMux()
	for _, r := range routes {
		for _, m := range r.methods {
			mux.Handle(m+" "+r.path, a.handler(r))
		}
	}
	elsewhere := a.elsewhere(mux)
	mux.Handle("/", elsewhere)
	// Of Resend's API, and no id of a message.
	mux.Handle("GET /emails/metrics", elsewhere)
	mux.Handle("GET /emails/receiving", elsewhere)
	// The host asks for / every 25 ms until it is answered, and now and then later.
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return plainly(mux)
}

// plainly serves a path as what it is without doubled slashes and one at its end, which a
// client makes of an address that ends in a slash. ServeMux would answer with a redirect,
// on which clients lose the body, the key or both.
func plainly(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked := req.URL.EscapedPath()
		if plain := path.Clean(asked); plain != asked && strings.HasPrefix(asked, "/") {
			at, again := *req.URL, *req
			at.Path, _ = url.PathUnescape(plain) // net/http has done so before
			at.RawPath, again.URL = plain, &at
			req = &again
		}
		mux.ServeHTTP(w, req)
	})
}

// elsewhere answers what no route does. Only the router knows which routes a path
// has under other methods: two that overlap may each have some of them.
func (a *api) elsewhere(mux *http.ServeMux) http.Handler {
	paths := map[string]route{}
	for _, r := range routes {
		for _, m := range r.methods {
			paths[m+" "+r.path] = r
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path, allow := "/", []string{}
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			asked := *req
			asked.Method = m
			if _, pattern := mux.Handler(&asked); strings.HasPrefix(pattern, m+" ") && paths[pattern].serve != nil {
				path, allow = paths[pattern].path, append(allow, m)
			}
		}
		instead := "Nothing is at this path. GET /openapi.json lists all paths."
		if of, is := absentAbove(req.URL.Path); is && len(allow) == 0 {
			path, instead = of, absent[of].instead
		}
		a.handler(route{path: path, body: true, serve: func(_ *api, w http.ResponseWriter, req *http.Request) error {
			if a.tellOldHost(w, req) {
				return nil
			}
			if len(allow) == 0 {
				return problem.New(problem.NotFound, "%s", instead)
			}
			list := strings.Join(allow, ", ")
			w.Header().Set("Allow", list)
			return problem.New(problem.MethodNotAllowed, "This route does not take %s. It takes %s.%s", req.Method, list, unchanged[req.Method+" "+path])
		}}).ServeHTTP(w, req)
	})
}
