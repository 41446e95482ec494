package hook

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func TestAHookFromItsFirstKeyToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(time.Now)
		h := added(t, r, "mine", "alertmanager", "", "")
		opens := func(h Hook, key string) bool {
			found, err := r.Find(t.Context(), h.Name, Delivery{})
			if err != nil {
				return false
			}
			return verify(r, found, Delivery{Query: map[string][]string{"key": {key}}, At: time.Now()}) == nil
		}
		first := r.Key(h)
		if !strings.HasPrefix(first, "ph_hook_mine_1_") || !opens(h, first) {
			t.Fatalf("the key %s does not open", first)
		}
		_, err := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: h.Policy}, "")
		if !problem.Is(err, problem.InvalidRequest) {
			t.Errorf("the same name again: %v", err)
		}
		second := rotated(t, r)
		third := rotated(t, r)
		time.Sleep(keyring.CacheLife)
		for key, want := range map[string]bool{first: false, second: true, third: true} {
			if opens(h, key) != want {
				t.Errorf("%s opens: %t", key, !want)
			}
		}
		if err := r.End(t.Context(), "mine"); err != nil {
			t.Fatal(err)
		}
		if !opens(h, third) {
			t.Error("the cache does not hold")
		}
		time.Sleep(keyring.CacheLife)
		if found, err := r.Find(t.Context(), "mine", Delivery{}); opens(h, third) || err != nil || found.Policy.Check != "" {
			t.Errorf("a removed hook: %+v, %v", found, err)
		}
		if list, err := r.All(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("the list is %v, %v", list, err)
		}
		again := added(t, r, "mine", "alertmanager", "", "")
		time.Sleep(keyring.CacheLife)
		if opens(again, third) || !opens(again, r.Key(again)) {
			t.Error("an old key has come back to life")
		}
	})
}

func rotated(t *testing.T, r *Registry) string {
	t.Helper()
	h, err := r.Rotate(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	return r.Key(h)
}

func TestAHookIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	r := newRegistry(func() time.Time { return noon })
	in := Hook{Holder: keyring.Holder{Name: "mine"}, Template: Template{Subject: "ä", Text: "b", HTML: "<p>c</p>"}, Policy: Policy{
		Caller: "ops", Sender: "Alerts@EXAMPLE.com", Builtin: "github", To: []string{"team@Bücher.example"}, CC: []string{"cc@example.com"},
		ReplyToFrom: "/a/b", Dedupe: "member:/id", Priority: "high",
	}}
	if _, err := r.Add(t.Context(), in, "a secret of GitHub's"); err != nil {
		t.Fatal(err)
	}
	h, err := r.Read(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	p := h.Policy
	if p.Check != CheckGitHub || p.Sender != "Alerts@example.com" || p.To[0] != "team@xn--bcher-kva.example" || p.Priority != "high" || h.Template != in.Template {
		t.Errorf("read as %+v", h)
	}
	if secrets, err := r.secrets(h); err != nil || string(secrets[0]) != "a secret of GitHub's" {
		t.Errorf("the secret is %q, %v", secrets, err)
	}
	if bytes.Contains(h.Sealed, []byte("secret")) || r.Secret(h) != "" {
		t.Error("the secret stands open")
	}
	other := NewRegistry(mem.NewTable(time.Now, nil), keyring.Masters{bytes.Repeat([]byte("n"), 32)}, rand.Reader, time.Now)
	wrong := Delivery{At: noon, Header: signings["GitHub"].sign("another", "", noon)}
	if err := verify(other, h, wrong); !problem.Is(err, problem.Unavailable) {
		t.Errorf("under another master: %v", err)
	}
	both := NewRegistry(mem.NewTable(time.Now, nil), keyring.Masters{bytes.Repeat([]byte("n"), 32), masters[0]}, rand.Reader, time.Now)
	if err := verify(both, h, wrong); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("under the master before: %v", err)
	}
	moved := h
	moved.Name = "other"
	if _, err := r.secrets(moved); err == nil {
		t.Error("a secret opens for another hook")
	}
}

func TestStorageThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	r := NewRegistry(mem.NewTable(time.Now, func(mem.Op, string) mem.Fault { return mem.Fault{Outcome: mem.Refused} }), masters, rand.Reader, time.Now)
	_, find := r.Find(t.Context(), "mine", Delivery{})
	_, add := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: Policy{Caller: "a", Sender: "a@example.com", To: []string{"b@example.com"}}}, "")
	for name, err := range map[string]error{"find": find, "add": add, "remove": r.End(t.Context(), "mine")} {
		if !problem.Is(err, problem.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPoliciesThatCannotWork(t *testing.T) {
	t.Parallel()
	form := func(p *Policy) { p.Builtin, p.Form = "form", &Form{Origins: []string{"https://www.example.com"}} }
	for _, c := range []struct {
		name, secret string
		edit         func(*Policy)
		says         string
	}{
		{"no such sender", "", func(p *Policy) { p.Builtin = "pager" }, "no built-in"},
		{"a check that the sender does not pass", "", func(p *Policy) { p.Builtin, p.Check = "stripe", CheckKey }, "not by"},
		{"a check that is none", "", func(p *Policy) { p.Check = "none" }, "not by"},
		{"Stripe without its secret", "", func(p *Policy) { p.Builtin = "stripe" }, "dictates"},
		{"a secret for a key", strings.Repeat("s", 20), func(*Policy) {}, "no secret"},
		{"a short secret", "short", func(p *Policy) { p.Builtin = "github" }, "at least 16"},
		{"a secret that is no Base64", "whsec_%%%%%%%%%%%%%%%%", func(p *Policy) { p.Builtin = "standard-webhooks" }, "Base64"},
		{"no caller", "", func(p *Policy) { p.Caller = "" }, "needs a caller"},
		{"no sender address", "", func(p *Policy) { p.Sender = "" }, "needs a caller"},
		{"a sender that is no address", "", func(p *Policy) { p.Sender = "nobody" }, "no address"},
		{"a recipient that is none", "", func(p *Policy) { p.To = []string{"a@b@c"} }, "no address"},
		{"no recipient", "", func(p *Policy) { p.To = nil }, "needs recipients"},
		{"recipients from the payload without a list", "", func(p *Policy) { p.ToFrom = "/to" }, "need a list"},
		{"a list without a pointer", "", func(p *Policy) { p.Allow = []string{"*"} }, "no pointer"},
		{"a pointer that is none", "", func(p *Policy) { p.ToFrom, p.Allow = "to", []string{"*"} }, "no JSON pointer"},
		{"an allowed domain that is none", "", func(p *Policy) { p.ToFrom, p.Allow = "/to", []string{"*@exa mple"} }, "no address"},
		{"a key in a header with a space", "", func(p *Policy) { p.TokenHeader = "X Token" }, "header of the key"},
		{"a key in a header of a signed hook", "", func(p *Policy) { p.Builtin, p.TokenHeader = "github", "X-Token" }, "header of the key"},
		{"a delivery named by nothing known", "", func(p *Policy) { p.Dedupe = "body" }, "names a delivery"},
		{"an origin for a webhook", "", func(p *Policy) { p.Form = &Form{} }, "are for hooks"},
		{"a form without an origin", "", func(p *Policy) { form(p); p.Form.Origins = nil }, "needs the origins"},
		{"a form with an origin that is a page", "", func(p *Policy) { form(p); p.Form.Origins = []string{"https://example.com/contact"} }, "no origin"},
		{"a form that names its recipients", "", func(p *Policy) { form(p); p.ToFrom, p.Allow = "/to", []string{"*"} }, "must be fixed"},
		{"a form that leads to a script", "", func(p *Policy) { form(p); p.Form.Redirect = "javascript:alert(1)" }, "no address to send"},
		{"too many recipients", "", func(p *Policy) {
			p.BCC = make([]string, 0)
			for range 51 {
				p.BCC = append(p.BCC, "a@example.com")
			}
		}, "at most 50"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := Policy{Caller: "ops", Sender: "a@example.com", To: []string{"b@example.com"}}
			c.edit(&p)
			_, err := newRegistry(time.Now).Add(context.Background(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: p}, c.secret)
			if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, name := range []string{"", "Mine", "a_b", "-a", strings.Repeat("a", 33), "a/b"} {
		if _, err := newRegistry(time.Now).Add(t.Context(), Hook{Holder: keyring.Holder{Name: name}}, ""); !problem.Is(err, problem.InvalidRequest) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}
