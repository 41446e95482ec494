package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

const (
	testDomain = testEmails + "/domains/example.test"
	otherGroup = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/old"
	// foreign is a domain of another Email Service, in another subscription.
	foreign = otherGroup + "/providers/Microsoft.Communication/emailServices/old/domains/other.test"

	selector1 = "selector1-azurecomm-prod-net._domainkey"
	selector2 = "selector2-azurecomm-prod-net._domainkey"
	zoneToken = "\n@ TXT \"ms-domain-verification=11111111-2222-3333-4444-555555555555\""
	zoneSPF   = "\n@ TXT \"v=spf1 include:spf.protection.outlook.com -all\""
	zoneDKIM1 = "\n" + selector1 + " CNAME " + selector1 + ".azurecomm.net."
	zoneDKIM2 = "\n" + selector2 + " CNAME " + selector2 + ".azurecomm.net."
	zoneRest  = "\n_dmarc TXT \"v=DMARC1; p=reject\"\n@ MX 10 mail"
	zoneGood  = zoneToken + zoneSPF + zoneDKIM1 + zoneDKIM2 + zoneRest
)

// serves has DNS answer for example.test with records, and one of its two servers with
// late ones unless they are empty; "SERVFAIL" has it fail.
func (d *testOperator) serves(t *testing.T, records, late string) {
	t.Helper()
	does := dnstest.Answers
	if late == "SERVFAIL" {
		does, late = dnstest.Fails, ""
	}
	key := ` TXT "v=DKIM1; k=rsa; p=MIIB"`
	d.world = dnstest.New(t,
		dnstest.Zone{Name: "outlook.com", Records: `spf.protection TXT "v=spf1 ip4:40.92.0.0/15 -all"`},
		dnstest.Zone{Name: "azurecomm.net", Records: selector1 + key + "\n" + selector2 + key},
		dnstest.Zone{Name: "others.test", Records: `_spf TXT "v=spf1 ip4:203.0.113.0/24 -all"`},
		dnstest.Zone{Name: "example.test", Records: records, Servers: []dnstest.Server{
			{Name: "ns1.example.test", Address: "198.18.9.1"}, {Name: "ns2.example.test", Address: "198.18.9.2", Records: late, Does: does},
		}})
}

// has puts a domain into the Email Service, whose verifications have a status.
func (d *testOperator) has(id, status string, others ...string) {
	records := map[string]azure.Record{
		"Domain": {Type: "TXT", Name: "example.test", Value: "ms-domain-verification=11111111-2222-3333-4444-555555555555", TTL: 3600},
		"SPF":    {Type: "TXT", Name: "example.test", Value: "v=spf1 include:spf.protection.outlook.com -all", TTL: 3600},
		"DKIM":   {Type: "CNAME", Name: selector1, Value: selector1 + ".azurecomm.net", TTL: 3600},
		"DKIM2":  {Type: "CNAME", Name: selector2, Value: selector2 + ".azurecomm.net", TTL: 3600},
	}
	states := azuretest.Object{"DMARC": azuretest.Object{"status": "NotStarted"}}
	for _, kind := range azure.Verifications() {
		states[kind] = azuretest.Object{"status": status}
	}
	for i := 0; i < len(others); i += 3 { // kind, status, error code
		states[others[i]] = azuretest.Object{"status": others[i+1], "errorCode": others[i+2]}
	}
	d.Put(id, azuretest.Object{"properties": azuretest.Object{
		"domainManagement": "CustomerManaged", "fromSenderDomain": azure.ID(id).Name(), "userEngagementTracking": "Disabled",
		"verificationRecords": records, "verificationStates": states,
	}})
}

// links has a list of linked domains.
func (d *testOperator) links(ids ...string) {
	o := d.Resource(testService)
	properties := o["properties"].(azuretest.Object)
	properties["linkedDomains"] = ids
	d.Put(testService, o)
}

func (d *testOperator) linked(t *testing.T) []string {
	t.Helper()
	var ids []string
	text, _ := json.Marshal(d.Resource(testService)["properties"].(azuretest.Object)["linkedDomains"])
	if err := json.Unmarshal(text, &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

// remembered is what the file of the connection says of a setting.
func (d *testOperator) remembered(t *testing.T, setting string) string {
	t.Helper()
	var at connection
	text, err := os.ReadFile(strings.TrimPrefix(d.environ[0], "POSTHORN_CONNECTION="))
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.Service != testService || at.Settings["POSTHORN_ACS_ENDPOINT"] == "" {
		t.Fatalf("the connection is %+v, %v", at, err)
	}
	return at.Settings[setting]
}

// begun are the kinds that ACS was asked to verify.
func (d *testOperator) begun() (kinds []string) {
	for _, r := range d.Requests() {
		if strings.HasSuffix(r.Path, "/initiateVerification") {
			kinds = append(kinds, fmt.Sprint(r.Body["verificationType"]))
		}
	}
	return kinds
}

// untouched holds that the service was changed by its list of domains alone.
func (d *testOperator) untouched(t *testing.T) {
	t.Helper()
	for _, r := range d.Requests() {
		if !strings.EqualFold(r.Path, testService) || r.Method == http.MethodGet {
			continue
		}
		properties, _ := r.Body["properties"].(azuretest.Object)
		if r.Method != http.MethodPatch || len(r.Body) != 1 || len(properties) != 1 || properties["linkedDomains"] == nil || r.IfMatch == "" {
			t.Errorf("the service was changed by %+v", r)
		}
	}
	o := d.Resource(testService)
	if fmt.Sprint(o["tags"]) != "map[costCentre:4711]" || o["properties"].(azuretest.Object)["disableLocalAuth"] != true {
		t.Errorf("the service is %v", o)
	}
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// The whole way of a domain, each command twice: the second run changes nothing.
func TestADomainFromItsNameToItsMail(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.serves(t, zoneGood, "")
	for _, step := range []struct {
		words  string
		says   []string
		again  []string
		linked []string
		quota  string
	}{
		{"domain add example.test", []string{"Added the domain example.test.", "domain records example.test"}, []string{"exists already"}, []string{testManaged}, "managed-domain"},
		{"domain verify example.test", []string{"Domain: verified after 1m0s.", "DKIM2: verified after 1m0s.", "may end in ~all again", "domain link example.test"}, []string{"SPF: verified.", "is verified"}, []string{testManaged}, "managed-domain"},
		{"domain link example.test", []string{"The linked domains are: AzureManagedDomain, example.test.", "from managed-domain to custom-domain", "restarts"}, []string{"is linked already"}, []string{testManaged, testDomain}, "custom-domain"},
		{"domain status example.test", []string{"verified and linked"}, nil, []string{testManaged, testDomain}, "custom-domain"},
		{"domain list", []string{"POSTHORN_QUOTA is custom-domain."}, nil, []string{testManaged, testDomain}, "custom-domain"},
		{"domain check example.test", nil, nil, []string{testManaged, testDomain}, "custom-domain"},
		{"domain records example.test", nil, nil, []string{testManaged, testDomain}, "custom-domain"},
		{"domain unlink example.test", []string{"Unlinked example.test: ACS refuses mail from it now. The linked domains are: AzureManagedDomain.", "from custom-domain to managed-domain"}, []string{"is not linked."}, []string{testManaged}, "managed-domain"},
	} {
		for i, says := range [][]string{step.says, step.again} {
			out, said, code := d.run(t, strings.Fields(step.words)...)
			if code != 0 {
				t.Fatalf("%s: exit code %d\n%s%s", step.words, code, out, said)
			}
			contains(t, step.words, said, says...)
			if got := d.linked(t); !slices.Equal(got, step.linked) || d.Settings(testSite)["POSTHORN_QUOTA"] != step.quota {
				t.Errorf("after run %d of %s: %v linked, settings %v", i+1, step.words, got, d.Settings(testSite))
			}
		}
	}
	if kinds := d.begun(); !slices.Equal(kinds, azure.Verifications()) {
		t.Errorf("ACS was asked to verify %v", kinds)
	}
	for _, again := range [][2]string{{"unlink", "managed-domain"}, {"link", "custom-domain"}} {
		d.run(t, "domain", again[0], "example.test")
		if got := d.remembered(t, "POSTHORN_QUOTA"); got != again[1] {
			t.Errorf("after %s the connection remembers %q", again[0], got)
		}
	}
	if s := d.Settings(testSite); s["POSTHORN_ACS_ENDPOINT"] == nil {
		t.Errorf("settings are lost: %v", s)
	}
	d.untouched(t)
}

func TestNamesThatCanBeNoDomain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, word, says string }{
		{"an address", "ann@example.com", "give the domain alone"},
		{"a URL", "https://example.com", "give the domain alone"},
		{"a wildcard", "*.example.com", "wildcard"},
		{"umlauts", "bücher.example", "write xn--bcher-kva.example"},
		{"too long", strings.Repeat("a.", 105) + "example", "213"},
		{"a long label", strings.Repeat("a", 64) + ".example", "is no domain"},
		{"one label", "localhost", "is no domain"},
		{"a blank", "exam ple.com", "is no domain"},
		{"empty", "", "is no domain"},
		{"Microsoft's", "x.azurecomm.net", "belongs to Microsoft"},
		{"a public suffix", "co.uk", "public suffix"},
		{"a managed domain", "AzureManagedDomain", "domain add needs a name"},
		{"an id", testDomain, "domain add needs a name"},
		{"an id of something else", testService, "is no domain of an Email Service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, said := typed(t, "domain", "add", c.word)
			if code != exitUsage || out != "" || !strings.Contains(said, c.says) || strings.Count(said, "\n") != 2 {
				t.Errorf("exit code %d, %s%s", code, out, said)
			}
		})
	}
	for _, word := range []string{"example.com.", "EXAMPLE.com", "mail.example.co.uk", "xn--bcher-kva.example", "a.github.io"} {
		if code, _, said := typed(t, "domain", "add", word, "--dry-run"); code == exitUsage && !strings.Contains(said, "connect") {
			t.Errorf("%s: %s", word, said)
		}
	}
}

func TestADomainThatIsThereIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, state string
		puts, code  int
		says        string
	}{
		{"made", "Succeeded", 0, 0, "exists already"},
		{"being made", "Creating", 0, exitFailed, "has not created the records"},
		{"failed", "Failed", 1, exitFailed, "could not add the domain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.has(testDomain, azure.StatusVerified)
			o := d.Resource(testDomain)
			o["properties"].(azuretest.Object)["provisioningState"] = c.state
			d.Put(testDomain, o)
			_, said, code := d.run(t, "domain", "add", "example.test")
			puts := 0
			for _, r := range d.Requests() {
				if r.Method == http.MethodPut {
					puts++
				}
			}
			if code != c.code || puts != c.puts || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, %d PUTs: %s", code, puts, said)
			}
		})
	}
}

func TestNamesThatAzureRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, code, message string
		status, exit        int
		says                string
	}{
		{"taken", "Conflict", "The domain is used by another Email Service.", 409, exitFailed, "could not create the domain example.test: The domain is used by another Email Service (Conflict)"},
		{"not allowed", "DomainNotAllowed", "The domain is not allowed.", 400, exitFailed, "The domain is not allowed (DomainNotAllowed)"},
		{"no Email Service", "ParentResourceNotFound", "The parent was not found.", 404, exitNotFound, "posthorn connect"},
		{"busy", "TooManyRequests", "Wait.", 429, exitAway, "Run the command again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.Fail("PUT", "/domains/example.test", -1, c.status, c.code, c.message)
			_, said, code := d.run(t, "domain", "add", "example.test")
			if code != c.exit || !strings.Contains(said, c.says) || d.Resource(testDomain) != nil {
				t.Errorf("exit code %d: %s", code, said)
			}
		})
	}
}

// Wherever a command is stopped, a second run ends as one run would, and what was linked
// stays linked all the time.
func TestACommandThatIsStoppedAnywhereIsRunAgain(t *testing.T) {
	t.Parallel()
	done := func(d *testOperator) string {
		o := child(d.Resource(testDomain), "properties")
		return fmt.Sprint(o["verificationStates"], child(d.Resource(testService), "properties")["linkedDomains"], d.Settings(testSite))
	}
	for _, verb := range []string{"add", "verify", "link", "unlink"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			stopped := func(n int) (d *testOperator, requests int) {
				d = newTestOperator(t)
				d.serves(t, zoneGood, "")
				if verb != "add" {
					d.has(testDomain, map[bool]string{true: azure.StatusNotStarted, false: azure.StatusVerified}[verb == "verify"])
				}
				if verb == "unlink" {
					d.links(testManaged, testDomain)
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				d.Before("", "", func() {
					if requests++; requests == n {
						stop()
					}
					if list := d.linked(t); len(list) == 0 || list[0] != testManaged {
						t.Errorf("before request %d %v are linked", requests, list)
					}
				})
				run(ctx, []string{"domain", verb, "example.test"}, d.console(t))
				return d, requests
			}
			whole, requests := stopped(0)
			for n := 1; n <= requests; n++ {
				d, _ := stopped(n)
				if _, said, code := d.run(t, "domain", verb, "example.test"); code != 0 || done(d) != done(whole) {
					t.Errorf("stopped at request %d of %d: exit code %d, %s\ngot  %s\nwant %s", n, requests, code, said, done(d), done(whole))
				}
				d.untouched(t)
			}
		})
	}
}

func child(o azuretest.Object, name string) azuretest.Object {
	c, _ := o[name].(azuretest.Object)
	return c
}

func TestDryRunsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ words, out, said string }{
		{"domain add new.test --dry-run", "", "Would add the domain new.test"},
		{"domain verify example.test --dry-run", "", "SPF: ACS would be asked"},
		{"domain link other.test --dry-run", "linked then  AzureManagedDomain, other.test", "would change from managed-domain to custom-domain"},
		{"domain unlink AzureManagedDomain --dry-run", "linked then  none", ""},
	} {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.serves(t, zoneGood, "")
			d.has(testDomain, azure.StatusNotStarted)
			d.has(testEmails+"/domains/other.test", azure.StatusVerified)
			out, said, code := d.run(t, strings.Fields(c.words)...)
			if code != 0 || !strings.Contains(out, c.out) || !strings.Contains(said, c.said) {
				t.Errorf("exit code %d\n%s%s", code, out, said)
			}
			for _, r := range d.Requests() {
				if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/config/appsettings/list") {
					t.Errorf("%s %s", r.Method, r.Path)
				}
			}
			if d.remembered(t, "POSTHORN_QUOTA") != "" {
				t.Error("the connection was changed")
			}
		})
	}
}

func TestRecordsAreReadyToPaste(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.has(testDomain, azure.StatusNotStarted)
	old := "\n@ TXT \"v=spf1 include:_spf.others.test ip4:203.0.113.7 ~all\"\n@ TXT \"google-site-verification=1\""
	d.serves(t, old, "")
	merged := "v=spf1 include:_spf.others.test ip4:203.0.113.7 include:spf.protection.outlook.com -all"
	for format, has := range map[string][]string{
		"plain":      {"TXT    @", merged, "example.test.example.test"},
		"zone":       {"example.test. 3600 IN TXT \"" + merged + "\""},
		"az":         {"az network dns record-set txt add-record", "az network dns record-set cname set-record -g GROUP -z 'example.test' -n '" + selector1 + "' -c"},
		"cloudflare": {merged, "IN CNAME " + selector2 + ".azurecomm.net."},
		"route53":    {`"UPSERT"`, "google-site-verification=1", merged},
	} {
		out, said, code := d.run(t, "domain", "records", "example.test", "--format", format)
		if code != 0 || strings.Contains(out, "~all") {
			t.Errorf("%s: exit code %d\n%s", format, code, out)
		}
		contains(t, format, out, has...)
		contains(t, format, said, "1. Current record: v=spf1 include:_spf.others.test ip4:203.0.113.7 ~all", "   "+merged,
			"allows Microsoft and: include:_spf.others.test ip4:203.0.113.7.", "the record may end in ~all again")
	}
	_, said, _ := d.run(t, "domain", "records", "example.test", "--format", "az")
	contains(t, "az", said, "GROUP is the resource group", "remove-record -g GROUP -z example.test -n '@' -v 'v=spf1 include:_spf.others.test ip4:203.0.113.7 ~all'")
	d.serves(t, "\n@ TXT \"v=spf1 include:a';id;'.test ~all\"", zoneRest)
	_, said, _ = d.run(t, "domain", "records", "example.test", "--format", "az")
	contains(t, "az of a hostile zone", said, "-v ITS-VALUE", "The name servers disagree.")
	out, said, code := d.run(t, "domain", "records", "example.test", "--zone", "elsewhere.test")
	if code != exitUsage || out != "" || !strings.Contains(said, "--zone") {
		t.Errorf("a zone that does not hold it: exit code %d, %s%s", code, out, said)
	}
}

// The zone that holds a subdomain is the one that DNS knows.
func TestRecordsOfASubdomain(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.has(testEmails+"/domains/mail.example.test", azure.StatusNotStarted)
	d.serves(t, "\n@ TXT \"v=spf1 ip4:203.0.113.7 -all\"", "")
	out, said, code := d.run(t, "domain", "records", "mail.example.test")
	if code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
	contains(t, "records", out, "TXT    mail  ", "CNAME  "+selector1+".mail  ", "v=spf1 include:spf.protection.outlook.com -all")
	contains(t, "records", said, "Current record: none at mail.example.test")
}

func TestStatusAndList(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.has(testDomain, azure.StatusVerified, "SPF", "VerificationFailed", "SpfNotFound")
	d.has(foreign, azure.StatusVerified)
	d.Put(testDomain+"/senderUsernames/donotreply", azuretest.Object{"properties": azuretest.Object{"username": "donotreply"}})
	d.links(testManaged, foreign, otherGroup+"/providers/Microsoft.Communication/emailServices/gone/domains/gone.test")
	out, said, code := d.run(t, "domain", "status", "example.test")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	contains(t, "status", out, "verified             no", "linked               no", "SPF           VerificationFailed  SpfNotFound", "1: donotreply", "engagement tracking  Disabled")
	contains(t, "status", said, "domain verify example.test")
	out, _, _ = d.run(t, "domain", "status", "example.test", "--json")
	var s domainStatus
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Verifications) != 4 || s.Verifications[1].ErrorCode != "SpfNotFound" || s.Verifications[2].Value != selector1+".azurecomm.net" || s.Made != nil {
		t.Errorf("%+v, %v", s, err)
	}
	out, said, code = d.run(t, "domain", "list", "--json")
	var rows []domainRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, said)
	}
	got := map[string][]bool{}
	for _, r := range rows {
		got[r.Domain] = []bool{r.Verified, r.Linked, r.Trouble == "", r.Quota == "managed-domain"}
	}
	want := map[string][]bool{
		"AzureManagedDomain": {true, true, true, true}, "example.test": {false, false, true, true}, foreign: {true, true, true, true},
		otherGroup + "/providers/Microsoft.Communication/emailServices/gone/domains/gone.test": {false, true, false, true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	contains(t, "list", said, "The linked domains need custom-domain")
}

// What is wrong outside of the domain is told by every command, with what to do.
func TestFaultsOfADomainCommand(t *testing.T) {
	t.Parallel()
	denied := "The client 'ann' with object id '1' does not have authorization to perform action 'Microsoft.Communication/emailServices/domains/read' over scope '" + testDomain + "' or the scope is invalid."
	for _, c := range []struct {
		name string
		do   func(*testOperator)
		says string
		code int
	}{
		{"no login", func(d *testOperator) { d.login.Err = &azure.Error{What: "find a login of Azure", Kind: azure.Login} }, "az login", exitAway},
		{"no right", func(d *testOperator) { d.Fail("GET", "/domains/example.test", -1, 403, "AuthorizationFailed", denied) }, `az role assignment create --role "Communication and Email Service Owner" --assignee YOUR-ACCOUNT --scope ` + testDomain, exitAway},
		{"not connected", func(d *testOperator) { d.environ = []string{"POSTHORN_CONNECTION=/nowhere/connection.json"} }, "posthorn connect", exitUsage},
		{"half a deployment", func(d *testOperator) { d.halve() }, "Finish the deployment", exitFailed},
		{"Azure away", func(d *testOperator) { d.Fail("GET", "", -1, 503, "ServerBusy", "Later.") }, "Run the command again", exitAway},
	} {
		for _, words := range []string{"add example.test", "records example.test", "check example.test", "verify example.test", "link example.test", "unlink example.test", "status example.test", "list"} {
			if words == "list" && c.name == "no right" {
				continue // it reads them all at once
			}
			t.Run(c.name+" "+words, func(t *testing.T) {
				t.Parallel()
				d := newTestOperator(t)
				d.has(testDomain, azure.StatusVerified)
				d.links(testManaged)
				c.do(d)
				out, said, code := d.run(t, strings.Fields("domain "+words)...)
				if code != c.code || out != "" || !strings.Contains(said, c.says) {
					t.Errorf("exit code %d\n%s%s", code, out, said)
				}
				if !slices.Equal(d.linked(t), []string{testManaged}) {
					t.Errorf("%v are linked", d.linked(t))
				}
			})
		}
	}
	for _, verb := range []string{"records", "check", "verify", "link", "unlink", "status"} {
		d := newTestOperator(t)
		_, said, code := d.run(t, "domain", verb, "nowhere.test")
		if code != exitNotFound || !strings.Contains(said, "could not read the domain nowhere.test: the Email Service post has no such domain. \"posthorn domain add nowhere.test\" adds it") {
			t.Errorf("%s: exit code %d, %s", verb, code, said)
		}
	}
}

// halve leaves a connection to a deployment that stopped before its Email Service.
func (d *testOperator) halve() {
	name := strings.TrimPrefix(d.environ[0], "POSTHORN_CONNECTION=")
	if err := os.WriteFile(name, []byte(`{"site":"`+testSite+`"}`), 0o600); err != nil {
		panic(err)
	}
}
