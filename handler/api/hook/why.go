package hook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
)

// LoggedName is a hook's name for the log. A stranger may have written anything else.
func LoggedName(name string) string {
	if keyring.IsName(name) {
		return name
	}
	return "(not a name)"
}

// WhyRefused says, for the log alone, why the proof of a delivery was refused. The sender
// gets one answer for all reasons. The result is "" while the list cannot be read.
func (r *Registry) WhyRefused(ctx context.Context, name string, d Delivery) string {
	known, err := r.Known(ctx)
	if err != nil {
		return ""
	}
	h := known[name]
	if !h.Alive() {
		return "there is no hook of this name"
	}
	return h.why(d)
}

func (h Hook) why(d Delivery) string {
	signature, at := "", ""
	switch h.Policy.Check {
	case CheckOrigin:
		return "the form does not list the site among its origins"
	case CheckKey:
		return h.whyKey(d)
	case CheckGitHub:
		signature = single(d.Header, "X-Hub-Signature-256")
	case CheckGrafana:
		signature, at = single(d.Header, "X-Grafana-Alerting-Signature"), single(d.Header, "X-Grafana-Alerting-Timestamp")
	case CheckStripe:
		signature = single(d.Header, "Stripe-Signature")
		at, _ = stripeSignature(signature)
	case CheckStandard:
		signature, at = standardHeader(d.Header, "signature"), standardHeader(d.Header, "timestamp")
	}
	if signature == "" {
		return "the signature is missing"
	}
	if n, ok := seconds(at); ok {
		if off := d.At.Sub(time.Unix(n, 0)); off.Abs() > Tolerance {
			return fmt.Sprintf("the signature is stale: its time is off by %s", off.Round(time.Second))
		}
	} else if h.Policy.Check == CheckStripe || h.Policy.Check == CheckStandard || at != "" {
		return "the signature has no time"
	}
	return "the signature does not fit the secret and the body"
}

func (h Hook) whyKey(d Delivery) string {
	given, one := h.givenKey(d)
	switch {
	case !one:
		return "the key is missing, or stands in several places"
	case strings.HasPrefix(given, KeyPrefix+h.Name+"_"):
		return "the key is not alive, or of another deployment"
	case strings.HasPrefix(given, KeyPrefix):
		return "the key is of another hook"
	}
	return "the key is wrong"
}
