package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// MaxBodyBytes of a request. Source: ScriptConstants.DefaultMaxRequestBodySize.
	MaxBodyBytes = 104_857_600

	// dialTries and the waits between them bridge a handler that is not listening
	// yet. Source: RetryProxyHandler.cs.
	dialTries   = 10
	dialWait    = 50 * time.Millisecond
	maxDialWait = 250 * time.Millisecond

	invocationHeader = "X-Azure-Functions-InvocationId"
	versionHeader    = "X-Azure-Functions-HostVersion"
	// correlationHeader of a client survives: the host only adds one if none is
	// there. Source: ScriptConstants.HttpProxyCorrelationHeader.
	correlationHeader = "x-ms-invocation-id"

	version   = "4.0.0"
	adminPath = "/admin/functions/"
)

// ServeHTTP proxies a request to the function whose route and method match, and
// answers 404 to any other, as the real host does.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, adminPath); ok {
		h.admin(w, r, name)
		return
	}
	f, ok := h.match(r)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.ContentLength > MaxBodyBytes {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	k, err := h.handler.ready(r.Context())
	if err != nil {
		h.log.Error("request failed", "function", f.name, "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	// Kestrel, unlike net/http, lets an answer begin before the request has ended.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		h.log.Warn("answers wait for the end of requests", "error", err)
	}
	timeout := time.AfterFunc(h.settings.functionTimeout, func() { k.recycle(f.name + " passed functionTimeout") })
	defer timeout.Stop()
	r.Body = http.MaxBytesReader(w, r.Body, MaxBodyBytes)
	h.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), target{}, k.url)))
}

// admin calls a timer function by hand; the answer does not wait for the call.
func (h *Host) admin(w http.ResponseWriter, r *http.Request, name string) {
	i := slices.IndexFunc(h.functions, func(f function) bool { return f.name == name && f.timer != nil })
	if i < 0 || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	go h.fire(context.WithoutCancel(r.Context()), h.functions[i], nil)
	w.WriteHeader(http.StatusAccepted)
}

// match finds the function by route and method. Routes are compared without
// regard to case, as ASP.NET does.
func (h *Host) match(r *http.Request) (function, bool) {
	path := r.URL.EscapedPath()
	if h.settings.routePrefix != "" {
		rest, ok := strings.CutPrefix(path, "/"+h.settings.routePrefix+"/")
		if !ok {
			return function{}, false
		}
		path = rest
	}
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, f := range h.functions {
		if f.route == nil || len(f.methods) > 0 && !slices.Contains(f.methods, r.Method) {
			continue
		}
		if matchRoute(f.route, segments) {
			return f, true
		}
	}
	return function{}, false
}

// matchRoute knows literal segments, {name} (with or without a constraint,
// which it does not check) and a last {*name}.
func matchRoute(route, segments []string) bool {
	if last := len(route) - 1; strings.HasPrefix(route[last], "{*") {
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
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			if errors.Is(err, io.ErrUnexpectedEOF) || r.Context().Err() != nil {
				w.WriteHeader(http.StatusBadRequest) // the client's body broke off
				return
			}
			h.log.Warn("request not forwarded", "method", r.Method, "error", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// rewrite passes a request on as it came: Host, raw query and forwarding
// headers of the client included, which ReverseProxy would change or drop.
func rewrite(p *httputil.ProxyRequest) {
	if u, ok := p.In.Context().Value(target{}).(*url.URL); ok {
		p.Out.URL.Scheme, p.Out.URL.Host = u.Scheme, u.Host
	}
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = p.In.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = values
		}
	}
	id := newID()
	p.Out.Header.Set(invocationHeader, id)
	p.Out.Header.Set(versionHeader, version)
	if p.Out.Header.Get(correlationHeader) == "" {
		p.Out.Header.Set(correlationHeader, id)
	}
}

// newTransport reaches the handler: no proxy of the environment, no compression
// of its own, patient while the handler starts to listen, and with .NET's second for
// an answer to `Expect: 100-continue`.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           dial,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   100,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	wait := dialWait
	for try := 1; ; try++ {
		conn, err := d.DialContext(ctx, network, address)
		if err == nil || try == dialTries || !sleep(ctx, wait) {
			return conn, err
		}
		wait = min(wait+dialWait, maxDialWait)
	}
}
