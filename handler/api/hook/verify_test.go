package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var masters = keyring.Masters{bytes.Repeat([]byte("m"), 32)}

func newRegistry(now func() time.Time) *Registry {
	return NewRegistry(mem.NewTable(now, nil), masters, rand.Reader, now)
}

// keyOf is a key of a hook as a deployment with these masters makes it.
func keyOf(m keyring.Masters, name string, generation int64) string {
	return NewRegistry(nil, m, nil, nil).Keys(name, generation)[0]
}

func added(t *testing.T, r *Registry, name, builtin string, check Check, secret string) Hook {
	t.Helper()
	h, err := r.Add(context.Background(), Hook{Holder: keyring.Holder{Name: name}, Policy: Policy{
		Caller: "ops", Sender: "alerts@example.com", To: []string{"team@example.com"}, Builtin: builtin, Check: check,
	}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sum(secret string, parts ...string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// verify is what api/rest does with a delivery.
func verify(r *Registry, h Hook, d Delivery) error {
	if h.IsForm() || !h.Policy.Check.Signs() {
		_, err := r.Admit(context.Background(), h, d)
		return err
	}
	if !d.Signed() {
		return Refusal()
	}
	half := len(d.Body) / 2
	d.Pieces, d.Body = [][]byte{d.Body[:half], d.Body[half:]}, nil
	_, err := r.Prove(context.Background(), h, d)
	return err
}

// signing is how each sender signs a body at a time, as its documentation says.
type signing struct {
	builtin string
	check   Check
	secret  string // that the sender dictates; "" is the hook's own
	sign    func(secret, body string, at time.Time) http.Header
}

const dictated = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var signings = map[string]signing{
	"GitHub": {"github", CheckGitHub, "", func(secret, body string, _ time.Time) http.Header {
		return http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum(secret, body))}, "X-Github-Event": {"push"}}
	}},
	"GitHub with a secret of its own": {"github", CheckGitHub, "It's a Secret to Everybody", func(secret, body string, _ time.Time) http.Header {
		return http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum(secret, body))}}
	}},
	"Grafana": {"grafana", CheckGrafana, "", func(secret, body string, _ time.Time) http.Header {
		return http.Header{"X-Grafana-Alerting-Signature": {hex.EncodeToString(sum(secret, body))}}
	}},
	"Grafana with a time": {"grafana", CheckGrafana, "", func(secret, body string, at time.Time) http.Header {
		stamp := strconv.FormatInt(at.Unix(), 10)
		return http.Header{"X-Grafana-Alerting-Signature": {hex.EncodeToString(sum(secret, stamp, ":", body))}, "X-Grafana-Alerting-Timestamp": {stamp}}
	}},
	"Stripe": {"stripe", CheckStripe, dictated, func(secret, body string, at time.Time) http.Header {
		stamp := strconv.FormatInt(at.Unix(), 10)
		return http.Header{"Stripe-Signature": {fmt.Sprintf("t=%s,v1=%s,v0=%x", stamp, hex.EncodeToString(sum(secret, stamp, ".", body)), sum("other", body))}}
	}},
	"Standard Webhooks":                          {"standard-webhooks", CheckStandard, "", signStandard("Webhook-")},
	"Standard Webhooks with a secret of its own": {"standard-webhooks", CheckStandard, dictated, signStandard("Webhook-")},
	"Svix": {"standard-webhooks", CheckStandard, dictated, signStandard("Svix-")},
}

func signStandard(prefix string) func(secret, body string, at time.Time) http.Header {
	return func(secret, body string, at time.Time) http.Header {
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		stamp := strconv.FormatInt(at.Unix(), 10)
		signature := base64.StdEncoding.EncodeToString(sum(string(raw), "msg_1", ".", stamp, ".", body))
		return http.Header{
			http.CanonicalHeaderKey(prefix + "id"): {"msg_1"}, http.CanonicalHeaderKey(prefix + "timestamp"): {stamp},
			http.CanonicalHeaderKey(prefix + "signature"): {"v1a,AAAA v1,AAAA v1," + signature},
		}
	}
}

func (s signing) signedAs(r *Registry, h Hook) string {
	if s.secret != "" {
		return s.secret
	}
	return r.Secret(h)
}

func TestDeliveriesAreTakenAsTheirSendersSignThem(t *testing.T) {
	t.Parallel()
	for name, s := range signings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(func() time.Time { return noon })
			h := added(t, r, "mine", s.builtin, s.check, s.secret)
			for _, at := range []time.Time{noon, noon.Add(-4 * time.Minute), noon.Add(4 * time.Minute)} {
				d := Delivery{Header: s.sign(s.signedAs(r, h), `{"a":1}`, at), Body: []byte(`{"a":1}`), At: noon}
				if err := verify(r, h, d); err != nil {
					t.Errorf("signed at %s: %v", at, err)
				}
			}
			rotated, err := r.Rotate(t.Context(), "mine")
			if err != nil {
				t.Fatal(err)
			}
			d := Delivery{Header: s.sign(s.signedAs(r, h), `{}`, noon), Body: []byte(`{}`), At: noon}
			if err := verify(r, rotated, d); err != nil {
				t.Errorf("with the key before the newest: %v", err)
			}
		})
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	const body = `{"id":"evt_1","a":1}`
	timed := func(name string) bool {
		return name != "GitHub" && name != "GitHub with a secret of its own" && name != "Grafana"
	}
	for name, s := range signings {
		r := newRegistry(func() time.Time { return noon })
		h := added(t, r, "mine", s.builtin, s.check, s.secret)
		other := added(t, r, "other", s.builtin, s.check, s.secret)
		right := s.signedAs(r, h)
		signed := func() http.Header { return s.sign(right, body, noon) }
		for _, c := range []struct {
			name string
			skip bool
			d    Delivery
		}{
			{"the wrong key", false, Delivery{Header: s.sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAA", body, noon), Body: []byte(body)}},
			{"the key of another hook", s.secret != "", Delivery{Header: s.sign(s.signedAs(r, other), body, noon), Body: []byte(body)}},
			{"no signature", false, Delivery{Header: http.Header{}, Body: []byte(body)}},
			{"an empty key", false, Delivery{Header: s.sign("", body, noon), Body: []byte(body)}},
			{"a changed body", false, Delivery{Header: signed(), Body: []byte(strings.Replace(body, "1", "2", 1))}},
			{"a body with a space more", false, Delivery{Header: signed(), Body: []byte(body + " ")}},
			{"an empty body", false, Delivery{Header: signed(), Body: nil}},
			{"a time of an hour ago", !timed(name), Delivery{Header: s.sign(right, body, noon.Add(-time.Hour)), Body: []byte(body)}},
			{"a time in an hour", !timed(name), Delivery{Header: s.sign(right, body, noon.Add(time.Hour)), Body: []byte(body)}},
			{"the hook's key in the query instead", false, Delivery{Header: http.Header{}, Query: url.Values{"key": {r.Key(h)}}, Body: []byte(body)}},
			{"every header doubled", false, Delivery{Header: changed(signed(), func(v []string) []string { return append(v, v...) }), Body: []byte(body)}},
			{"every signature cut", false, Delivery{Header: changed(signed(), func(v []string) []string { return []string{v[0][:len(v[0])/2]} }), Body: []byte(body)}},
			{"every header empty", false, Delivery{Header: changed(signed(), func([]string) []string { return []string{""} }), Body: []byte(body)}},
			{"a newer time in the header only", !timed(name), Delivery{Header: newer(s.sign(right, body, noon.Add(-time.Hour))), Body: []byte(body)}},
		} {
			if c.skip {
				continue
			}
			t.Run(name+", "+c.name, func(t *testing.T) {
				t.Parallel()
				c.d.At = noon
				if err := verify(r, h, c.d); !problem.Is(err, problem.Unauthenticated) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func changed(h http.Header, f func([]string) []string) http.Header {
	for name, v := range h {
		h[name] = f(v)
	}
	return h
}

// newer puts the time of noon where a header had an hour before it.
func newer(h http.Header) http.Header {
	old, now := strconv.FormatInt(noon.Add(-time.Hour).Unix(), 10), strconv.FormatInt(noon.Unix(), 10)
	return changed(h, func(v []string) []string { return []string{strings.ReplaceAll(v[0], old, now)} })
}

// The id under the signature of Standard Webhooks names the delivery; GitHub's is
// not under it, so its body does.
func TestAReplayUnderAnotherIdIsNoNewMessage(t *testing.T) {
	t.Parallel()
	r := newRegistry(func() time.Time { return noon })
	h := added(t, r, "mine", "github", "", "")
	id := func(delivery string) string {
		d := Delivery{Header: http.Header{"Content-Type": {"application/json"}, "X-Github-Delivery": {delivery}, "X-Github-Event": {"push"}}, Body: []byte(`{"ref":"a"}`), At: noon.Add(time.Hour)}
		all, err := h.Messages(t.Context(), d)
		if err != nil || len(all) != 1 {
			t.Fatal(len(all), err)
		}
		return all[0].OperationID
	}
	if a, b := id("72d3162e"), id("11111111"); a != b || a == "" {
		t.Errorf("the ids are %s and %s", a, b)
	}
	standard := added(t, r, "standard", "standard-webhooks", "", "")
	header := signStandard("Webhook-")(r.Secret(standard), "{}", noon)
	header.Set("Webhook-Id", "msg_2")
	if err := verify(r, standard, Delivery{Header: header, Body: []byte("{}"), At: noon}); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("another id: %v", err)
	}
}

// The test vector of the specification's own libraries.
func TestTheVectorOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	at := time.Unix(1614265330, 0)
	r := newRegistry(func() time.Time { return at })
	h := added(t, r, "mine", "standard-webhooks", "", dictated)
	d := Delivery{At: at, Body: []byte(`{"test": 2432232314}`), Header: http.Header{
		"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}}
	if err := verify(r, h, d); err != nil {
		t.Error(err)
	}
}

// The example of docs.github.com, "Validating webhook deliveries".
func TestTheVectorOfGitHub(t *testing.T) {
	t.Parallel()
	r := newRegistry(func() time.Time { return noon })
	h := added(t, r, "mine", "github", "", "It's a Secret to Everybody")
	d := Delivery{At: noon, Body: []byte("Hello, World!"), Header: http.Header{
		"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
	}}
	if err := verify(r, h, d); err != nil {
		t.Error(err)
	}
}

func TestTheKeyOpensItsOwnHookOnly(t *testing.T) {
	t.Parallel()
	r := newRegistry(func() time.Time { return noon })
	h := added(t, r, "mine", "alertmanager", "", "")
	h.Policy.TokenHeader = "X-Gitlab-Token"
	other := added(t, r, "other", "alertmanager", "", "")
	right, wrong := r.Key(h), r.Key(other)
	basic := func(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+key)) }
	for _, c := range []struct {
		name   string
		header http.Header
		query  url.Values
		opens  bool
	}{
		{"in the query", nil, url.Values{"key": {right}}, true},
		{"as bearer token", http.Header{"Authorization": {"Bearer " + right}}, nil, true},
		{"as password", http.Header{"Authorization": {basic(right)}}, nil, true},
		{"as API key", http.Header{"X-Api-Key": {right}}, nil, true},
		{"in the header that the policy names", http.Header{"X-Gitlab-Token": {right}}, nil, true},
		{"no key", nil, nil, false},
		{"an empty key", nil, url.Values{"key": {""}}, false},
		{"that of another hook", nil, url.Values{"key": {wrong}}, false},
		{"cut", nil, url.Values{"key": {right[:len(right)-1]}}, false},
		{"longer", nil, url.Values{"key": {right + "0"}}, false},
		{"in capitals", nil, url.Values{"key": {strings.ToUpper(right)}}, false},
		{"a generation that never was", nil, url.Values{"key": {keyOf(masters, "mine", 2)}}, false},
		{"under another master", nil, url.Values{"key": {keyOf(keyring.Masters{bytes.Repeat([]byte("x"), 32)}, "mine", 1)}}, false},
		{"twice", nil, url.Values{"key": {right, right}}, false},
		{"a right one and a wrong one", http.Header{"X-Api-Key": {wrong}}, url.Values{"key": {right}}, false},
		{"under a scheme of its own", http.Header{"Authorization": {"Token " + right}}, nil, false},
		{"Basic that is no Base64", http.Header{"Authorization": {"Basic %%%"}}, nil, false},
		{"in a header that the policy does not name", http.Header{"X-Token": {right}}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := verify(r, h, Delivery{Header: c.header, Query: c.query, At: noon})
			if c.opens && err != nil || !c.opens && !problem.Is(err, problem.Unauthenticated) {
				t.Errorf("got %v", err)
			}
		})
	}
}
