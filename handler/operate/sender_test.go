package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

// owns has a verified domain, whose senders are DoNotReply and shop.
func (d *testOperator) owns(id string, created time.Time) {
	states := azuretest.Object{}
	for _, kind := range azure.Verifications() {
		states[kind] = azuretest.Object{"status": azure.StatusVerified}
	}
	d.Put(id, azuretest.Object{
		"systemData": azuretest.Object{"createdAt": created.Format(time.RFC3339)},
		"properties": azuretest.Object{"domainManagement": "CustomerManaged", "fromSenderDomain": azure.ID(id).Name(), "verificationStates": states},
	})
	d.Put(id+"/senderUsernames/DoNotReply", azuretest.Object{"properties": azuretest.Object{"username": "DoNotReply"}})
	d.Put(id+"/senderUsernames/shop", azuretest.Object{"properties": azuretest.Object{"username": "Shop", "displayName": "The Shop"}})
}

// newSenders is an operator with the managed domain, one of its own, and one of another
// Email Service that is linked.
func newSenders(t *testing.T) *testOperator {
	t.Helper()
	d := newTestOperator(t)
	d.Put(testManaged+"/senderUsernames/DoNotReply", azuretest.Object{"properties": azuretest.Object{"username": "DoNotReply"}})
	d.owns(testDomain, d.clock)
	d.owns(foreign, d.clock)
	d.links(testManaged, foreign)
	return d
}

// changes are the requests that change something: their method and the end of their path.
func (d *testOperator) changes() (all []string) {
	for _, r := range d.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/list") {
			all = append(all, r.Method+" "+azure.ID(r.Path).Name())
		}
	}
	return all
}

func TestSendersAreAddedAndRemoved(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 257)
	for _, c := range []struct {
		name, words, display string // display is what --name says
		fault                string // code of what Azure answers to a change
		says                 string
		code                 int
		changes              []string
		left                 string // display name of the sender that is in question, afterwards; "-" not there
	}{
		{"a new one", "sender add news@example.test", "News", "", `Done: add news@example.test as "News".`, 0, []string{"PUT news"}, "News"},
		{"a new one, without a name", "sender add news@example.test", "", "", `not linked, so nothing can be sent from it. Run "posthorn domain link example.test"`, 0, []string{"PUT news"}, ""},
		{"on a linked domain of another Email Service", "sender add news@OTHER.test", "News", "", `callers set NAME --sender news@other.test`, 0, []string{"PUT news"}, "News"},
		{"only said", "sender add news@example.test --dry-run", "News", "", `Would add news@example.test as "News". Nothing was done.`, 0, nil, "-"},
		{"once more", "sender add shop@example.test", "", "", "shop@example.test exists already.", 0, nil, "The Shop"},
		{"once more, with its name", "sender add shop@example.test", "The Shop", "", "exists already", 0, nil, "The Shop"},
		{"renamed", "sender add shop@example.test", "Shoe Shop", "", `Done: rename shop@example.test as "Shoe Shop".`, 0, []string{"PUT shop"}, "Shoe Shop"},
		{"renamed, only said", "sender add shop@example.test --dry-run", "Shoe Shop", "", "Would rename", 0, nil, "The Shop"},
		{"the one that all have", "sender add donotreply@x.azurecomm.net", "", "", "exists already", 0, nil, ""},
		{"of the Azure-managed domain", "sender add news@x.azurecomm.net", "", "", "sends only as DoNotReply@x.azurecomm.net. Add your own domain", exitFailed, nil, "-"},
		{"before the quota was raised", "sender add news@example.test", "", "412 PreconditionFailed", `"posthorn quota report" writes the request`, exitFailed, []string{"PUT news"}, "-"},
		{"before the quota was raised, in other words", "sender add news@example.test", "", "403 Forbidden", `until Microsoft raises the subscription's quota`, exitFailed, []string{"PUT news"}, "-"},
		{"of the Azure-managed domain, renamed", "sender add DoNotReply@x.azurecomm.net", "News", "412 PreconditionFailed", "Azure sets its sender", exitFailed, []string{"PUT DoNotReply"}, ""},
		{"without the right", "sender add news@example.test", "", "403 AuthorizationFailed", `--role "Communication and Email Service Owner"`, exitAway, []string{"PUT news"}, "-"},
		{"refused", "sender add news@example.test", "", "400 BadRequest", "could not set the sender news of example.test", exitFailed, []string{"PUT news"}, "-"},
		{"at a domain that is not here", "sender add news@elsewhere.test", "", "", "the domains here are example.test,other.test,x.azurecomm.net", exitNotFound, nil, ""},
		{"with a name for an address", "sender add News", "", "", `"News" is no address`, exitUsage, nil, ""},
		{"with a name of two lines", "sender add news@example.test", "a\nb", "", "--name: ", exitUsage, nil, "-"},
		{"with an address for a name", "sender add news@example.test", "news@example.test", "", "--name: a display name has no @", exitUsage, nil, "-"},
		{"with a long name", "sender add news@example.test", long, "", "at most 256 bytes", exitUsage, nil, "-"},
		{"removed", "sender remove shop@example.test --yes", "", "", "Removed sender shop@example.test.", 0, []string{"DELETE shop"}, "-"},
		{"removed, only said", "sender remove shop@example.test --dry-run", "", "", "Remove the sender shop@example.test? ACS then refuses mail from it. Nothing was done.", 0, nil, "The Shop"},
		{"removed unasked", "sender remove shop@example.test", "", "", "add --yes", exitUsage, nil, "The Shop"},
		{"removed where it is not", "sender remove news@example.test --yes", "", "", "the domain has no such sender", exitNotFound, nil, "-"},
		{"removed, refused", "sender remove shop@example.test --yes", "", "409 Conflict", "Run the command again", exitFailed, []string{"DELETE shop"}, "The Shop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newSenders(t)
			words := strings.Fields(c.words)
			if c.display != "" {
				words = append(words, "--name", c.display)
			}
			username, domain, _ := strings.Cut(words[2], "@")
			id := map[string]string{"example.test": testDomain, "other.test": foreign, "x.azurecomm.net": testManaged}[strings.ToLower(domain)] + "/senderUsernames/" + username
			if status, code, found := strings.Cut(c.fault, " "); found {
				method, message := http.MethodPut, "Azure says no."
				if words[1] == "remove" {
					method = http.MethodDelete
				}
				if code == "AuthorizationFailed" {
					message = "The client 'a' does not have authorization to perform action 'Microsoft.Communication/emailServices/domains/senderUsernames/write' over scope '" + id + "'."
				}
				d.Fail(method, "/senderUsernames/"+username, -1, map[string]int{"412": 412, "403": 403, "400": 400, "409": 409}[status], code, message)
			}
			out, said, code := d.run(t, words...)
			if code != c.code || out != "" || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
			if got := d.changes(); !slices.Equal(got, c.changes) {
				t.Errorf("changes are %q, want %q", got, c.changes)
			}
			left := "-"
			if o := d.Resource(id); o != nil {
				left, _ = o["properties"].(azuretest.Object)["displayName"].(string)
			}
			if strings.HasPrefix(id, "/subscriptions") && left != c.left {
				t.Errorf("its display name is %q afterwards, want %q", left, c.left)
			}
		})
	}
}

func TestSendersAreListed(t *testing.T) {
	t.Parallel()
	d := newSenders(t)
	out, said, code := d.run(t, "sender", "list")
	want := `DOMAIN           ADDRESS                     DISPLAY NAME  LINKED
x.azurecomm.net  DoNotReply@x.azurecomm.net  -             yes
example.test     DoNotReply@example.test     -             no
example.test     Shop@example.test           The Shop      no
other.test       DoNotReply@other.test       -             yes
other.test       Shop@other.test             The Shop      yes
`
	if code != 0 || out != want || said != "" {
		t.Errorf("exit code %d, %q\n%s", code, said, out)
	}
	var rows []senderRow
	out, _, code = d.run(t, "sender", "list", "example.test", "--json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 || len(rows) != 2 || rows[1] != (senderRow{"example.test", "Shop@example.test", "The Shop", false}) {
		t.Errorf("exit code %d, %v: %+v", code, err, rows)
	}
	if _, said, code := d.run(t, "sender", "list", "nowhere.test"); code != exitNotFound || !strings.Contains(said, "could not find the domain nowhere.test") {
		t.Errorf("exit code %d, %q", code, said)
	}
}

// A linked domain of somebody else's does not stop a command about one's own, and counts.
func TestAForeignDomainThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	d := newSenders(t)
	d.Fail(http.MethodGet, foreign, -1, http.StatusForbidden, "AuthorizationFailed", "No.")
	out, said, code := d.run(t, "sender", "list")
	if code != 0 || !strings.Contains(out, "Shop@example.test") || strings.Contains(out, "other.test") || !strings.Contains(said, "other.test is linked, and cannot be read: ") {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
	if out, said, code = d.run(t, "quota", "show"); code != 0 || !strings.Contains(out, "other.test") || !strings.Contains(said, "Your own domain is linked.") {
		t.Errorf("exit code %d, %q, %q", code, out, said)
	}
}
