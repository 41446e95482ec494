package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

const stripeSecret = "whsec_canaryMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hooked adds a hook and returns what the command printed: the path with its key,
// and the secret if there is one.
func (w *deployment) hooked(t *testing.T, name, builtin string, flags ...string) (path, secret string) {
	t.Helper()
	said := w.Operate(t, slices.Concat([]string{"hooks", "add", w.hookName(name), "--builtin", builtin, "--caller", w.Caller,
		"--sender", world.Sender, "--to", world.Recipient}, flags)...)
	address, secret, _ := strings.Cut(said, "\nsecret ")
	path, ok := strings.CutPrefix(address, w.URL)
	if !ok {
		t.Fatalf("hooks add printed %q", said)
	}
	return path, secret
}

// hookName keeps the hooks of tests apart, which share the table.
func (w *deployment) hookName(name string) string {
	return name + strings.TrimPrefix(w.Caller, "caller")
}

// deliver posts as a sender does, without the caller's key.
func (w *deployment) deliver(t *testing.T, path, body string, headers ...string) world.Answer {
	t.Helper()
	return w.Do(t, http.MethodPost, path, strings.NewReader(body), append([]string{"Authorization", ""}, headers...)...)
}

func mac(secret string, parts ...string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// Each sender's own sample, signed as it signs, arrives at ACS once.
func (p *product) testWebhooks(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	now := strconv.FormatInt(time.Now().Unix(), 10)
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(stripeSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	senders := []struct {
		builtin, file, subject string
		flags                  []string
		headers                func(body, secret string) []string
	}{
		{"grafana", "grafana.json", "[FIRING:2] (blue): High memory usage, High CPU usage", nil, nil},
		{"alertmanager", "alertmanager.json", "[FIRING:1, RESOLVED:1 and 3 more] InstanceDown (page)", nil, nil},
		{"azure-monitor", "azure-monitor.json", "[Sev3] Resolved: WCUS-R2-Gen2 (wcus-r2-gen2)", nil, nil},
		{"event-grid", "event-grid.json", "Microsoft.Storage.BlobCreated: /blobServices/default/containers/oc2d2817345i200097container/blobs/oc2d2817345i20002296blob", nil, nil},
		{"cloudevents", "cloudevents.json", "com.example.someevent: /mycontext", nil, nil},
		{"generic", "generic.json", "", nil, nil},
		{"github", "github-pull_request.json", "[Codertocat/Hello-World] Pull request #2 opened: Update the README with new information.", nil, func(body, secret string) []string {
			return []string{"X-GitHub-Event", "pull_request", "X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac(secret, body))}
		}},
		{"stripe", "stripe-invoice.json", "invoice.payment_failed: 49.99 EUR (Jenny Rosen)", []string{"--secret-file", secretFile}, func(body, _ string) []string {
			return []string{"Stripe-Signature", "t=" + now + ",v1=" + hex.EncodeToString(mac(stripeSecret, now, ".", body))}
		}},
		{"standard-webhooks", "standard-webhooks.json", "contact.created", nil, func(body, secret string) []string {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
			if err != nil {
				t.Fatal(err)
			}
			return []string{"webhook-id", "msg_1", "webhook-timestamp", now, "webhook-signature", "v1," + base64.StdEncoding.EncodeToString(mac(string(raw), "msg_1", ".", now, ".", body))}
		}},
	}
	paths, secrets := make([]string, len(senders)), make([]string, len(senders))
	for i, s := range senders { // all before the first delivery: the list is believed for a while
		paths[i], secrets[i] = w.hooked(t, s.builtin, s.builtin, s.flags...)
	}
	for i, s := range senders {
		text, err := os.ReadFile(root + "/handler/api/hook/testdata/samples/" + s.file)
		if err != nil {
			t.Fatal(err)
		}
		body := string(text)
		var headers []string
		if s.headers != nil {
			headers = s.headers(body, secrets[i])
			w.deliver(t, paths[i], body+" ", headers...).Want(t, http.StatusUnauthorized, "unauthenticated")
		}
		path, _, _ := strings.Cut(paths[i], "?")
		w.deliver(t, path, body).Want(t, http.StatusUnauthorized, "unauthenticated")
		for range 2 {
			if a := w.deliver(t, paths[i], body, headers...); a.StatusCode != http.StatusAccepted {
				t.Errorf("%s: %s %s", s.builtin, a.Status, a.Body)
			}
		}
		got := w.ACS.Messages(t)
		if len(got) != i+1 {
			t.Fatalf("%s: %d messages, want %d", s.builtin, len(got), i+1)
		}
		m := got[0]
		if s.subject != "" && m.Subject != s.subject || m.From != world.Sender || m.Recipients.To[0].Address != world.Recipient ||
			!strings.Contains(m.HTML, "</table>") || m.Text == "" || m.Headers["Auto-Submitted"] != "auto-generated" {
			t.Errorf("%s arrived as %+v", s.builtin, m)
		}
	}
	if log := w.Handler.Stdout.String(); strings.Contains(log, "ph_hook_") || strings.Contains(log, "key=") || strings.Contains(log, "whsec_") {
		t.Error("a key is in the log")
	}
}

// A hook's way from its first key to its end, as its operator goes it.
func (p *product) testHooks(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	first, _ := w.hooked(t, "mine", "alertmanager", "--cc", "canary-cc@example.net", "--tag", "team=ops")
	name := w.hookName("mine")
	shown := w.Operate(t, "hooks", "show", name)
	for _, want := range []string{world.Sender, "canary-cc@example.net", "team=ops", "alertmanager", w.URL + first} {
		if !strings.Contains(shown, want) {
			t.Errorf("show does not say %s: %s", want, shown)
		}
	}
	if list := w.Operate(t, "hooks", "list"); !regexp.MustCompile(`(?m)^` + name + ` +1 +0d +[-0-9]+ +alertmanager +key +` + w.Caller + ` +` + world.Recipient + ` +no$`).MatchString(list) {
		t.Errorf("the list is %s", list)
	}
	second := strings.TrimPrefix(w.Operate(t, "hooks", "rotate", name), w.URL)
	third := strings.TrimPrefix(w.Operate(t, "hooks", "rotate", name), w.URL)
	look := func(want map[string]int) {
		t.Helper()
		w.Restart(t)
		for path, status := range want {
			if a := w.Do(t, http.MethodGet, path, nil, "Authorization", ""); a.StatusCode != status {
				t.Errorf("%s: %s", path, a.Status)
			}
		}
	}
	look(map[string]int{first: 401, second: 200, third: 200})
	w.Operate(t, "hooks", "remove", name, "--yes")
	look(map[string]int{first: 401, second: 401, third: 401})
}

// The commands of the documentation work, and its template says what it should.
func (p *product) testHookPages(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.txt")
	if err := os.WriteFile(secret, []byte(stripeSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^posthorn (hooks add (?:.*\\\n)*.*)$`)
	n := 0
	for _, page := range []string{"webhooks.md", "forms.md"} {
		text, err := os.ReadFile(root + "/docs/clients/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands.FindAllStringSubmatch(string(text), -1) {
			n++
			args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(c[1], "\\\n", " "), "'", ""))
			args[2] = w.hookName(args[2])
			for i, a := range args[:len(args)-1] {
				switch a {
				case "--caller":
					args[i+1] = w.Caller
				case "--sender":
					args[i+1] = world.Sender
				case "--secret-file":
					args[i+1] = secret
				}
			}
			if said := w.Operate(t, args...); !strings.HasPrefix(said, w.URL+"/hooks/"+args[2]) {
				t.Errorf("%s: %s", c[1], said)
			}
		}
	}
	if n < 6 {
		t.Errorf("%d commands were found", n)
	}
	text, err := os.ReadFile(root + "/docs/clients/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	template := regexp.MustCompile("(?s)```\n(\\{\\{- /\\* subject.tmpl.*?)```").FindSubmatch(text)
	if template == nil {
		t.Fatal("the page has no template")
	}
	for name, of := range map[string][]byte{"subject.tmpl": template[1], "text.tmpl": []byte("x")} {
		if err := os.WriteFile(filepath.Join(dir, name), of, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.expectCopies(t, w)
	page := filepath.Join(dir, "page.html")
	h := world.Run(t, []string{}, p.OperateFile, "hooks", "test", "--template", dir, "--out", page, root+"/handler/api/hook/testdata/samples/alertmanager.json")
	if code := h.ExitCode(t); code != 0 || !strings.Contains(h.Stdout.String(), "Subject: Firing: InstanceDown\n") {
		t.Errorf("hooks test: %d, %s%s", code, h.Stdout.String(), h.Stderr.String())
	}
	if shown, err := os.ReadFile(page); err != nil || !strings.Contains(string(shown), "Firing: InstanceDown") {
		t.Errorf("the page is %s, %v", shown, err)
	}
}

// expectCopies: a copy of each built-in template is one that a hook can have, and
// says the same.
func (p *product) expectCopies(t *testing.T, w *deployment) {
	t.Helper()
	for _, builtin := range []string{"grafana", "github", "generic", "stripe"} {
		dir := filepath.Join(t.TempDir(), builtin)
		if c := world.Run(t, []string{}, p.OperateFile, "hooks", "copy", builtin, dir); c.ExitCode(t) != 0 {
			t.Fatal(c.Stderr.String())
		}
		w.Operate(t, "hooks", "add", w.hookName("copy-"+builtin), "--caller", w.Caller, "--sender", world.Sender, "--to", world.Recipient, "--template", dir)
		page, sample := filepath.Join(dir, "page.html"), root+"/handler/api/hook/testdata/samples/grafana.json"
		own := world.Run(t, []string{}, p.OperateFile, "hooks", "test", "--builtin", builtin, "--template", dir, "--out", page, sample).Stdout.String()
		if given := world.Run(t, []string{}, p.OperateFile, "hooks", "test", "--builtin", builtin, "--out", page, sample).Stdout.String(); own != given || own == "" {
			t.Errorf("the copy of %s says %s, not %s", builtin, own, given)
		}
	}
}

// testWrongHooks: what cannot be done says why.
func (p *product) testWrongHooks(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	add := func(flags ...string) []string {
		return slices.Concat([]string{"hooks", "add", "wrong", "--caller", w.Caller, "--sender", world.Sender, "--to", world.Recipient}, flags)
	}
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Mkdir(loop, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]string{"subject.tmpl": "x", "text.tmpl": `{{define "a"}}{{template "a"}}{{end}}`} {
		if err := os.WriteFile(filepath.Join(loop, name), []byte(of), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no such caller", []string{"hooks", "add", "wrong", "--caller", "nobody", "--sender", world.Sender, "--to", world.Recipient}, 3, `no caller "nobody"`},
		{"a sender that the caller may not use", []string{"hooks", "add", "wrong", "--caller", w.Caller, "--sender", "other@example.com", "--to", world.Recipient}, 1, "does not allow this message"},
		{"a priority that is none", add("--priority", "urgent"), 1, "/delivery/priority: "},
		{"a tag with a control character", add("--tag", "the\tteam=ops"), 1, "/delivery/tags/0/name: "},
		{"no such builtin", add("--builtin", "pager"), 1, `no built-in "pager"`},
		{"Stripe without a secret", add("--builtin", "stripe"), 1, "dictates"},
		{"a secret that is not there", add("--builtin", "stripe", "--secret-file", "/nowhere"), 1, "no such file"},
		{"a tag that is none", add("--tag", "team"), 2, "a tag is NAME=VALUE"},
		{"a template that calls itself", add("--template", loop), 1, "calls itself"},
		{"a template that is not there", add("--template", "/nowhere"), 1, "no such file"},
		{"a form for everybody", add("--builtin", "form"), 1, "needs the origins"},
		{"show nobody", []string{"hooks", "show", "nobody"}, 3, `There is no hook "nobody"`},
		{"rotate nobody", []string{"hooks", "rotate", "nobody"}, 3, `There is no hook "nobody"`},
		{"remove nobody", []string{"hooks", "remove", "nobody", "--yes"}, 3, `There is no hook "nobody"`},
		{"copy nobody's", []string{"hooks", "copy", "pager", loop + "2"}, 1, `no built-in "pager"`},
		{"copy over something", []string{"hooks", "copy", "grafana", loop}, 1, "file exists"},
		{"test a hook that is not there", []string{"hooks", "test", "--hook", "nobody", "x"}, 3, `There is no hook "nobody"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.expectFailure(t, w.Env, c.args, c.code, c.want)
		})
	}
}

// A form from a browser, a robot, and a site that has no such form.
func (p *product) testForm(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	path, _ := w.hooked(t, "contact", "form", "--origin", "https://www.example.com", "--redirect", "https://www.example.com/thanks")
	send := func(origin, more string) world.Answer {
		return w.deliver(t, path, "name=canary&email=canary-ann%40example.com&message=Hello"+more,
			"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", origin)
	}
	for _, c := range []struct {
		origin, more string
		status, sent int
	}{
		{"https://evil.example", "", http.StatusForbidden, 0},
		{"https://www.example.com", "&_gotcha=buy", http.StatusSeeOther, 0},
		{"https://www.example.com", "", http.StatusSeeOther, 1},
		{"https://www.example.com", "", http.StatusSeeOther, 1},
	} {
		a := send(c.origin, c.more)
		if a.StatusCode != c.status || c.status == http.StatusSeeOther && a.Header.Get("Location") != "https://www.example.com/thanks" {
			t.Errorf("%+v: %s %s", c, a.Status, a.Body)
		}
		if n := len(w.ACS.Messages(t)); n != c.sent {
			t.Errorf("%+v: %d messages", c, n)
		}
	}
	if m := w.ACS.Message(t); fmt.Sprint(m.ReplyTo) != "[{canary-ann@example.com }]" || m.Recipients.To[0].Address != world.Recipient {
		t.Errorf("arrived as %+v", m)
	}
}
