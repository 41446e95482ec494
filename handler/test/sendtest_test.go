package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// posthorn's own test message goes both ways to its end, and says what keeps it.
func (p *product) testSendTest(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	as := []string{"--caller", w.Caller, "--json"}
	for _, c := range []struct {
		name  string
		env   []string
		words []string
		way   string
	}{
		{"through the gateway", w.Env, as, "gateway"},
		{"straight to ACS", w.Env, append(as, "--direct"), "acs"},
		{"with a key and no other setting", []string{"POSTHORN_PUBLIC_URL=" + w.URL, "POSTHORN_KEY=" + w.Key}, []string{"--json"}, "gateway"},
	} {
		before := len(w.ACS.Messages(t))
		run := world.Run(t, c.env, p.OperateFile, append([]string{"send-test", world.Recipient}, c.words...)...)
		var report struct{ Way, Sender, Status, ID string }
		if err := json.Unmarshal([]byte(run.Stdout.String()), &report); err != nil || run.ExitCode(t) != 0 || report.Way != c.way || report.Sender != world.Sender || report.Status != "Succeeded" {
			t.Errorf("%s: exit code %d, %v, %s%s", c.name, run.ExitCode(t), err, run.Stdout.String(), run.Stderr.String())
			continue
		}
		arrived := w.ACS.Messages(t)
		if len(arrived) != before+1 || !strings.Contains(arrived[0].Text, report.ID) || !strings.Contains(arrived[0].HTML, w.URL) || arrived[0].Recipients.To[0].Address != world.Recipient {
			t.Errorf("%s: %d messages, the newest is %+v", c.name, len(arrived), arrived[0])
		}
	}
	for _, c := range []struct {
		name, to string
		words    []string
		code     int
		says     string
	}{
		{"suppressed, by the gateway", "suppressed@example.net", nil, 1, "EmailDroppedAllRecipientsSuppressed"},
		{"suppressed, by ACS", "suppressed@example.net", []string{"--direct"}, 1, "EmailDroppedAllRecipientsSuppressed"},
		{"a sender that is not the caller's", world.Recipient, []string{"--sender", "other@example.com"}, 1, "403 forbidden"},
		{"no role, by ACS", "401@example.net", []string{"--direct"}, 4, "Communication and Email Service Owner"},
		{"a caller that is none", world.Recipient, []string{"--caller", "nobody"}, 3, `There is no caller "nobody"`},
	} {
		args := append([]string{"send-test", c.to, "--caller", w.Caller}, c.words...)
		run := world.Run(t, w.Env, p.OperateFile, args...)
		if said := run.Stderr.String(); run.ExitCode(t) != c.code || !strings.Contains(said, c.says) || strings.Contains(said, world.MasterKey) {
			t.Errorf("%s: exit code %d, %s", c.name, run.ExitCode(t), said)
		}
	}
}
