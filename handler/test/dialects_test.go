package test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/require"
	"github.com/posthorn/posthorn/handler/test/world"
)

// client is another service's client, with messages as that service has them.
type client struct {
	name string
	// run makes calls and says what the client says of each.
	run func(t *testing.T, w *deployment, key string, calls []string) []clientSaid
	// whole has all that a message may have; LATER stands for a time, FILE for
	// the Base64 of a file.
	whole, large, later, badAddress, otherSender, refuse string
	// sentence is what the client's error has of the refusal of a bad address.
	place string
	// badKey is what it has of the refusal of a key, where that is not "The key is
	// not valid".
	badKey string
}

// clientSaid is what another service's client says came of a call.
type clientSaid struct {
	ID            string
	Status        int
	Name, Message string
	Value         json.RawMessage
}

const image = "canary PNG"

// Names in these bodies are those of each client; CANARY stands for its domain.
var clients = []client{
	{
		name: "resend", run: byNode("resend.mjs"),
		whole: `["send",{"from":"Canary <canary-sender@example.com>","to":["Ann canary <canary-recipient@example.net>","canary-second@example.net"],"cc":"canary-cc@example.net",
			"bcc":["canary-bcc@example.net"],"replyTo":"canary-reply@example.com","subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","headers":{"X-Canary":"canary-header"},
			"attachments":[{"filename":"logo.png","contentId":"logo","content":"IMAGE"},{"filename":"canary.txt","content":"FILE"}],"tags":[{"name":"order","value":"canary"}]},{"idempotencyKey":"canary"}]`,
		large:       `["send",{"from":"canary-sender@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","attachments":[{"filename":"canary.bin","content":"FILE"}]}]`,
		later:       `["send",{"from":"canary-sender@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text","scheduledAt":"LATER"}]`,
		badAddress:  `["send",{"from":"canary-sender@example.com","to":["canary-recipient@example.net","canary nobody"],"subject":"canary-subject","text":"canary-text"}]`,
		otherSender: `["send",{"from":"canary-other@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text"}]`,
		refuse:      `["post","/emails",{"from":"canary-sender@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text","delivery":{"whenBusy":"refuse"}}]`,
		place:       "/to/1: ",
	},
	{
		name: "sendgrid", run: byNode("sendgrid.mjs"),
		whole: `["send",{"from":{"email":"canary-sender@example.com","name":"Canary"},"to":[{"email":"canary-recipient@example.net","name":"Ann canary"},"canary-second@example.net"],"cc":"canary-cc@example.net",
			"bcc":["canary-bcc@example.net"],"replyTo":"canary-reply@example.com","subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","headers":{"X-Canary":"canary-header"},
			"attachments":[{"filename":"logo.png","type":"image/png","disposition":"inline","contentId":"logo","content":"IMAGE"},{"filename":"canary.txt","type":"text/plain","content":"FILE"}],
			"categories":["canary"],"customArgs":{"order":"canary"}}]`,
		large:       `["send",{"from":"canary-sender@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","attachments":[{"filename":"canary.bin","content":"FILE"}]}]`,
		later:       `["send",{"from":"canary-sender@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text","sendAt":SECONDS}]`,
		badAddress:  `["send",{"from":"canary-sender@example.com","to":["canary-recipient@example.net","canary nobody"],"subject":"canary-subject","text":"canary-text"}]`,
		otherSender: `["send",{"from":"canary-other@example.com","to":"canary-recipient@example.net","subject":"canary-subject","text":"canary-text"}]`,
		refuse: `["request",{"method":"POST","url":"/v3/mail/send","body":{"from":{"email":"canary-sender@example.com"},"personalizations":[{"to":[{"email":"canary-recipient@example.net"}]}],
			"subject":"canary-subject","content":[{"type":"text/plain","value":"canary-text"}],"delivery":{"whenBusy":"refuse"}}}]`,
		place: "personalizations.0.to.1.email",
	},
	{
		name: "postmark", run: byNode("postmark.mjs"),
		whole: `["sendEmail",{"From":"Canary <canary-sender@example.com>","To":"Ann canary <canary-recipient@example.net>, canary-second@example.net","Cc":"canary-cc@example.net",
			"Bcc":"canary-bcc@example.net","ReplyTo":"canary-reply@example.com","Subject":"canary-subject","TextBody":"canary-text","HtmlBody":"<p>canary-text</p>","Headers":[{"Name":"X-Canary","Value":"canary-header"}],
			"Attachments":[{"Name":"logo.png","ContentType":"image/png","ContentID":"cid:logo","Content":"IMAGE"},{"Name":"canary.txt","ContentType":"text/plain","Content":"FILE","ContentID":null}],
			"Tag":"canary","Metadata":{"order":"canary"},"MessageStream":"outbound","TrackOpens":true,"TrackLinks":"None"}]`,
		large:       `["sendEmail",{"From":"canary-sender@example.com","To":"canary-recipient@example.net","Subject":"canary-subject","TextBody":"canary-text","HtmlBody":"<p>canary-text</p>","Attachments":[{"Name":"canary.bin","ContentType":"application/zip","Content":"FILE"}]}]`,
		badAddress:  `["sendEmail",{"From":"canary-sender@example.com","To":"canary-recipient@example.net, canary nobody","Subject":"canary-subject","TextBody":"canary-text"}]`,
		otherSender: `["sendEmail",{"From":"canary-other@example.com","To":"canary-recipient@example.net","Subject":"canary-subject","TextBody":"canary-text"}]`,
		refuse:      `["sendEmail",{"From":"canary-sender@example.com","To":"canary-recipient@example.net","Subject":"canary-subject","TextBody":"canary-text","Delivery":{"whenBusy":"refuse"}}]`,
		place:       "/To: ",
	},
}

// goClients send the same as those for Node.js do.
var goClients = []client{
	{
		name: "resend-go", run: byGo,
		whole: `{"client":"resend","message":{"from":"Canary <canary-sender@example.com>","to":["Ann canary <canary-recipient@example.net>","canary-second@example.net"],"cc":["canary-cc@example.net"],
			"bcc":["canary-bcc@example.net"],"reply_to":"canary-reply@example.com","subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","headers":{"X-Canary":"canary-header"},
			"attachments":[{"Filename":"logo.png","ContentId":"logo","Content":"IMAGE"},{"Filename":"canary.txt","Content":"FILE"}],"tags":[{"name":"order","value":"canary"}]}}`,
		large:       `{"client":"resend","message":{"from":"canary-sender@example.com","to":["canary-recipient@example.net"],"subject":"canary-subject","text":"canary-text","html":"<p>canary-text</p>","attachments":[{"Filename":"canary.bin","Content":"FILE"}]}}`,
		later:       `{"client":"resend","message":{"from":"canary-sender@example.com","to":["canary-recipient@example.net"],"subject":"canary-subject","text":"canary-text","scheduled_at":"LATER"}}`,
		badAddress:  `{"client":"resend","message":{"from":"canary-sender@example.com","to":["canary-recipient@example.net","canary nobody"],"subject":"canary-subject","text":"canary-text"}}`,
		otherSender: `{"client":"resend","message":{"from":"canary-other@example.com","to":["canary-recipient@example.net"],"subject":"canary-subject","text":"canary-text"}}`,
		place:       "/to/1: ",
	},
	sendGridGo("sendgrid"), sendGridGo("sendgrid, packed"),
	postmarkGo("postmark"), postmarkGo("postmark, old"),
}

func sendGridGo(of string) client {
	message := func(sender, to, more string) string {
		return `{"client":"` + of + `","message":{"from":{"email":"` + sender + `"},"personalizations":[{"to":[` + to + `]` + more
	}
	const content = `"subject":"canary-subject","content":[{"type":"text/plain","value":"canary-text"},{"type":"text/html","value":"<p>canary-text</p>"}]`
	const ann, nobody = `{"email":"canary-recipient@example.net","name":"Ann canary"}`, `{"email":"canary nobody"}`
	return client{
		name: of + "-go", run: byGo,
		whole: message(world.Sender, ann+`,{"email":"canary-second@example.net"}`, `,"cc":[{"email":"canary-cc@example.net"}],"bcc":[{"email":"canary-bcc@example.net"}]}],
			"reply_to":{"email":"canary-reply@example.com"},"headers":{"X-Canary":"canary-header"},"attachments":[{"filename":"logo.png","type":"image/png","disposition":"inline","content_id":"logo","content":"IMAGE"},
			{"filename":"canary.txt","name":"canary","type":"text/plain","content":"FILE"}],"categories":["canary"],"custom_args":{"order":"canary"},`+content+`}}`),
		large:       message(world.Sender, ann, `}],"attachments":[{"filename":"canary.bin","content":"FILE"}],`+content+`}}`),
		later:       message(world.Sender, ann, `}],"send_at":SECONDS,`+content+`}}`),
		badAddress:  message(world.Sender, ann+`,`+nobody, `}],`+content+`}}`),
		otherSender: message("canary-other@example.com", ann, `}],`+content+`}}`),
		place:       "personalizations.0.to.1.email",
	}
}

func postmarkGo(of string) client {
	message := func(sender, to, more string) string {
		return `{"client":"` + of + `","message":{"From":"` + sender + `","To":"` + to + `","Subject":"canary-subject","TextBody":"canary-text","HtmlBody":"<p>canary-text</p>"` + more + `}}`
	}
	return client{
		name: of + "-go", run: byGo,
		whole: message(world.Sender, "Ann canary <canary-recipient@example.net>, canary-second@example.net", `,"Cc":"canary-cc@example.net","Bcc":"canary-bcc@example.net","ReplyTo":"canary-reply@example.com",
			"Headers":[{"Name":"X-Canary","Value":"canary-header"}],"Attachments":[{"Name":"logo.png","ContentType":"image/png","ContentID":"cid:logo","Content":"IMAGE"},
			{"Name":"canary.txt","ContentType":"text/plain","Content":"FILE"}],"Tag":"canary","Metadata":{"order":"canary"}`),
		large:       message(world.Sender, world.Recipient, `,"Attachments":[{"Name":"canary.bin","ContentType":"application/zip","Content":"FILE"}]`),
		badAddress:  message(world.Sender, world.Recipient+", canary nobody", ""),
		otherSender: message("canary-other@example.com", world.Recipient, ""),
		place:       "/To: ",
	}
}

// filled puts files and times into a call.
func filled(call string, file []byte) string {
	later := time.Now().Add(time.Hour).UTC()
	return strings.NewReplacer(
		"IMAGE", base64.StdEncoding.EncodeToString([]byte(image)), "FILE", base64.StdEncoding.EncodeToString(file),
		"LATER", later.Format(time.RFC3339), "SECONDS", strconv.FormatInt(later.Unix(), 10),
	).Replace(call)
}

// byNode runs one of the scripts beside the official clients.
func byNode(script string) func(*testing.T, *deployment, string, []string) []clientSaid {
	return func(t *testing.T, w *deployment, key string, calls []string) []clientSaid {
		t.Helper()
		requireClients(t)
		cmd := exec.CommandContext(t.Context(), "node", script)
		cmd.Dir = "clients"
		return w.calls(t, cmd, key, calls)
	}
}

// requireClients ends a test where the clients are not installed.
func requireClients(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("clients/node_modules/postmark"); err != nil {
		require.Missing(t, require.Clients)
	}
}

func byGo(t *testing.T, w *deployment, key string, calls []string) []clientSaid {
	t.Helper()
	return w.calls(t, exec.CommandContext(t.Context(), goProgram(t, ".")), key, calls)
}

// goProgram builds one of the programs that use clients for Go.
func goProgram(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./"+dir)
	cmd.Dir = "goclients"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func (w *deployment) calls(t *testing.T, cmd *exec.Cmd, key string, calls []string) []clientSaid {
	t.Helper()
	cmd.Stdin = strings.NewReader("[" + strings.Join(calls, ",") + "]")
	var all []clientSaid
	out := w.program(t, cmd, key)
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(calls) {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// program runs a client with what its users set.
func (w *deployment) program(t *testing.T, cmd *exec.Cmd, key string) []byte {
	t.Helper()
	cmd.Env = append(os.Environ(), "POSTHORN_URL="+w.URL, "POSTHORN_KEY="+key)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	return out
}

// testOtherClients sends with the clients of other services as their users do:
// nothing but the address and the key is Posthorn's.
func (p *product) testOtherClients(t *testing.T) {
	for _, c := range slices.Concat(clients, goClients) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := world.Options{}
			if c.name == "resend-go" { // it writes each byte of a file as a number: 3.6 times its size
				o.Settings = []string{"POSTHORN_MAX_REQUEST_BYTES=67108864", "POSTHORN_HOST_MAX_REQUEST_BYTES=68157440"}
			}
			w := newDeployment(t, p, o)
			w.expectWhole(t, c)
			w.expectLinkAndLater(t, c)
			w.expectRefusals(t, c)
		})
	}
}

func (w *deployment) expectWhole(t *testing.T, c client) {
	t.Helper()
	said := c.run(t, w, w.Key, []string{filled(c.whole, []byte("canary-content"))})[0]
	if w.Ended(t, world.Operation(said.ID)).Status != "Succeeded" {
		t.Fatalf("the client says %+v", said)
	}
	m := w.ACS.Message(t)
	if m.From != world.Sender || m.Subject != world.Subject || m.Text != world.Text || m.HTML != "<p>canary-text</p>" || m.Headers["X-Canary"] != "canary-header" {
		t.Errorf("arrived as %+v", m)
	}
	addresses := func(list []world.Address) string {
		var all []string
		for _, a := range list {
			all = append(all, a.DisplayName+" "+a.Address)
		}
		return strings.Join(all, ",")
	}
	r := m.Recipients
	if got, want := strings.Join([]string{addresses(r.To), addresses(r.CC), addresses(r.BCC), addresses(m.ReplyTo)}, ";"),
		"Ann canary canary-recipient@example.net, canary-second@example.net; canary-cc@example.net; canary-bcc@example.net; canary-reply@example.com"; got != want {
		t.Errorf("arrived to %s", got)
	}
	if len(m.Attachments) != 2 || m.Attachments[0].ContentID != "logo" || m.Attachments[0].ContentType != "image/png" || m.Attachments[0].Size != int64(len(image)) ||
		m.Attachments[1].ContentID != "" || m.Attachments[1].ContentType != "text/plain" || m.Attachments[1].Size != int64(len("canary-content")) {
		t.Errorf("arrived with %+v", m.Attachments)
	}
}

func (w *deployment) expectLinkAndLater(t *testing.T, c client) {
	t.Helper()
	said := c.run(t, w, w.Key, []string{filled(c.large, file(fileBytes+9))})[0]
	if d := w.Ended(t, world.Operation(said.ID)); d.Status != "Succeeded" || len(d.Delivery.Links) != 1 || d.Delivery.Links[0].Size != fileBytes+9 {
		t.Errorf("the client says %+v, and the message is %+v", said, d)
	}
	if m := w.ACS.Messages(t)[0]; len(m.Attachments) != 0 || !strings.Contains(m.Text, w.URL+"/files/") {
		t.Errorf("arrived as %+v", m)
	}
	if c.later == "" {
		return
	}
	said = c.run(t, w, w.Key, []string{filled(c.later, nil)})[0]
	if d := w.Get(t, world.Operation(said.ID)).Document(t); d.Status != "Running" || d.Delivery.State != "waiting" {
		t.Errorf("the client says %+v, and the message is %+v", said, d)
	}
	if n := len(w.ACS.Messages(t)); n != 2 {
		t.Errorf("%d messages have arrived", n)
	}
}

func (w *deployment) expectRefusals(t *testing.T, c client) {
	t.Helper()
	bad := c.run(t, w, w.Key, []string{c.badAddress, c.otherSender})
	for i, want := range []string{"The address contains a space", "The rule `senders` of this caller does not list this address."} {
		if bad[i].ID != "" || !strings.Contains(bad[i].Message, want) {
			t.Errorf("the client says %+v, want %q", bad[i], want)
		}
	}
	if !strings.Contains(bad[0].Message, c.place) {
		t.Errorf("the client does not say where: %s", bad[0].Message)
	}
	none := c.run(t, w, "ph_canary_1_"+strings.Repeat("0", 64), []string{c.otherSender})[0]
	if none.ID != "" || !strings.Contains(none.Message, cmp.Or(c.badKey, "The key is not valid")) {
		t.Errorf("the client says %+v", none)
	}
	if n := len(w.ACS.Messages(t)); n != 2 {
		t.Errorf("%d messages have arrived", n)
	}
}

// testOtherClientsWithoutQuota is about a deployment whose quota is used up, and
// messages that may not wait.
func (p *product) testOtherClientsWithoutQuota(t *testing.T) {
	w := newDeployment(t, p, world.Options{Settings: []string{"POSTHORN_QUOTA_PER_MINUTE=1", "POSTHORN_QUOTA_PER_HOUR=1"}})
	for _, c := range append(slices.Clone(clients), official) {
		said := c.run(t, w, w.Key, []string{c.refuse, c.refuse})[1]
		if said.ID != "" || said.Status != 429 || !strings.Contains(said.Message, "quota") {
			t.Errorf("%s says %+v", c.name, said)
		}
	}
}

// testBatchesOfClients sends several messages in one call.
func (p *product) testBatchesOfClients(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	const two = `[{"from":"canary-sender@example.com","to":"canary-1@example.net","subject":"canary 1","text":"canary"},{"from":"canary-sender@example.com","to":"TO","subject":"canary 2","text":"canary"}]`
	good, bad := strings.Replace(two, "TO", "canary-2@example.net", 1), strings.Replace(two, "TO", "canary nobody", 1)
	r := byNode("resend.mjs")(t, w, w.Key, []string{
		`["batch",` + good + `]`, `["batch",` + bad + `]`, `["batch",` + bad + `,{"batchValidation":"permissive"}]`,
	})
	if got := string(r[0].Value); strings.Count(got, `"id"`) != 2 || strings.Contains(got, "errors") {
		t.Errorf("the batch: %s", got)
	}
	if r[1].Status != 422 || !strings.Contains(r[1].Message, "/1/to: ") {
		t.Errorf("the strict batch: %+v", r[1])
	}
	if got := string(r[2].Value); strings.Count(got, `"id"`) != 1 || !strings.Contains(got, `"index":1`) {
		t.Errorf("the permissive batch: %s", got)
	}
	upper := strings.NewReplacer(`"from"`, `"From"`, `"to"`, `"To"`, `"subject"`, `"Subject"`, `"text"`, `"TextBody"`)
	pm := byNode("postmark.mjs")(t, w, w.Key, []string{`["sendEmailBatch",` + upper.Replace(bad) + `]`})[0]
	if got := string(pm.Value); strings.Count(got, `"ErrorCode":0`) != 1 || !strings.Contains(got, `"ErrorCode":300`) {
		t.Errorf("Postmark's batch: %s", got)
	}
	sg := byNode("sendgrid.mjs")(t, w, w.Key, []string{`["sendMultiple",{"from":"canary-sender@example.com","to":["canary-1@example.net","canary-2@example.net"],"subject":"canary {{name}}","text":"canary","substitutions":{"name":"Ann"}}]`})[0]
	if got := string(sg.Value); sg.ID == "" || strings.Count(got, ",") != 2 {
		t.Errorf("SendGrid's several: %+v, %s", sg, got)
	}
	if all := w.ACS.Messages(t); len(all) != 2+1+1+2 || all[0].Subject != "canary Ann" {
		t.Errorf("%d messages have arrived, the last %q", len(all), all[0].Subject)
	}
}

var codeOf = regexp.MustCompile("(?s)```(js|go)\n(.*?)```")

// testPagesOfClients runs what the pages show, as it stands there.
func (p *product) testPagesOfClients(t *testing.T) {
	requireClients(t)
	w := newDeployment(t, p, world.Options{})
	key, _, _ := strings.Cut(w.Operate(t, "callers", "add", w.Caller+"-pages", "--sender", "donotreply@example.com", "--recipient-domain", "example.com"), "\n")
	for _, page := range []string{"resend", "sendgrid", "postmark"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		shown := codeOf.FindAllStringSubmatch(string(text), -1)
		if len(shown) != 2 {
			t.Fatalf("%s shows %d programs", page, len(shown))
		}
		for _, code := range shown {
			cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", code[2])
			cmd.Dir = "clients"
			if code[1] == "go" {
				if kept, err := os.ReadFile(filepath.Join("goclients", page, "main.go")); err != nil || string(kept) != code[2] {
					t.Errorf("goclients/%s/main.go is not what the page shows, %v", page, err)
				}
				cmd = exec.CommandContext(t.Context(), goProgram(t, page))
			}
			before := len(w.ACS.Messages(t))
			said := string(w.program(t, cmd, key))
			if !regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-`).MatchString(said) || len(w.ACS.Messages(t)) != before+1 {
				t.Errorf("%s, %s: %s", page, code[1], said)
			}
		}
	}
}
