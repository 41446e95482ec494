package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// Check is how a delivery proves where it comes from.
type Check string

// The checks.
const (
	// CheckKey wants the hook's key: in the query as key, as bearer token, as the
	// password of Basic, in X-Api-Key, or in the policy's TokenHeader.
	CheckKey Check = "key"
	// CheckGitHub: docs.github.com, "Validating webhook deliveries".
	CheckGitHub Check = "github"
	// CheckGrafana: github.com/grafana/alerting, http/hmac.go. With the timestamp's
	// header the time is signed too.
	CheckGrafana Check = "grafana"
	// CheckStripe: docs.stripe.com, "Verify webhook signatures manually".
	CheckStripe Check = "stripe"
	// CheckStandard: Standard Webhooks 1.0.0, "Verifying webhook authenticity", with
	// symmetric secrets. Svix's own headers are the same under another name.
	CheckStandard Check = "standard"
	// CheckOrigin is for HTML forms. Anyone may send one from the sites of the policy.
	CheckOrigin Check = "origin"
)

// Signs says whether the proof is over the body.
func (c Check) Signs() bool { return c != CheckKey && c != CheckOrigin }

// Tolerance is how far a signed time may be off: five minutes in the libraries of
// Stripe and of Standard Webhooks.
const Tolerance = 5 * time.Minute

const standardPrefix = "whsec_"

// Greet is h, as it is now, if d has its key, which may have been made after h was read.
// All that is wrong is the same problem, Unauthenticated, and the same as for a hook that
// is not there. It opens a signed hook too, for a sender that asks before it delivers:
// there is nothing to sign then.
func (r *Registry) Greet(ctx context.Context, h Hook, d Delivery) (Hook, error) {
	came := r.Moment()
	if r.hasLiveKey(h, d) {
		return h, nil
	}
	if !r.hasNewerKey(h, d) {
		return h, Refusal()
	}
	h, err := r.since(ctx, came, h.Name)
	if err == nil && !r.hasLiveKey(h, d) {
		err = Refusal()
	}
	return h, err
}

// Admit is Greet for a delivery whose body was not read yet. A form is opened by its site,
// a signed hook by nothing: Prove does that.
func (r *Registry) Admit(ctx context.Context, h Hook, d Delivery) (Hook, error) {
	if h.IsForm() {
		return h, h.fromItsSite(d.Header)
	}
	h, err := r.Greet(ctx, h, d)
	if err == nil && h.Policy.Check != CheckKey {
		err = Refusal()
	}
	return h, err
}

// Signed says whether d has a signature of the right shape and, where a time is signed, of
// about now: only then it is worth while to read the body. That looks at no hook, and so
// tells nothing of one.
func (d Delivery) Signed() bool { return d.scheme() != "" }

func (d Delivery) scheme() Check {
	for _, c := range []Check{CheckGitHub, CheckGrafana, CheckStripe, CheckStandard} {
		if _, signatures := c.signed(d); len(signatures) > 0 {
			return c
		}
	}
	return ""
}

// Prove is h, as it is now, if d is signed for it. A signature that does not fit may be that
// of a hook, or of a key, that was just made: where the list can be read at once, it is.
// Anyone can make up a signature, so no request waits longer for the list. A secret that
// cannot be read is Unavailable.
func (r *Registry) Prove(ctx context.Context, h Hook, d Delivery) (Hook, error) {
	came := r.Moment()
	err := r.signed(h, d)
	if !problem.Is(err, problem.Unauthenticated) || !r.CanReadNow() {
		return h, err
	}
	if h, err = r.since(ctx, came, h.Name); err != nil {
		return Hook{}, err
	}
	return h, r.signed(h, d)
}

func (r *Registry) signed(h Hook, d Delivery) error {
	before, signatures := h.Policy.Check.signed(d)
	if len(signatures) == 0 { // as much work as for one that fits, and then refused
		h = Hook{Holder: keyring.Holder{Name: h.Name, Generations: []int64{0}}, Policy: Policy{Check: d.scheme()}}
		before, _ = h.Policy.Check.signed(d)
	}
	secrets, err := r.secrets(h)
	if err != nil {
		return problem.Wrap(problem.Unavailable, "The secret of this hook cannot be read. Its operator must set it again.", err)
	}
	found := false
	for _, secret := range secrets {
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(before))
		for _, piece := range d.Pieces {
			m.Write(piece)
		}
		want := m.Sum(nil)
		for _, signature := range signatures {
			if hmac.Equal(want, signature) {
				found = true
			}
		}
	}
	if !found {
		return Refusal()
	}
	return nil
}

// Refusal is the one answer to all who have no business with a hook.
func Refusal() error {
	return problem.New(problem.Unauthenticated, "There is no hook of this name that takes this key or signature.")
}

// givenKey is the key that came with d. Several keys are none: it would be open which
// of them was checked.
func (h Hook) givenKey(d Delivery) (string, bool) {
	keys := append([]string(nil), d.Query["key"]...)
	for _, a := range d.Header.Values("Authorization") {
		scheme, rest, _ := strings.Cut(a, " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			keys = append(keys, strings.TrimSpace(rest))
		case strings.EqualFold(scheme, "Basic"):
			keys = append(keys, password(rest))
		}
	}
	keys = append(keys, d.Header.Values("X-Api-Key")...)
	if h.Policy.TokenHeader != "" {
		keys = append(keys, d.Header.Values(h.Policy.TokenHeader)...)
	}
	if len(keys) != 1 {
		return "", false
	}
	return keys[0], true
}

// password reads HTTP's Basic scheme; any user name does.
func password(credentials string) string {
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return ""
	}
	_, word, _ := strings.Cut(string(pair), ":")
	return word
}

// signed returns what stands before the body under the signature, and the signatures that
// d has; none if its time is too far away.
func (c Check) signed(d Delivery) (before string, signatures [][]byte) {
	switch c {
	case CheckGitHub:
		return "", hexSignatures(strings.CutPrefix(single(d.Header, "X-Hub-Signature-256"), "sha256="))
	case CheckGrafana:
		signatures = hexSignatures(single(d.Header, "X-Grafana-Alerting-Signature"), true)
		at := single(d.Header, "X-Grafana-Alerting-Timestamp")
		if at == "" {
			return "", signatures
		}
		return at + ":", fresh(d, at, signatures)
	case CheckStripe:
		at, listed := stripeSignature(single(d.Header, "Stripe-Signature"))
		return at + ".", fresh(d, at, listed)
	case CheckStandard:
		id, at := standardHeader(d.Header, "id"), standardHeader(d.Header, "timestamp")
		if id == "" {
			return "", nil
		}
		return id + "." + at + ".", fresh(d, at, standardSignatures(d.Header))
	}
	return "", nil
}

// fresh drops the signatures of a delivery that is older, or newer, than Tolerance.
func fresh(d Delivery, at string, signatures [][]byte) [][]byte {
	n, ok := seconds(at)
	if off := d.At.Sub(time.Unix(n, 0)); !ok || off > Tolerance || off < -Tolerance {
		return nil
	}
	return signatures
}

// single is a header that stands once; "" otherwise.
func single(h http.Header, name string) string {
	if all := h.Values(name); len(all) == 1 {
		return all[0]
	}
	return ""
}

func hexSignatures(text string, ok bool) [][]byte {
	sum, err := hex.DecodeString(text)
	if err != nil || !ok || len(sum) != sha256.Size {
		return nil
	}
	return [][]byte{sum}
}

// stripeSignature takes t=…,v1=…,v1=… apart. v0 is for tests and no proof.
func stripeSignature(text string) (at string, signatures [][]byte) {
	for part := range strings.SplitSeq(text, ",") {
		switch name, of, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			if at != "" {
				return "", nil
			}
			at = of
		case "v1":
			signatures = append(signatures, hexSignatures(of, true)...)
		}
	}
	return at, signatures
}

func standardHeader(h http.Header, name string) string {
	if of := single(h, "Webhook-"+name); of != "" {
		return of
	}
	return single(h, "Svix-"+name)
}

func standardSignatures(h http.Header) (signatures [][]byte) {
	for part := range strings.FieldsSeq(standardHeader(h, "signature")) {
		version, of, _ := strings.Cut(part, ",")
		if sum, err := base64.StdEncoding.DecodeString(of); err == nil && version == "v1" && len(sum) == sha256.Size {
			signatures = append(signatures, sum)
		}
	}
	return signatures
}
