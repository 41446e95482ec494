package hook

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// A header for the key is for hooks that are checked by key, and by no other way.
func TestTheHeaderOfTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, builtin string
		check         Check
		secret        string
		header, kept  string // kept is "" where the header is refused
	}{
		{"checked by key", "generic", CheckKey, "", "X-Gitlab-Token", "X-Gitlab-Token"},
		{"by key, where nothing else is said", "alertmanager", "", "", "X-Token", "X-Token"},
		{"in small letters", "generic", CheckKey, "", "x-gitlab-token", "X-Gitlab-Token"},
		{"with digits", "generic", CheckKey, "", "X-2-Token", "X-2-Token"},
		{"one letter", "generic", CheckKey, "", "X", "X"},
		{"64 letters", "generic", CheckKey, "", strings.Repeat("X", 64), "X" + strings.Repeat("x", 63)},
		{"65 letters", "generic", CheckKey, "", strings.Repeat("X", 65), ""},
		{"a space", "generic", CheckKey, "", "X Token", ""},
		{"a colon", "generic", CheckKey, "", "X-Token:", ""},
		{"a line break", "generic", CheckKey, "", "X-Token\n", ""},
		{"checked by GitHub's signature", "github", CheckGitHub, "", "X-Token", ""},
		{"checked by Grafana's signature", "grafana", CheckGrafana, "", "X-Token", ""},
		{"checked by Stripe's signature", "stripe", CheckStripe, dictated, "X-Token", ""},
		{"checked as Standard Webhooks are", "standard-webhooks", CheckStandard, "", "X-Token", ""},
		{"checked by origin", "form", CheckOrigin, "", "X-Token", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(func() time.Time { return noon })
			p := Policy{Caller: "ops", Sender: "a@example.com", To: []string{"b@example.com"}, Builtin: c.builtin, Check: c.check, TokenHeader: c.header}
			if c.builtin == "form" {
				p.Form = &Form{Origins: []string{anySite}}
			}
			h, err := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: p}, c.secret)
			if c.kept == "" {
				if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), "cannot be the header of the key") {
					t.Errorf("got %v", err)
				}
				if list, err := r.All(t.Context()); err != nil || len(list) != 0 {
					t.Errorf("left is %v, %v", list, err)
				}
				return
			}
			if err != nil || h.Policy.TokenHeader != c.kept {
				t.Fatalf("kept is %q, %v", h.Policy.TokenHeader, err)
			}
			found, err := r.Find(t.Context(), "mine", Delivery{})
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(r, found, Delivery{Header: map[string][]string{c.kept: {r.Key(h)}}, At: noon}); err != nil {
				t.Errorf("the key in it does not open: %v", err)
			}
			p.TokenHeader = ""
			if _, err := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "without"}, Policy: p}, c.secret); err != nil {
				t.Errorf("without the header: %v", err)
			}
		})
	}
}

// Each way to say what names a delivery, and what only looks like one.
func TestWhatMayNameADelivery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dedupe string
		good   bool
	}{
		{"", true}, {"none", true}, {"header:X-Id", true}, {"member:/id", true}, {"member:/a~1b/0", true},
		{"header:", false}, {"header:X Id", false}, {"header:/id", false}, {"member:", false}, {"member:id", false}, {"member:/a~2", false},
		{"None", false}, {"body:/id", false}, {"body:X-Id", false}, {"X-Id", false}, {"/id", false},
	} {
		t.Run(c.dedupe, func(t *testing.T) {
			t.Parallel()
			p := Policy{Caller: "ops", Sender: "a@example.com", To: []string{"b@example.com"}, Dedupe: c.dedupe}
			h, err := newRegistry(time.Now).Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: p}, "")
			if c.good && (err != nil || h.Policy.Dedupe != c.dedupe) {
				t.Errorf("kept is %q, %v", h.Policy.Dedupe, err)
			}
			if !c.good && (!problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), "what names a delivery")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A policy that no row holds is the operator's to shorten, and no trouble of storage.
func TestAPolicyThatIsTooLong(t *testing.T) {
	t.Parallel()
	r := newRegistry(func() time.Time { return noon })
	p := sample{builtin: "generic"}.hook().Policy
	p.ToFrom, p.Allow = "/to", slices.Repeat([]string{"ann@example.com"}, 3000)
	if _, err := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: p}, ""); !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), "longer than 32768") {
		t.Errorf("got %v", err)
	}
}
