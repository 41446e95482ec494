package host

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	invocationHeader = "X-Azure-Functions-InvocationId"
	versionHeader    = "X-Azure-Functions-HostVersion"
	// correlationHeader: source: ScriptConstants.HttpProxyCorrelationHeader.
	correlationHeader = "x-ms-invocation-id"

	version   = "4.0.0"
	adminPath = "/admin/functions/"
)

// ServeHTTP proxies a request to the function whose route and method match, and
// answers any other with an empty 404, as the real host does.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := unheard(r); status != 0 {
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, adminPath); ok {
		h.names.Only(h.admin(name)).ServeHTTP(w, r)
		return
	}
	f, ok := h.match(r)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := h.readWhole(w, r); err != nil {
		h.failed(w, r, err)
		return
	}
	k, err := h.handler.ready(r.Context())
	if err != nil {
		h.log.Error("request failed", "function", f.name, "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), target{}, k.url))
	defer cancel()
	timeout := time.AfterFunc(h.settings.functionTimeout, func() {
		cancel() // or it is sent to the next handler
		k.recycle(f.name + " passed functionTimeout")
	})
	defer timeout.Stop()
	h.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// readWhole takes a body whose length is known into memory, as the binding of the
// HTTP trigger does, and bounds any other. Source: WebJobs.Extensions.Http,
// HttpTriggerAttributeBindingProvider.cs.
func (h *Host) readWhole(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, h.settings.maxBody)
	if r.ContentLength <= 0 {
		return nil
	}
	if r.ContentLength > h.settings.maxBody {
		return &http.MaxBytesError{Limit: h.settings.maxBody}
	}
	whole := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, whole); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(whole))
	return nil
}

// failed is the empty answer to a request that came to no answer of the handler.
func (h *Host) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.log.Warn("request not forwarded", "method", r.Method, "error", err)
	w.WriteHeader(http.StatusInternalServerError)
}

// admin calls a timer function by hand; the answer does not wait for the call.
func (h *Host) admin(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(h.functions, func(f function) bool { return f.name == name && f.timer != nil })
		if i < 0 || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		go h.fire(context.WithoutCancel(r.Context()), h.functions[i], nil)
		w.WriteHeader(http.StatusAccepted)
	}
}

// match finds the function by route and method. Routes are compared without
// regard to case, as ASP.NET does. It passes over one slash at the end, and an empty
// segment matches nothing. Source: dotnet/aspnetcore, PathTokenizer.cs and
// RoutePatternMatcher.cs.
func (h *Host) match(r *http.Request) (function, bool) {
	path := r.URL.EscapedPath()
	if h.settings.routePrefix != "" {
		rest, ok := strings.CutPrefix(path, "/"+h.settings.routePrefix+"/")
		if !ok {
			return function{}, false
		}
		path = rest
	}
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	for _, f := range h.functions {
		if f.route == nil || len(f.methods) > 0 && !slices.Contains(f.methods, strings.ToUpper(r.Method)) {
			continue
		}
		if matchRoute(f.route, segments) {
			return f, true
		}
	}
	return function{}, false
}

// matchRoute knows literal segments, {name} (with or without a constraint,
// which it does not check) and a last {*name}, which may stand for nothing.
func matchRoute(route, segments []string) bool {
	if last := len(route) - 1; strings.HasPrefix(route[last], "{*") {
		if len(segments) > last && segments[last] == "" {
			return false
		}
		route, segments = route[:last], segments[:min(last, len(segments))]
	}
	return slices.EqualFunc(route, segments, matchSegment)
}

func matchSegment(want, got string) bool {
	got, err := url.PathUnescape(got)
	if strings.HasPrefix(want, "{") {
		return err == nil && got != ""
	}
	return err == nil && strings.EqualFold(want, got)
}

// target is the key under which a request's context holds the handler's URL.
type target struct{}

func (h *Host) newProxy(transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
		ErrorHandler:  h.failed,
	}
}

// rewrite makes of a request what the handler of the real host sees: the caller's
// name of the host in X-Forwarded-Host alone, whatever a client says of forwarding
// dropped, headers that came twice joined, path and query encoded anew.
func rewrite(p *httputil.ProxyRequest) {
	at, _ := p.In.Context().Value(target{}).(*url.URL)
	path := repath(p.In.URL.EscapedPath())
	plain, err := url.PathUnescape(path)
	if err != nil { // never: repath encodes each percent sign
		plain = p.In.URL.Path
	}
	p.Out.URL = &url.URL{Scheme: at.Scheme, Host: at.Host, Path: plain, RawPath: path, RawQuery: requery(p.In.URL.RawQuery)}
	p.Out.Host = at.Host
	p.Out.Method = strings.ToUpper(p.In.Method)
	for name, values := range p.Out.Header {
		if len(values) > 1 {
			p.Out.Header[name] = []string{strings.Join(values, ", ")}
		}
	}
	p.SetXForwarded()
	p.Out.Header.Set("Client-Ip", p.In.RemoteAddr) // by the platform's front end
	id := newID()
	p.Out.Header.Set(invocationHeader, id)
	p.Out.Header.Set(versionHeader, version)
	p.Out.Header.Set(correlationHeader, id)
}
