package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/local/azurite"
)

// pages are what a reader types in one terminal, in this order: the settings that
// operate.md reads into it hold for entra.md too. Each row is a block of shell, in
// the order of the page.
var pages = []struct {
	file   string
	blocks []shown
}{
	{"README.md", []shown{
		{name: "two commands"}, // both in elsewhere
		{name: "a message", statuses: "202", after: wantSubject("Hello")},
	}},
	{"docs/send.md", []shown{
		{name: "a message", statuses: "202", answer: true, after: wantSubject("Your order")},
		{name: "a message for later", statuses: "202", after: wantState("waiting")},
		{name: "cancel", statuses: "200", after: wantState("cancelled")},
		{name: "withdraw links", before: (*terminal).sendLink, statuses: "204", after: (*terminal).wantLinksWithdrawn},
		{name: "files as they are", statuses: "202", after: wantSubject("Report")},
		{name: "files of any size", statuses: "201 201 202", after: wantLink("README.md")},
		{name: "quota", statuses: "200", after: (*terminal).wantQuota},
	}},
	{"docs/operate.md", []shown{
		{name: "the settings", says: []string{"NAME", callerName}},
	}},
	{"docs/operate/connect.md", []shown{
		{name: "doctor", says: []string{"0 red", "settings", "storage", "mail", "gateway"}},
		{name: "a test message", says: []string{"-4"}}, // a UUID
	}},
	{"docs/operate/callers.md", []shown{
		{name: "callers", says: []string{"ph_shop_1_", "ph_shop_2_"}},
		{name: "export and import", says: []string{"NAME", "unchanged"}},
	}},
	{"docs/operate/queue.md", []shown{
		{name: "pause", says: []string{"paused", "The template of all shops is wrong."}},
		{name: "queued messages", says: []string{"ID", "STATE", "[]"}},
		{name: "dead letters", says: []string{"ID", "REASON", "[]"}},
	}},
	{"docs/clients/azure-sdk.md", []shown{
		{name: "a connection string", says: []string{"ph_shop_", "accesskey="}},
	}},
	{"docs/clients/logic-apps.md", []shown{
		{name: "map an identity", says: []string{"ph_orders_1_"}},
	}},
	{"docs/clients/entra.md", []shown{
		{name: "map an identity", says: []string{"ph_invoices_1_"}},
		{name: "a token", statuses: "200 200", says: []string{`"name":"local"`, `"proof":"token"`}},
	}},
	{"handler/local/emulator/README.md", []shown{
		{name: "the emulator", serves: (*terminal).wantEmulator, answer: true},
		{name: "the emulator over HTTPS", serves: (*terminal).wantHTTPS},
		{name: "faults", statuses: "200 200 204"},
	}},
}

// elsewhere are the commands that the test does not type, each with its reason.
var elsewhere = map[string]string{
	"make run":  "the rest of this test happens inside of it",
	"make test": "this test is a part of it",
}

// otherLanguages are those of the blocks that are no shell. What becomes of them:
var otherLanguages = map[string]string{
	"":     "an answer or a picture; the answers are compared by shown.answer",
	"text": "not run: it needs Azure",
	"json": "an answer, compared by expectJSON",
	"js":   "run by expectJavaScript",
	// No PowerShell is asked of a developer either.
	"powershell": "not run, but what it sends and what it reads is held by expectPowerShell",
	"csharp":     "not run: no .NET is asked of a developer",
	"python":     "not run: no Python is asked of a developer",
}

// shown is what a block must yield.
type shown struct {
	name     string
	before   func(*terminal, *testing.T)
	statuses string   // of the calls of curl, in order
	says     []string // on standard output
	answer   bool     // the next block without a language is the answer
	after    func(*terminal, *testing.T)
	serves   func(*terminal, *testing.T) // asks the server that the block starts
}

// expectPages runs every block of shell of the pages as it stands, but for the
// addresses: those of `make run` become this run's, so that the test can stand
// beside others.
func expectPages(t *testing.T, c config) {
	term := newTerminal(t, c)
	for _, p := range pages {
		text := read(t, p.file)
		all := blocks(text)
		checkMarks(t, p.file, all)
		shell := slices.DeleteFunc(slices.Clone(all), func(b block) bool { return b.language != "sh" || b.mark != "" })
		if len(shell) != len(p.blocks) {
			t.Errorf("%s has %d blocks of shell to run, the table %d: add a row, or mark the block with <!-- needs Azure -->", p.file, len(shell), len(p.blocks))
			continue
		}
		for i, b := range shell {
			t.Run(fmt.Sprintf("%s line %d, %s", p.file, b.line, p.blocks[i].name), func(t *testing.T) {
				term.expect(t, b, p.blocks[i], all)
			})
		}
	}
	t.Run("answers in JSON", func(t *testing.T) { expectJSON(t, c, term) })
	t.Run("PowerShell", func(t *testing.T) { expectPowerShell(t, term) })
	t.Run("JavaScript", func(t *testing.T) { expectJavaScript(t, c) })
}

// checkMarks wants every block to be of a known kind, and a mark only where Azure is
// asked for.
func checkMarks(t *testing.T, file string, all []block) {
	t.Helper()
	for _, b := range all {
		if _, known := otherLanguages[b.language]; b.language != "sh" && !known {
			t.Errorf("%s:%d: nothing is known about %s", file, b.line, b.language)
		}
		if b.mark != "" && (b.mark != "Azure" || !asksAzure.MatchString(b.text)) {
			t.Errorf("%s:%d: the block is marked as one that needs %s, and asks nothing of Azure", file, b.line, b.mark)
		}
	}
}

var asksAzure = regexp.MustCompile(`(?i)\baz |azure`)

func TestAMarkIsForBlocksThatAskAzure(t *testing.T) {
	t.Parallel()
	got := blocks("# Page\n\n<!-- needs Azure -->\n```sh\naz login\n```\n\n```sh\nmake run\n```\n   ```js\n   f()\n   ```\n")
	want := []block{{"sh", "az login\n", "Azure", 4}, {"sh", "make run\n", "", 8}, {"js", "   f()\n", "", 11}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	for command, good := range map[string]bool{"az login": true, "curl https://x.azurewebsites.net": true, "make lazy all": false} {
		if asksAzure.MatchString(command) != good {
			t.Errorf("%s: want %t", command, good)
		}
	}
}

func (term *terminal) expect(t *testing.T, b block, want shown, all []block) {
	if want.before != nil {
		want.before(term, t)
	}
	text := withoutElsewhere(t, b.text)
	if strings.TrimSpace(text) == "" {
		return
	}
	if want.serves != nil {
		said := term.serve(t, text, want.serves)
		if want.answer {
			expectAnswer(t, after(all, b), term.server, said)
		}
		return
	}
	said, statuses := term.run(t, text)
	if got := strings.Join(statuses, " "); got != want.statuses {
		t.Fatalf("curl was answered %q, want %q:\n%s", got, want.statuses, said)
	}
	for _, s := range want.says {
		if !strings.Contains(said, s) {
			t.Errorf("%q is not in what the block says:\n%s", s, said)
		}
	}
	if said == "" && want.statuses == "" {
		t.Error("the block says nothing, so nothing shows that it works")
	}
	if want.answer {
		expectAnswer(t, after(all, b), term.addresses, said)
	}
	if want.after != nil {
		want.after(term, t)
	}
}

// withoutElsewhere leaves out the lines that are run elsewhere.
func withoutElsewhere(t *testing.T, text string) string {
	t.Helper()
	makefile := read(t, "Makefile")
	var kept strings.Builder
	for line := range strings.Lines(text) {
		command, _, _ := strings.Cut(line, "#")
		command = strings.TrimSpace(command)
		if _, is := elsewhere[command]; !is {
			kept.WriteString(line)
			continue
		}
		if !strings.Contains(makefile, "\n"+strings.TrimPrefix(command, "make ")+":") {
			t.Errorf("the Makefile has no target for %q", command)
		}
	}
	return kept.String()
}

// after is the block that follows b.
func after(all []block, b block) block { return all[slices.Index(all, b)+1] }

// expectAnswer wants every line of the answer that a page shows, in figures of its
// own; … stands for anything.
func expectAnswer(t *testing.T, answer block, addresses *strings.Replacer, said string) {
	t.Helper()
	if answer.language != "" {
		t.Fatal("no answer follows the block")
	}
	said = strings.ReplaceAll(said, "\r", "")
	for line := range strings.Lines(addresses.Replace(answer.text)) {
		if !likeShown(strings.TrimSpace(line)).MatchString(said) {
			t.Errorf("the page shows the line\n%s\nthe answer is\n%s", line, said)
		}
	}
}

// loose are the parts of a shown answer that may differ: the beginning of a UUID,
// what is left out, and figures.
var loose = regexp.MustCompile(`[0-9a-f-]{4,}…|…|\d+`)

// likeShown matches a line that differs from the shown one in its loose parts at
// most; names of headers have no case.
func likeShown(line string) *regexp.Regexp {
	var pattern strings.Builder
	pattern.WriteString(`(?im)^\s*`)
	last := 0
	for _, at := range loose.FindAllStringIndex(line, -1) {
		pattern.WriteString(regexp.QuoteMeta(line[last:at[0]]))
		switch part := line[at[0]:at[1]]; {
		case part == "…":
			pattern.WriteString(`.*`)
		case strings.HasSuffix(part, "…"):
			pattern.WriteString(`[0-9a-f-]{36}`)
		default:
			pattern.WriteString(`\d+`)
		}
		last = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(line[last:]) + `\s*$`)
	return regexp.MustCompile(pattern.String())
}

func wantSubject(subject string) func(*terminal, *testing.T) {
	return func(term *terminal, t *testing.T) {
		for range 3000 {
			if list := inboxOf(t, term.c); list[0].Subject == subject {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("the newest message is no %q: %+v", subject, inboxOf(t, term.c))
	}
}

func wantState(state string) func(*terminal, *testing.T) {
	return func(term *terminal, t *testing.T) {
		if got := term.operation(t).Delivery.State; got != state {
			t.Errorf("the message is %s, want %s", got, state)
		}
	}
}

func wantLink(name string) func(*terminal, *testing.T) {
	return func(term *terminal, t *testing.T) {
		if links := term.operation(t).Delivery.Links; len(links) != 1 || links[0].Name != name || links[0].Revoked {
			t.Errorf("the links are %+v", links)
		}
	}
}

// sendLink sends a message whose links can be withdrawn.
func (term *terminal) sendLink(t *testing.T) {
	m := message("Link", "See below.", "", attachment{"a.txt", "text/plain", "", []byte("a")})
	m.body["attachments"] = []any{map[string]any{"name": "a.txt", "contentType": "text/plain", "contentInBase64": "YQ==", "placement": "link"}}
	status, answer := term.post(t, m.body)
	if status != http.StatusAccepted {
		t.Fatalf("%d: %s", status, answer)
	}
	term.note(string(answer))
	wantLink("a.txt")(term, t)
}

func (term *terminal) wantLinksWithdrawn(t *testing.T) {
	if links := term.operation(t).Delivery.Links; len(links) != 1 || !links[0].Revoked {
		t.Errorf("the links are %+v", links)
	}
}

// wantQuota wants all that the page says the answer tells.
func (term *terminal) wantQuota(t *testing.T) {
	var q struct {
		Remaining struct{ Minute, Hour *int }
		Waiting   struct{ Yours *int }
		Caller    struct{ UsedThisHour int }
		Expected  time.Time
	}
	if err := json.Unmarshal([]byte(term.last), &q); err != nil {
		t.Fatal(err)
	}
	if q.Remaining.Minute == nil || q.Remaining.Hour == nil || q.Waiting.Yours == nil || q.Caller.UsedThisHour == 0 || q.Expected.IsZero() {
		t.Errorf("something is not told: %s", term.last)
	}
}

// wantEmulator wants the emulator and its inbox where the page says.
func (term *terminal) wantEmulator(t *testing.T) {
	fetch(t, "http://"+term.emulator+"/api/arrivals")
	fetch(t, "http://"+term.inbox+"/api/messages")
}

// wantHTTPS sends with a token, as the SDK for Java does.
func (term *terminal) wantHTTPS(t *testing.T) {
	transport, err := azurite.Transport(term.c.certFile())
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	body, err := json.Marshal(message("Over HTTPS", "Text", "", attachment{"a.txt", "text/plain", "", []byte("a")}).body)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(term.emulator, ":")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost:"+port+"/emails:send?api-version=2025-09-01", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+azurite.Token("https://communication.azure.com", time.Now(), time.Now().Add(time.Hour)))
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if said, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusAccepted {
		t.Errorf("%s: %s", res.Status, said)
	}
}

// expectJSON compares the members of the answers that the pages show with real
// ones.
func expectJSON(t *testing.T, c config, term *terminal) {
	_, problem := term.post(t, map[string]any{
		"senderAddress": "nobody",
		"recipients":    map[string]any{"to": []any{map[string]any{"address": "ann@example.com"}, map[string]any{"address": "nobody"}}},
		"content":       map[string]any{"subject": "x", "plainText": "x"},
	})
	for file, answer := range map[string][]byte{
		"docs/send.md":                     problem,
		"handler/local/emulator/README.md": fetch(t, "http://"+c.Emulator+"/api/arrivals"),
	} {
		for _, b := range blocks(read(t, file)) {
			if b.language == "json" {
				compareShape(t, fmt.Sprintf("%s:%d", file, b.line), []byte(b.text), answer)
			}
		}
	}
}

func compareShape(t *testing.T, place string, shown, answer []byte) {
	t.Helper()
	var want, got any
	if err := json.Unmarshal(shown, &want); err != nil {
		t.Errorf("%s is no JSON: %v", place, err)
		return
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if fault := differs(want, got, ""); fault != "" {
		t.Errorf("%s: %s; the real answer is %s", place, fault, answer)
	}
}

// differs says where two answers differ in members, or in more than the loose parts
// of a text; a list may be longer than the shown one.
func differs(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name := range w {
			if _, ok := g[name]; !ok {
				return at + "/" + name + " is not in the answer"
			}
		}
		for name := range g {
			if _, ok := w[name]; !ok {
				return at + "/" + name + " is not shown"
			}
			if fault := differs(w[name], g[name], at+"/"+name); fault != "" {
				return fault
			}
		}
	case []any:
		g, _ := got.([]any)
		if len(g) < len(w) {
			return fmt.Sprintf("%s has %d elements", at, len(g))
		}
		for i := range w {
			if fault := differs(w[i], g[i], fmt.Sprintf("%s/%d", at, i)); fault != "" {
				return fault
			}
		}
	case string:
		if g, ok := got.(string); !ok || !likeShown(w).MatchString(g) {
			return fmt.Sprintf("%s is %v", at, got)
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			return fmt.Sprintf("%s is %v", at, got)
		}
	}
	return ""
}

// expectJavaScript runs the piece of the emulator's page with the official client.
func expectJavaScript(t *testing.T, c config) {
	if !clientsFolder.installed() {
		if os.Getenv("POSTHORN_TEST_REQUIRE_CLIENTS") == "1" {
			t.Fatal("the clients are not installed: run `make setup`")
		}
		t.Skip("the clients are not installed: run `make setup`")
	}
	page := read(t, "handler/local/emulator/README.md")
	connection := regexp.MustCompile(`endpoint=\S+`).FindString(page)
	connection = strings.Replace(connection, "127.0.0.1:8026", c.Emulator, 1)
	for _, b := range blocks(page) {
		if b.language != "js" {
			continue
		}
		program := fmt.Sprintf("import { EmailClient } from '@azure/communication-email'\nconst connectionString = %q\nconst message = %s\n%s", connection,
			`{ senderAddress: 'a@example.com', content: { subject: 'From JavaScript', plainText: 'x' }, recipients: { to: [{ address: 'ann@example.com' }] } }`, b.text)
		cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", program)
		cmd.Dir = clientsFolder.dir
		if said, err := cmd.CombinedOutput(); err != nil || string(said) != "Succeeded\n" {
			t.Errorf("%v: %s", err, said)
		}
	}
}
