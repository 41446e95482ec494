package rest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/api/hook"
)

// The log says which hook refused a delivery and why; its sender hears the same always.
func TestTheLogSaysWhyAHookRefuses(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "mine", "grafana")
	_, other := d.hooked(t, "other", "grafana")
	d.hooked(t, "git", "github")
	d.hooked(t, "money", "stripe")
	d.hooked(t, "svix", "standard-webhooks")
	d.hooked(t, "form", "form", func(p *hook.Policy) { p.Form = &hook.Form{Origins: []string{"https://www.example.com"}} })
	_, otherKey, _ := strings.Cut(other, "?")
	stripe := func(ago time.Duration) string {
		return fmt.Sprintf("t=%d,v1=%s", time.Now().Add(-ago).Unix(), strings.Repeat("ab", 32))
	}
	svix := func(at string) []string {
		return []string{"Webhook-Id", "1", "Webhook-Timestamp", at, "Webhook-Signature", "v1,AAAA"}
	}
	for _, c := range []struct {
		name, path, body string
		headers          []string
		hook, reason     string
	}{
		{"no hook", "/hooks/nothing", "{}", nil, "nothing", "there is no hook of this name"},
		{"no name", "/hooks/" + strings.Repeat("A%0A", 100), "{}", nil, "(not a name)", "there is no hook of this name"},
		{"no key", "/hooks/mine", "{}", nil, "mine", "the key is missing, or stands in several places"},
		{"two keys", path + "&key=1", "{}", nil, "mine", "the key is missing, or stands in several places"},
		{"a wrong key", "/hooks/mine?key=ph_shop_1", "{}", nil, "mine", "the key is wrong"},
		{"a dead key", strings.Replace(path, "_1_", "_9_", 1), "{}", nil, "mine", "the key is not alive, or of another deployment"},
		{"another hook's key", "/hooks/mine?" + otherKey, "{}", nil, "mine", "the key is of another hook"},
		{"no signature", "/hooks/git", "{}", nil, "git", "the signature is missing"},
		{"a wrong signature", "/hooks/git", "{}", []string{"X-Hub-Signature-256", "sha256=" + strings.Repeat("ab", 32)}, "git", "the signature does not fit the secret and the body"},
		{"a wrong signature of Stripe's", "/hooks/money", "{}", []string{"Stripe-Signature", stripe(0)}, "money", "the signature does not fit the secret and the body"},
		{"an old one", "/hooks/money", "{}", []string{"Stripe-Signature", stripe(time.Hour)}, "money", "the signature is stale: its time is off by 1h0m"},
		{"one without a time", "/hooks/money", "{}", []string{"Stripe-Signature", "v1=" + strings.Repeat("ab", 32)}, "money", "the signature has no time"},
		{"an old one of Svix's", "/hooks/svix", "{}", svix("1700000000"), "svix", "the signature is stale: its time is off by"},
		{"one of Svix's without a time", "/hooks/svix", "{}", svix("now"), "svix", "the signature has no time"},
		{"another site", "/hooks/form", "name=a", []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example"}, "form", "the form does not list the site among its origins"},
		{"too large", path, `"` + strings.Repeat("x", hook.MaxBodyBytes) + `"`, nil, "mine", ""},
		{"no JSON", path, `{"canary`, nil, "mine", ""},
	} {
		before := len(d.log.String())
		res := d.post(t, c.path, c.body, c.headers...)
		said := d.log.String()[before:]
		var line struct{ Hook, Reason, Problem string }
		if err := json.Unmarshal([]byte(said), &line); err != nil {
			t.Fatalf("%s: %v: %s", c.name, err, said)
		}
		if line.Hook != c.hook || !strings.HasPrefix(line.Reason, c.reason) || c.reason == "" && line.Reason != "" || line.Problem == "" {
			t.Errorf("%s: the log says %s", c.name, said)
		}
		if c.reason != "" && (strings.Contains(res.text, c.reason) || res.StatusCode < 401 || res.StatusCode > 403) {
			t.Errorf("%s: the sender hears %d %s", c.name, res.StatusCode, res.text)
		}
		if strings.Contains(said, "ph_hook") || strings.Contains(said, "canary") {
			t.Errorf("%s: the log quotes what came: %s", c.name, said)
		}
	}
}
