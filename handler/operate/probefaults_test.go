package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

// What keeps an answer from being had is told with an exit code, and what was seen stays.
func TestProbesMeetRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, probe, post, get string
		says                   string
		code, evidence         int
	}{
		{"no role", "P3", "401 Denied", "200 Running", `The role "Communication and Email Service Owner" has it`, exitAway, 1},
		{"forbidden", "P11", "403 Forbidden", "200 Running", "ACS refuses this login", exitAway, 1},
		{"no role, twice at once", "P2", "401 Denied", "200 Running", "ACS refuses this login", exitAway, 2},
		{"no answer", "P11", "0", "200 Running", "the connection failed before there was an answer", exitAway, 1},
		{"no second answer", "P3", "202 Running,0", "200 Running", "Run this again", exitAway, 2},
		{"the quota of the hour", "P15", "429 Hour 1200", "200 Running", "used up until 2026-11-29 09:20 UTC", exitFailed, 1},
		{"the quota of the minute", "P15", "429 Minute 20,429 Minute 5,429 Minute 5,429 Minute 5", "200 Running", "stays used up", exitFailed, 3},
		{"a fault of ACS", "P15", "503 ServiceUnavailable", "200 Running", "ACS failed with 503", exitFailed, 2},
		{"a first call that is refused", "P3", "400 BadRequest", "200 Running", "ACS refused the first body with 400 BadRequest", exitFailed, 2},
		{"an operation that does not end", "P4", "202 Running", "200 Running", "had not ended", exitFailed, 3},
		{"an operation that ACS does not know", "P12", "202 Running", "404 NotFound", "did not know the operation", exitFailed, 14},
		{"the role is there", "P9", "400 BadRequest", "200 Running", "this login has the role", exitFailed, 2},
		{"the hour comes first", "P7", "429 Hour 1200", "200 Running", "the limit of the hour came first", exitFailed, 1},
		{"more quota than is set", "P7", "202 Running", "200 Running", "15 calls passed: the quota is larger", exitFailed, 1},
		{"a little more quota than is set", "P7", strings.Repeat("202 Running,", 8) + "429 Minute 4", "200 Running", "fits neither cost", exitFailed, 2},
		{"a call that is refused", "P7", "400 BadRequest", "200 Running", "ACS refused a call with 400 BadRequest", exitFailed, 1},
		{"no queue is known", "P14", "202 Running", "200 Running", "no POSTHORN_QUEUE_ENDPOINT", exitFailed, 1},
		{"no such domain", "P17", "202 Running", "200 Running", "does not belong to the connected Email Service", exitFailed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scriptedACS{post: strings.Split(c.post, ","), get: strings.Split(c.get, ",")}
			d := newProbeOperator(t, s.serve(t))
			_, said, code := d.run(t, "--only "+c.probe+toAnn+" --to ben@example.org --to cat@example.org")
			k := d.findings(t)[c.probe]
			if code != c.code || !strings.Contains(said, c.says) || k == nil || k.Answer != "" || len(k.Evidence) != c.evidence {
				t.Errorf("exit code %d, %+v\n%s", code, k, said)
			}
		})
	}
}

// Of a sentence of ACS only what it speaks of is kept.
func TestRefusalsAreEvidence(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"The Message-ID <1@example.com> is a duplicate of ann@example.org's.": "400 BadRequest, it speaks of Message-ID and duplicate, Retry-After 3",
		"Request body validation error. See property 'recipients.to[0]'":      "400 BadRequest, it speaks of property 'recipients.to[0]', Retry-After 3",
		"ann@example.org is not known":                                        "400 BadRequest, Retry-After 3",
		"See property 'ann@example.org'":                                      "400 BadRequest, Retry-After 3",
	} {
		text, _ := json.Marshal(map[string]any{"error": map[string]string{"code": "BadRequest", "message": said}})
		header := http.Header{"Retry-After": {"3"}, "Set-Cookie": {"a"}, "X-Ms-Who": {"ann@example.org"}}
		if got := readReply(&http.Response{StatusCode: http.StatusBadRequest, Header: header}, text).String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A quota that is used up, or Ctrl-C, keeps the answers so far; the same words go on.
func TestProbesGoOn(t *testing.T) {
	t.Parallel()
	d, mails := withACS(t, nil, emulator.Config{Limits: emulator.ManagedDomain})
	words := "--only P2,P3,P4,P6,P11,P15" + toAnn
	var said string
	code, runs := exitFailed, 0
	for ; code != 0 && runs < 4; runs++ {
		_, said, code = d.run(t, words)
		d.pass(30 * time.Minute)
	}
	if code != 0 || runs < 2 {
		t.Fatalf("after %d runs: %d\n%s", runs, code, said)
	}
	for id, answer := range map[string]string{"P2": "accepted", "P2.1m": "accepted", "P3": "conflict", "P4": "refused", "P6": "accepted", "P6.case": "accepted", "P11": "accepted", "P15": "accepted"} {
		if k := d.findings(t)[id]; k == nil || k.Answer != answer {
			t.Errorf("%s is %+v", id, k)
		}
	}
	before := len(*mails)
	if _, said, code = d.run(t, words); code != 0 || len(*mails) != before {
		t.Errorf("once more: %d, %d mails\n%s", code, len(*mails)-before, said)
	}
}

func TestProbesAreStopped(t *testing.T) {
	t.Parallel()
	d, mails := withACS(t, nil, emulator.Config{})
	ctx, stop := context.WithCancel(t.Context())
	d.asleep = func(time.Duration) { stop() }
	_, said, code := d.runUntil(ctx, t, "--only P2"+toAnn)
	if code != exitFailed || !strings.Contains(said, "interrupted") || d.findings(t)["P2"].Answer != "accepted" || d.findings(t)["P2.1m"] != nil {
		t.Fatalf("exit code %d, %v\n%s", code, d.findings(t), said)
	}
	if _, said, code = d.run(t, "--only P2"+toAnn); code != 0 || d.findings(t)["P2.1m"].Answer != "accepted" || len(*mails) != 1 {
		t.Errorf("exit code %d, %d mails\n%s", code, len(*mails), said)
	}
}

// Parts of P2, P4 and P12 are asked when they are due, with the message of the first call.
func TestProbesAreAskedLater(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, post, get, then string // what is answered later
		want                  map[string]string
	}{
		{"as at once", "202 Running", "200 Succeeded", "202 Running", map[string]string{"P2.1h": "accepted", "P2.25h": "accepted", "P4.1h": "accepted", "P4.24h": "accepted", "P12.1h": "known", "P12.24h": "known", "P12.7d": "known", "P12.30d": "known"}},
		{"refused", "202 Running", "404 NotFound", "400 BadRequest", map[string]string{"P2.1h": "refused", "P2.25h": "refused", "P4.1h": "refused", "P4.24h": "refused", "P12.1h": "forgotten", "P12.24h": "forgotten", "P12.7d": "forgotten", "P12.30d": "forgotten"}},
		{"in conflict", "202 Running", "200 Succeeded", "409 Conflict", map[string]string{"P2.1h": "conflict", "P2.25h": "conflict", "P4.1h": "conflict", "P4.24h": "conflict"}},
		{"taken and failed", "202 Running", "200 Failed EmailDropped", "202 Running", map[string]string{"P4.1h": "failed", "P4.24h": "failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scriptedACS{post: []string{c.post}, get: []string{"200 Succeeded"}}
			d := newProbeOperator(t, s.serve(t))
			out, said, code := d.run(t, "--only P2,P4,P12"+toAnn)
			if code != 0 || !strings.Contains(said, "Due later: P2.1h at 2026-11-29 10:0") || strings.Contains(out, "P2.1h") {
				t.Fatalf("exit code %d\n%s%s", code, out, said)
			}
			if _, said, _ := d.run(t, "--only P2.1h"+toAnn); !strings.Contains(said, "P2.1h at 2026-11-29 10:0") || !strings.Contains(said, "Nothing is asked now") {
				t.Errorf("too early: %s", said)
			}
			first := len(s.bodies)
			s.post, s.get = []string{c.then}, []string{c.get}
			for _, wait := range []time.Duration{time.Hour, 24 * time.Hour, 6 * 24 * time.Hour, 24 * 24 * time.Hour} {
				d.pass(wait)
				if _, said, code := d.run(t, "--only P2,P4,P12"+toAnn); code != 0 {
					t.Fatalf("exit code %d\n%s", code, said)
				}
			}
			for id, answer := range c.want {
				if k := d.findings(t)[id]; k == nil || k.Answer != answer {
					t.Errorf("%s is %+v, not %s", id, k, answer)
				}
			}
			if !strings.Contains(string(s.bodies[first]), "Posthorn probe P2") || string(s.bodies[first]) != string(s.bodies[0]) {
				t.Errorf("first %s\nlater %s", s.bodies[0], s.bodies[first])
			}
		})
	}
}

func TestARepeatIsOfTheSameMessage(t *testing.T) {
	t.Parallel()
	d, mails := withACS(t, nil, emulator.Config{})
	d.run(t, "--only P2"+toAnn)
	d.pass(2 * time.Hour)
	_, said, code := d.run(t, "--only P2 --yes --sender donotreply@example.com --to Ann@example.org")
	if code != exitFailed || !strings.Contains(said, "must be the same as in the first call of P2") || len(*mails) != 1 {
		t.Errorf("exit code %d, %d mails\n%s", code, len(*mails), said)
	}
	if _, said, code = d.run(t, "--only P2"+toAnn); code != 0 || d.findings(t)["P2.1h"].Answer != "accepted" {
		t.Errorf("to the first address: %d\n%s", code, said)
	}
	// Anew, what was known of the first message is forgotten.
	if _, said, code = d.run(t, "--only P2 --again --yes --sender donotreply@example.com --to Ann@example.org"); code != 0 || len(*mails) != 2 || d.findings(t)["P2.1h"] != nil {
		t.Errorf("anew: %d, %d mails\n%s", code, len(*mails), said)
	}
}

// What P20 has made goes away however it ends, and what stays is deleted by the next run.
func TestP20LeavesNothing(t *testing.T) {
	t.Parallel()
	left := func(d *probeOperator) (ids []azure.ID) {
		for _, r := range d.Requests() {
			if strings.Contains(r.Path, "/posthorn-probe-") && d.Resource(r.Path) != nil {
				ids = append(ids, azure.ID(r.Path))
			}
		}
		return ids
	}
	for _, c := range []struct {
		name, method, suffix string
		status, code         int
		says                 string
	}{
		{"no right to make it", http.MethodPut, "-tmp", 403, exitAway, "lacks a right"},
		{"no domain", http.MethodPut, "/domains/AzureManagedDomain", 400, exitFailed, "could not put the managed domain"},
		{"no look at it", http.MethodGet, "-tmp", 500, exitAway, "Azure gave no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newProbeOperator(t, map[string]string{"POSTHORN_QUEUE_ENDPOINT": ""})
			d.Fail(c.method, c.suffix, -1, c.status, "Code", "The client may not.")
			_, said, code := d.run(t, "--only P20 --yes")
			k := d.findings(t)["P20"]
			if code != c.code || !strings.Contains(said, c.says) || k.Answer != "" || len(k.Left) != 0 || len(left(d)) != 0 {
				t.Errorf("exit code %d, %+v, left %v\n%s", code, k, left(d), said)
			}
		})
	}
	t.Run("not deleted at first", func(t *testing.T) {
		t.Parallel()
		d := newProbeOperator(t, nil)
		d.Fail(http.MethodDelete, "-tmp", 3, 503, "ServerBusy", "Later.")
		_, said, code := d.run(t, "--only P20 --yes")
		if k := d.findings(t)["P20"]; code != exitAway || len(k.Left) != 3 || len(left(d)) == 0 || !strings.Contains(said, "The next run deletes it") {
			t.Fatalf("exit code %d, %+v\n%s", code, k, said)
		}
		if _, said, code = d.run(t, "--only P20 --yes"); code != 0 || d.findings(t)["P20"].Answer != "empties" || len(left(d)) != 0 {
			t.Errorf("exit code %d, left %v\n%s", code, left(d), said)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		d := newProbeOperator(t, nil)
		ctx, stop := context.WithCancel(t.Context())
		d.Answer(http.MethodPut, "/AzureManagedDomain", 1, func(azuretest.Request) azuretest.Answer {
			stop()
			return azuretest.Answer{Status: http.StatusServiceUnavailable}
		})
		_, said, code := d.runUntil(ctx, t, "--only P20 --yes")
		if code != exitFailed || !strings.Contains(said, "interrupted") || len(left(d)) != 0 || len(d.findings(t)["P20"].Left) != 0 {
			t.Errorf("exit code %d, left %v\n%s", code, left(d), said)
		}
	})
	t.Run("a file that somebody changed", func(t *testing.T) {
		t.Parallel()
		d := newProbeOperator(t, nil)
		f, err := (&console{environ: d.environ}).openFindings(testService)
		f.here["P20"] = &probeFinding{Left: []azure.ID{testService, testEmails}}
		if err == nil {
			err = f.save()
		}
		if err != nil {
			t.Fatal(err)
		}
		d.run(t, "--only P20 --yes")
		if d.Resource(testService) == nil || d.Resource(testEmails) == nil {
			t.Error("what is connected was deleted")
		}
	})
}

func TestAnswersAreTyped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, words, says string
		code              int
	}{
		{"right", "--answer P5=visible", "Noted.", 0},
		{"in capitals", "--answer p5=VISIBLE", "Noted.", 0},
		{"one for Azure", "--answer P7=recipients", "--settings POSTHORN_QUOTA_COST=recipients", 0},
		{"no such probe", "--answer P99=yes", "--answer is ID=WORD", exitUsage},
		{"no such word", "--answer P5=maybe", `"maybe" is no answer of P5: it is one of visible, message-id, hidden`, exitUsage},
		{"no word", "--answer P5", "--answer is ID=WORD", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newProbeOperator(t, nil)
			_, said, code := d.run(t, c.words)
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d: %s", code, said)
			}
			k := d.findings(t)["P5"]
			if c.code == 0 && strings.Contains(strings.ToUpper(c.words), "P5") != (k != nil && k.Answer == "visible" && k.Typed) || c.code != 0 && len(d.findings(t)) != 0 {
				t.Errorf("kept is %+v", d.findings(t))
			}
		})
	}
}

func TestAPersonIsAsked(t *testing.T) {
	t.Parallel()
	d, _ := withACS(t, nil, emulator.Config{})
	d.person, d.typed = true, "maybe\ntwo\nshown\n"
	_, said, code := d.run(t, "--only P15"+toAnn)
	if code != 0 || d.findings(t)["P15.from"].Answer != "shown" || !strings.Contains(said, "shown, not-shown, or Enter for later") || !strings.Contains(said, "POSTHORN_ACS_API_VERSION=2025-01-15-preview") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

func TestTheReportCanBePasted(t *testing.T) {
	t.Parallel()
	d, _ := withACS(t, nil, emulator.Config{})
	d.run(t, "--only P11"+toAnn)
	d.run(t, "--answer P19=502")
	out, _, code := d.run(t, "--report")
	if code != 0 || !strings.HasPrefix(out, "| probe | question | answer | evidence | when | version |\n| --- |") ||
		!strings.Contains(out, "| P11 | Does ACS accept a message with bcc alone and an empty to? | accepted | bcc alone: 202 Running, Mise-Correlation-Id ") ||
		!strings.Contains(out, "| P19 | ") || !strings.Contains(out, "| 502 | seen by a person | 2026-11-29 09:00 UTC |") || !strings.Contains(out, "\nNot asked: P1, P2, ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	out, _, _ = d.run(t, "--report --json")
	var rows []probeRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 2 || rows[0].ID != "P11" || rows[0].Answer != "accepted" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestProbesAreListedWithTheirPrice(t *testing.T) {
	t.Parallel()
	d := newProbeOperator(t, nil)
	out, said, code := d.run(t, "--dry-run")
	if code != 0 || !strings.Contains(said, "P20 makes a Communication Services resource") || len(d.Requests()) != 0 || len(d.findings(t)) != 0 {
		t.Errorf("exit code %d\n%s", code, said)
	}
	for _, p := range probes() {
		if !strings.Contains(out, p.id+" ") {
			t.Errorf("%s is not listed:\n%s", p.id, out)
		}
	}
	for _, c := range []struct{ name, words, says string }{
		{"no yes", "--only P3 --sender donotreply@example.com --to ann@example.org", "This sends up to 2 mails and takes up to 1 minutes"},
		{"no yes, nothing sent", "--only P20", "It makes a Communication Services resource"},
		{"no addresses", "--only P3 --yes", "P3 needs --sender and --to."},
		{"too few addresses", "--only P7" + toAnn, "P7 needs --sender, and --to 3 times."},
		{"the quota of an hour", "--only P8" + toAnn, "add --exhaust"},
		{"no such probe", "--only P99", `there is no probe "P99"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newProbeOperator(t, map[string]string{"POSTHORN_ACS_ENDPOINT": "http://127.0.0.1:1"})
			if _, said, code := d.run(t, c.words); code != exitUsage || !strings.Contains(said, c.says) || len(d.findings(t)) != 0 {
				t.Errorf("exit code %d: %s", code, said)
			}
		})
	}
}

func TestFindingsAreOnesOwn(t *testing.T) {
	t.Parallel()
	d := newProbeOperator(t, nil)
	d.run(t, "--answer P18=wakes")
	name := filepath.Join(filepath.Dir(d.file), "probes.json")
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, code := d.run(t, "--report"); code != exitFailed || !strings.Contains(said, "move the file away") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
