package rest_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// generatedSeed makes the same requests each time; another one finds other faults.
const generatedSeed = 20261126

// Requests made of openapi.json, right and wrong in every way that one can think
// of, are answered or refused, and never with a fault of ours: storage works and
// ACS takes all, so that nothing here may be 5xx. What is added to the document is
// asked too.
func TestGeneratedRequestsFindNoFault(t *testing.T) {
	t.Parallel()
	requests := 10_000
	if testing.Short() {
		requests = 3_000
	}
	d := newDeployment(t, quota.Limits{PerMinute: 8192, PerHour: 8192})
	d.memory.Store(1 << 10)
	g := &generator{Rand: rand.New(rand.NewPCG(generatedSeed, 1)), specification: readSpecification(t), deployment: d, known: map[string][]string{}}
	g.letWait(t)
	h, _ := d.hooked(t, "generic", "generic")
	g.known["name"], g.known["key"] = []string{h.Name}, []string{d.hooks.Key(h)}
	operations := g.operations(t)
	document := openAPI(t)
	answered := map[string]map[int]int{}
	for i := range requests {
		o := operations[i%len(operations)]
		req, shown := g.request(t, o)
		w := httptest.NewRecorder()
		d.server.Config.Handler.ServeHTTP(w, req)
		if answered[o.name] == nil {
			answered[o.name] = map[int]int{}
		}
		answered[o.name][w.Code]++
		if w.Code >= 500 {
			t.Fatalf("request %d: %d %s\n%s", i, w.Code, w.Body, shown)
		}
		g.learn(w, d)
		if g.one(16) && listed(w.Code) && req.Method == o.method { // all of them would take a minute
			if faults := document.FaultsOf(req, w.Result()); len(faults) > 0 {
				t.Errorf("request %d: %d is not as the document says: %q\n%s", i, w.Code, faults, shown)
			}
		}
	}
	for _, o := range slices.CompactFunc(operations, func(a, b operation) bool { return a.name == b.name }) {
		good := 0
		for status, n := range answered[o.name] {
			if status < http.StatusBadRequest {
				good += n
			}
		}
		t.Logf("%s: %v", o.name, answered[o.name])
		if good == 0 && !slices.Contains(unreachable, o.name) {
			t.Errorf("%s: no request came through, so that the gateway was never asked", o.name)
		}
	}
}

// listed says whether the document has a word for an answer: it has none for those
// to a path or a method that it does not list, nor for the way to a cleaner path.
func listed(status int) bool {
	return status != http.StatusNotFound && status != http.StatusMethodNotAllowed && status != http.StatusTemporaryRedirect
}

// unreachable are operations whose success needs what no document can say.
var unreachable = []string{"GET /files/{token}/{number}"}

// operation is one of the document's.
type operation struct {
	name, method, path string
	parameters         []object
	bodies             object // by media type
}

func (g *generator) operations(t *testing.T) (all []operation) {
	t.Helper()
	for path, item := range g.doc["paths"].(object) {
		shared := asList(item.(object)["parameters"])
		for method, raw := range item.(object) {
			o, ok := raw.(object)
			if !ok || method == "put" {
				continue // the path's own members, and what is the same as POST
			}
			op := operation{name: strings.ToUpper(method) + " " + path, method: strings.ToUpper(method), path: path}
			for _, p := range slices.Concat(shared, asList(o["parameters"])) {
				op.parameters = append(op.parameters, g.resolve(p))
			}
			if body := g.resolve(o["requestBody"]); body != nil {
				op.bodies, _ = body["content"].(object)
			}
			all = append(all, op)
			if op.bodies != nil { // there is more to say
				all = append(all, op, op, op)
			}
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	return all
}

// generator makes requests. Half of all that it makes is meant to be right.
type generator struct {
	*rand.Rand
	specification
	deployment *deployment
	known      map[string][]string // values of a path's parameter that stand for something
}

// letWait has messages that can be taken back.
func (g *generator) letWait(t *testing.T) {
	t.Helper()
	later := `,"delivery":{"sendAt":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}}`
	for range 50 {
		body := strings.TrimSuffix(gatewaytest.Small("later"), "}") + later
		g.known["waiting"] = append(g.known["waiting"], g.deployment.do(t, g.deployment.request(t, "POST", "/emails:send", body)).document(t).ID)
	}
}

var linkToken = regexp.MustCompile(`/files/([^/\s"<]+)`)

// learn keeps names that the gateway has given.
func (g *generator) learn(w *httptest.ResponseRecorder, d *deployment) {
	if location := w.Header().Get("Operation-Location"); location != "" {
		if u, err := url.Parse(location); err == nil {
			g.known["id"] = append(g.known["id"], u.Path[strings.LastIndexByte(u.Path, '/')+1:])
		}
	}
	if n := len(d.ACS.Sent); n > 0 {
		for _, m := range linkToken.FindAllStringSubmatch(d.ACS.Sent[n-1].Content.PlainText, 1) {
			g.known["token"] = append(g.known["token"], m[1])
		}
	}
}

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// request makes one, and the text to show if it finds a fault.
func (g *generator) request(t *testing.T, o operation) (*http.Request, string) {
	t.Helper()
	path, query, header := o.path, url.Values{}, http.Header{}
	for _, p := range o.parameters {
		name := p["name"].(string)
		required, _ := p["required"].(bool)
		if !required && name != "key" && !g.one(4) {
			continue
		}
		value := g.parameter(o, name, p)
		switch p["in"] {
		case "path":
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
		case "query":
			query.Set(name, value)
		case "header":
			header[http.CanonicalHeaderKey(name)] = []string{strings.Map(printable, value)}
		}
	}
	target := path
	if len(query) > 0 {
		target += "?" + query.Encode()
	} else if g.one(20) {
		target += "?" + pick(g, []string{"a=%zz", "&&=", "api-version=", "api-version=1&api-version=2", "%00"})
	}
	method := o.method
	if g.one(30) {
		method = pick(g, []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"})
	}
	contentType, body := g.body(o)
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if !strings.HasPrefix(path, "/hooks/") || g.one(4) { // a hook is opened by a key of its own
		g.credential(header)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, g.deployment.server.URL+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.RequestURI = header, target
	if g.one(10) {
		req.ContentLength = -1 // as chunks
	}
	if len(body) == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	return req, fmt.Sprintf("%s %s\n%v\n\n%.4000s", method, target, header, body)
}

// printable keeps what a header may hold.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// credential proves the caller, mostly.
func (g *generator) credential(h http.Header) {
	switch g.IntN(40) {
	case 0:
	case 1:
		h.Set("Authorization", pick(g, []string{"", " ", "Bearer", "Bearer ", "Basic eDp5", "Bearer ph_shop_1_00", "Bearer ph___", "Bearer a.b.c", "Bearer ..", "\x00"}))
	case 2:
		h.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+g.text())
	case 3:
		h.Set("X-Api-Key", g.deployment.key)
	default:
		h.Set("Authorization", "Bearer "+g.deployment.key)
	}
}

func (g *generator) parameter(o operation, name string, p object) string {
	if name == "id" && o.method != http.MethodGet && g.one(2) {
		return pick(g, g.known["waiting"])
	}
	if known := g.known[name]; len(known) > 0 && !g.one(4) {
		return known[max(0, len(known)-1-g.IntN(20))]
	}
	if g.one(2) {
		return fmt.Sprint(g.value(g.resolve(p["schema"]), 0))
	}
	return g.text()
}

// body is one of the media types that the operation has, or another.
func (g *generator) body(o operation) (contentType string, body []byte) {
	if len(o.bodies) == 0 {
		if g.one(10) {
			return "application/json", []byte("{}")
		}
		return "", nil
	}
	media := make([]string, 0, len(o.bodies))
	for m := range o.bodies {
		media = append(media, m)
	}
	slices.Sort(media)
	contentType = pick(g, media)
	content := o.bodies[contentType].(object)
	switch {
	case strings.HasPrefix(contentType, "multipart/"):
		body = g.parts(o)
		contentType += "; boundary=b"
	case contentType == "application/x-www-form-urlencoded":
		body = g.form(content)
	default:
		body = g.json(content)
	}
	if g.one(20) {
		contentType = pick(g, []string{"", "text/plain", "application/json; charset=utf-16", "application/json;;", "multipart/form-data", "a/b/c", "application/xml"})
	}
	if g.one(15) {
		body = g.spoil(body)
	}
	return contentType, body
}

// spoil cuts, doubles or changes bytes.
func (g *generator) spoil(body []byte) []byte {
	if len(body) == 0 {
		return []byte{0}
	}
	at := g.IntN(len(body))
	switch g.IntN(4) {
	case 0:
		return body[:at]
	case 1:
		return slices.Concat(body[:at], body)
	case 2:
		body = bytes.Clone(body)
		body[at] = byte(g.IntN(256))
		return body
	default:
		return slices.Insert(bytes.Clone(body), at, []byte(pick(g, []string{"\x00", "\xff", `"`, "{", "]", "\\u0000", ",", "null", "\r\n--b\r\n"}))...)
	}
}

func (g *generator) parts(o operation) []byte {
	content, _ := o.bodies["application/json"].(object)
	var b bytes.Buffer
	b.WriteString("--b\r\nContent-Disposition: form-data; name=\"message\"\r\nContent-Type: application/json\r\n\r\n")
	b.Write(g.json(content))
	for range g.IntN(3) {
		fmt.Fprintf(&b, "\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=%q\r\nContent-Type: text/plain\r\n\r\n", g.text())
		_, _ = io.CopyN(&b, zeros{}, int64(g.IntN(6000)))
	}
	b.WriteString("\r\n--b--\r\n")
	return b.Bytes()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func (g *generator) form(content object) []byte {
	values := url.Values{}
	if fields, ok := g.example(content).(object); ok {
		for name, v := range fields {
			values.Set(name, fmt.Sprint(v))
		}
	}
	return []byte(values.Encode())
}
