package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

func TestACSIsAskedOnlyForWhatStandsInDNS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, records, late string
		status              string
		others              []string
		flags               string
		begun               []string
		says                []string
		code                int
	}{
		{"nothing stands", "", "", "NotStarted", nil, "", nil, []string{"Domain: ACS is not asked yet.", "example.test TXT ms-domain-verification=", "SPF: the record in DNS is also wrong. There is no SPF record", "DKIM2: the record in DNS is also wrong", "has not verified Domain, SPF, DKIM, DKIM2"}, exitFailed},
		{"one server is late", zoneGood, zoneGood[len(zoneToken):], "NotStarted", nil, "", nil, []string{"Domain: ACS is not asked yet.", "ns2.example.test 198.18.9.2"}, exitFailed},
		{"one server fails", zoneGood, "SERVFAIL", "NotStarted", nil, "", nil, []string{"Domain: ACS is not asked yet.", "ns2.example.test 198.18.9.2: "}, exitFailed},
		{"a selector is missing", zoneToken + zoneSPF + zoneDKIM2 + zoneRest, "", "NotStarted", nil, "", []string{"Domain", "SPF", "DKIM2"}, []string{"DKIM: ACS is not asked yet.", selector1 + ".example.test CNAME ", "has not verified DKIM of"}, exitFailed},
		{"~all", zoneToken + "\n@ TXT \"v=spf1 include:_spf.others.test ~all\"" + zoneDKIM1 + zoneDKIM2 + zoneRest, "", "NotStarted", nil, "", []string{"Domain", "DKIM", "DKIM2"},
			[]string{"1. Current record: v=spf1 include:_spf.others.test ~all\n", "   v=spf1 include:_spf.others.test include:spf.protection.outlook.com -all\n", "Microsoft and: include:_spf.others.test.", "3. After ACS has verified SPF, the record may end in ~all again."}, exitFailed},
		{"two SPF records", zoneGood + "\n@ TXT \"v=spf1 ip4:203.0.113.7 ~all\"", "", "Verified", []string{"SPF", "NotStarted", ""}, "", nil, []string{"1. Current records: 2. Receivers then ignore all of them."}, exitFailed},
		{"no SPF record", zoneToken, "", "Verified", []string{"SPF", "NotStarted", ""}, "", nil, []string{"Current record: none at example.test", "the record may end in ~all"}, exitFailed},
		{"the DNS is not looked at", "", "", "NotStarted", nil, "--skip-dns", azure.Verifications(), []string{"is verified"}, 0},
		{"all is verified", "", "", "Verified", nil, "", nil, []string{"SPF: verified.", "is verified"}, 0},
		{"one is missing", zoneGood, "", "Verified", []string{"DKIM2", "NotStarted", ""}, "", []string{"DKIM2"}, []string{"DKIM: verified.", "DKIM2: verified after 1m0s."}, 0},
		{"one has failed before", zoneGood, "", "Verified", []string{"SPF", "VerificationFailed", "SpfNotFound"}, "", []string{"SPF"}, []string{"the last verification failed (SpfNotFound)", "SPF: verified after"}, 0},
		{"one has an error under another name", zoneGood, "", "Verified", []string{"SPF", "UnableToVerify", "Timeout"}, "", []string{"SPF"}, []string{"failed (Timeout)"}, 0},
		{"one is under way", "", "", "Verified", []string{"DKIM", "VerificationInProgress", ""}, "", nil, []string{"in progress", "DKIM: verified after"}, 0},
		{"one is of a kind that nobody knows", "", "", "Verified", []string{"DKIM", "Pondering", ""}, "--wait 10m", nil, []string{"in progress (Pondering)", "Pondering after 5m0s. Waiting until 12:10 UTC", "Pondering after 10m0s."}, exitFailed},
		{"one was cancelled", "", "", "Verified", []string{"DKIM", "CancellationRequested", ""}, "--wait 2m", nil, []string{"CancellationRequested after 2m0s"}, exitFailed},
		{"no time", zoneGood, "", "Verified", []string{"SPF", "NotStarted", ""}, "--wait 0s", []string{"SPF"}, []string{"asked ACS", "again"}, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.serves(t, c.records, c.late)
			d.has(testDomain, c.status, c.others...)
			out, said, code := d.run(t, append([]string{"domain", "verify", "example.test"}, strings.Fields(c.flags)...)...)
			if code != c.code || out != "" {
				t.Errorf("exit code %d: %s", code, out)
			}
			contains(t, "verify", said, c.says...)
			if got := d.begun(); !slices.Equal(got, c.begun) {
				t.Errorf("ACS was asked to verify %v, want %v", got, c.begun)
			}
			d.untouched(t)
		})
	}
}

// What ACS does not verify is told with its code and with what DNS says.
func TestACSDoesNotVerify(t *testing.T) {
	t.Parallel()
	const never = "/initiateVerification"
	stays := func(d *testOperator) {
		d.Answer("POST", never, -1, func(azuretest.Request) azuretest.Answer { return azuretest.Answer{Status: 202} })
	}
	for _, c := range []struct {
		name string
		do   func(*testOperator)
		made time.Duration // ago
		says []string
		out  []string
		end  time.Duration // what the clock has gone on by
	}{
		{"it fails", func(d *testOperator) { d.DNS(func(_, kind string) bool { return kind != "SPF" }) }, 0,
			[]string{"SPF: ACS could not verify it (RecordNotFound).", "green: SPF lets ACS send", "right at every server"}, nil, 2 * time.Minute},
		{"it fails for days", func(d *testOperator) { d.DNS(func(_, kind string) bool { return kind != "SPF" }) }, 48 * time.Hour,
			[]string{"for more than a day"}, []string{"the verification of SPF does not end", "Resource: " + testDomain, "VerificationFailed (RecordNotFound)", "ns1.example.test 198.18.9.1: ", "ns2.example.test 198.18.9.2: ", "v=spf1 include:spf.protection.outlook.com -all"}, 2 * time.Minute},
		{"it does not end", stays, 0, []string{"SPF: NotStarted after 5m0s", "SPF: NotStarted after 30m0s.", `Run "posthorn domain verify example.test" again`}, nil, 30 * time.Minute},
		{"it has not ended for days", stays, 48 * time.Hour, []string{"for more than a day"}, []string{"State: NotStarted", "Tried since: 2026-11-21"}, 30 * time.Minute},
		{"the log knows since when", func(d *testOperator) { stays(d); d.logs(-26*time.Hour, -time.Hour) }, 0, []string{"for more than a day"}, []string{"Tried since: 2026-11-22T10:00:00Z"}, 30 * time.Minute},
		{"the log knows that it is new", func(d *testOperator) { stays(d); d.logs(-time.Hour) }, 48 * time.Hour, []string{"right at every server"}, nil, 30 * time.Minute},
		{"somebody else is faster", func(d *testOperator) { d.Fail("POST", never, -1, 409, "Conflict", "A verification is in progress.") }, 0, []string{"SPF: asked ACS", "NotStarted after 30m0s."}, nil, 30 * time.Minute},
		{"Azure is away meanwhile", func(d *testOperator) {
			stays(d)
			d.Before("POST", never, func() { d.Fail("GET", "/domains/example.test", -1, 503, "ServerBusy", "Later.") })
		}, 0, []string{"NotStarted after 30m0s."}, nil, 30 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newTestOperator(t)
			d.serves(t, zoneGood, "")
			d.has(testDomain, azure.StatusVerified, "SPF", "NotStarted", "")
			if c.made > 0 {
				o := d.Resource(testDomain)
				o["systemData"] = azuretest.Object{"createdAt": d.clock.Add(-c.made)}
				d.Put(testDomain, o)
			}
			noon := d.clock
			c.do(d)
			out, said, code := d.run(t, "domain", "verify", "example.test")
			if code != exitFailed || (out == "") != (c.out == nil) {
				t.Errorf("exit code %d: %s", code, out)
			}
			contains(t, "verify", said, c.says...)
			contains(t, "the request", out, c.out...)
			if passed := d.clock.Sub(noon); passed > c.end {
				t.Errorf("it waited for %s", passed)
			}
			if strings.Count(said, "\n") > 40 {
				t.Errorf("too much is told:\n%s", said)
			}
		})
	}
}

// A command that was stopped goes on where it was.
func TestAVerificationThatIsStopped(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.serves(t, zoneGood, "")
	d.has(testDomain, azure.StatusNotStarted)
	ctx, stop := context.WithCancel(t.Context())
	d.Answer("POST", "/initiateVerification", 1, func(azuretest.Request) azuretest.Answer {
		stop()
		return azuretest.Answer{Status: 202}
	})
	var said strings.Builder
	c := d.console(t)
	c.said = &said
	if code := run(ctx, []string{"domain", "verify", "example.test"}, c); code != exitFailed || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("stopped: exit code %d, %s", code, said.String())
	}
	if _, said, code := d.run(t, "domain", "verify", "example.test"); code != 0 {
		t.Errorf("run again: exit code %d, %s", code, said)
	}
}

// logs has the activity log tell of verifications that were begun, and of other things.
func (d *testOperator) logs(ago ...time.Duration) {
	events := []any{azuretest.Object{"eventTimestamp": d.clock.Add(-99 * time.Hour), "operationName": azuretest.Object{"value": "Microsoft.Communication/EmailServices/Domains/write"}}}
	for _, a := range ago {
		events = append(events, azuretest.Object{"eventTimestamp": d.clock.Add(a), "operationName": azuretest.Object{"value": "Microsoft.Communication/EmailServices/Domains/initiateVerification/action"}})
	}
	d.Answer("GET", "/eventtypes/management/values", -1, func(r azuretest.Request) azuretest.Answer {
		if r.Query["$filter"] != "eventTimestamp ge '2026-10-24T12:30:00Z' and resourceUri eq '"+testDomain+"'" {
			return azuretest.Answer{Status: 400}
		}
		return azuretest.Answer{Status: 200, Body: azuretest.Object{"value": events}}
	})
}
