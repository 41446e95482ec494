package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestQuotaSettingsAgainstDomains(t *testing.T) {
	t.Parallel()
	custom := func(minute, hour string) map[string]string {
		return map[string]string{"POSTHORN_QUOTA": "custom", "POSTHORN_QUOTA_PER_MINUTE": minute, "POSTHORN_QUOTA_PER_HOUR": hour}
	}
	tier := func(name string) map[string]string { return map[string]string{"POSTHORN_QUOTA": name} }
	const set = "az functionapp config appsettings set --subscription 00000000-0000-0000-0000-000000000001 --resource-group mail --name posthorn --settings "
	for _, c := range []struct {
		name         string
		settings     map[string]string
		linked       []string
		minute, hour int
		wrong, mend  string
	}{
		{"managed", tier("managed-domain"), []string{testManaged}, 5, 10, "", ""},
		{"custom domain", tier("custom-domain"), []string{testDomain}, 30, 100, "", ""},
		{"not said, which is a custom domain", nil, []string{testDomain, testManaged}, 30, 100, "", ""},
		{"not said, and managed", nil, []string{testManaged}, 30, 100, "Only the Azure-managed domain is linked. It may send 5 a minute and 10 an hour. Microsoft does not raise these limits.", set + "POSTHORN_QUOTA=managed-domain"},
		{"managed, and a domain of one's own is linked", tier("managed-domain"), []string{testManaged, testDomain}, 5, 10, "Your own domain is linked. It may send 30 a minute and 100 an hour. The setting allows less.", set + "POSTHORN_QUOTA=custom-domain"},
		{"raised", custom("1000", "20000"), []string{testDomain}, 1000, 20000, "", ""},
		{"raised, and managed", custom("1000", "20000"), []string{testManaged}, 1000, 20000, "Only the Azure-managed domain", set + "POSTHORN_QUOTA=managed-domain"},
		{"lower than Azure's own", custom("2", "5"), []string{testManaged}, 2, 5, "", ""},
		{"custom, without figures", custom("", ""), []string{testDomain}, 0, 0, "The handler does not start", set + "POSTHORN_QUOTA_PER_MINUTE=N POSTHORN_QUOTA_PER_HOUR=N"},
		{"custom, with words", custom("many", "20000"), []string{testDomain}, 0, 0, "The handler does not start", set},
		{"nothing linked", tier("custom-domain"), []string{}, 30, 100, "No domain is linked", "posthorn domain list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newSenders(t)
			d.SetSettings(testSite, c.settings)
			d.links(c.linked...)
			out, said, code := d.run(t, "quota", "show", "--json")
			var q quotaState
			if err := json.Unmarshal([]byte(out), &q); err != nil || code != 0 || q.PerMinute != c.minute || q.PerHour != c.hour ||
				q.Agrees != (c.wrong == "") || !strings.Contains(q.Wrong, c.wrong) || !strings.HasPrefix(q.Mend, c.mend) ||
				q.From != "function app posthorn" || len(q.Domains) != len(c.linked) || q.Usage != nil {
				t.Errorf("exit code %d, %v, %+v", code, err, q)
			}
			if !strings.Contains(said, "The remaining quota is not known: settings: ") || len(d.changes()) > 0 {
				t.Errorf("%q, and changes %q", said, d.changes())
			}
		})
	}
}

func TestQuotaIsShownAsText(t *testing.T) {
	t.Parallel()
	d := newSenders(t)
	d.Fail(http.MethodPost, "/config/appsettings/list", -1, http.StatusForbidden, "AuthorizationFailed", "No.")
	out, said, code := d.run(t, "quota", "show")
	if want := `POSTHORN_QUOTA           custom-domain
settings from            connection
messages a minute        30
messages an hour         100
linked domains           x.azurecomm.net (Azure-managed), other.test
fits the linked domains  yes
`; code != 0 || out != want || !strings.Contains(said, `Posthorn uses the settings that "posthorn connect" read last`) {
		t.Errorf("exit code %d, %q\n%s", code, said, out)
	}
}

// metered is what Azure Monitor has metered at a minute.
type metered struct {
	at time.Time
	of map[string]string
	n  int64
}

// metrics has Azure Monitor answer from what was metered, as it does: sums by grain and
// by the dimensions of the filter, nothing of a day that is over 93 days old.
func (d *testOperator) metrics(requests, deliveries []metered) {
	definition := func(name, shown string) azuretest.Object {
		return azuretest.Object{"name": azuretest.Object{"value": name, "localizedValue": shown}, "primaryAggregationType": "Count"}
	}
	d.Answer(http.MethodGet, "/metricdefinitions", -1, func(azuretest.Request) azuretest.Answer {
		return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{
			definition("APIRequestSMS", "SMS API Requests"), definition("EmailRequests", "Email Service API Requests"), definition("DeliveryStatusUpdate", "E-Mail-Zustellungen"),
		}}}
	})
	d.Answer(http.MethodGet, "/providers/microsoft.insights/metrics", -1, func(r azuretest.Request) azuretest.Answer {
		all := requests
		if r.Query["metricnames"] == "DeliveryStatusUpdate" {
			all = deliveries
		}
		return d.metric(r.Query, all)
	})
}

func (d *testOperator) metric(query map[string]string, all []metered) azuretest.Answer {
	first, last, _ := strings.Cut(query["timespan"], "/")
	from, fromErr := time.Parse(time.RFC3339, first)
	to, toErr := time.Parse(time.RFC3339, last)
	grain := map[string]time.Duration{"PT1M": time.Minute, "PT1H": time.Hour, "P1D": 24 * time.Hour}[query["interval"]]
	if fromErr != nil || toErr != nil || grain == 0 || query["aggregation"] != "Count" || d.clock.Sub(from) > azure.MetricsKept || to.Sub(from) > 30*24*time.Hour || grain == time.Minute && to.Sub(from) > 24*time.Hour {
		return azuretest.Answer{Status: http.StatusBadRequest, Body: azuretest.Object{"code": "BadRequest", "message": "The timespan is not allowed."}}
	}
	type series struct {
		of   []any
		data map[time.Time]int64
	}
	found, order := map[string]*series{}, []string{}
	for _, c := range all {
		if c.at.Before(from) || !c.at.Before(to) || !matches(query["$filter"], c.of) {
			continue
		}
		key := fmt.Sprint(c.of)
		if found[key] == nil {
			s := &series{data: map[time.Time]int64{}}
			for name, value := range c.of {
				s.of = append(s.of, azuretest.Object{"name": azuretest.Object{"value": strings.ToLower(name)}, "value": value})
			}
			found[key], order = s, append(order, key)
		}
		found[key].data[c.at.Truncate(grain)] += c.n
	}
	var all2 []any
	for _, key := range order {
		var data []any
		for at := from; at.Before(to); at = at.Add(grain) {
			data = append(data, azuretest.Object{"timeStamp": at.Format(time.RFC3339), "count": found[key].data[at]})
		}
		all2 = append(all2, azuretest.Object{"metadatavalues": found[key].of, "data": data})
	}
	return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{azuretest.Object{"errorCode": "Success", "timeseries": all2}}}}
}

// matches knows NAME eq 'VALUE' and NAME eq '*', with and between them.
func matches(filter string, of map[string]string) bool {
	for term := range strings.SplitSeq(filter, " and ") {
		name, value, _ := strings.Cut(term, " eq ")
		if value = strings.Trim(value, "'"); value != "*" && of[name] != value {
			return false
		}
	}
	return true
}

func call(at time.Time, operation, status string, n int64) metered {
	return metered{at, map[string]string{"Operation": operation, "StatusCode": status}, n}
}

func end(at time.Time, domain, status, hard string, n int64) metered {
	return metered{at, map[string]string{"SenderDomain": domain, "MessageStatus": status, "IsHardBounce": hard}, n}
}

// busy is an operator whose domain has sent for 20 days, much of it.
func busy(t *testing.T) *testOperator {
	t.Helper()
	d := newTestOperator(t)
	d.clock = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	d.owns(testDomain, d.clock.Add(-40*24*time.Hour))
	d.links(testManaged, testDomain)
	d.serves(t, zoneGood, "")
	midnight := d.clock.Truncate(24 * time.Hour)
	ago := func(days, hour, minute int) time.Time {
		return midnight.AddDate(0, 0, -days).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	}
	d.metrics([]metered{
		call(ago(20, 8, 0), "SendMail", "202", 12), call(ago(20, 8, 1), "GetMessageStatus", "200", 400),
		call(ago(10, 9, 0), "SendMail", "202", 30), call(ago(10, 9, 1), "SendMail", "202", 30), call(ago(10, 9, 2), "SendMail", "202", 30), call(ago(10, 9, 3), "SendMail", "429", 44),
		call(ago(9, 10, 30), "SendMail", "202", 40), // the busiest minute is not of the busiest day
		call(ago(1, 11, 0), "SendMail", "202", 20), call(ago(1, 12, 0), "SendMail", "400", 3),
		call(ago(0, 1, 0), "SendMail", "202", 1000), // today is not over
		call(ago(40, 1, 0), "SendMail", "202", 1000),
	}, []metered{
		end(ago(20, 8, 0), "example.test", "OutForDelivery", "False", 12), end(ago(20, 8, 0), "example.test", "Delivered", "False", 12),
		end(ago(10, 9, 0), "example.test", "Delivered", "False", 1500), end(ago(10, 9, 0), "example.test", "Bounced", "True", 8),
		end(ago(10, 9, 5), "example.test", "Suppressed", "True", 2), end(ago(10, 9, 5), "example.test", "Expanded", "False", 5),
		end(ago(60, 9, 0), "x.azurecomm.net", "Delivered", "False", 10), end(ago(3, 9, 0), "x.azurecomm.net", "Delivered", "False", 20),
	})
	return d
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v: the text is not that of %s, write it with -update:\n%s", err, file, got)
	}
}

var answered = []string{
	"--company", "Example  Ltd", "--site", "https://example.test", "--business", "We sell shoes.", "--kind", "transactional",
	"--per-minute", "300", "--per-hour", "5000", "--per-day", "20000", "--opt-in", "Customers who order.", "--unsubscribe", "The shop takes them off at once.",
}

func TestTheRequestForAHigherLimit(t *testing.T) {
	t.Parallel()
	d := busy(t)
	out, said, code := d.run(t, append([]string{"quota", "report"}, answered...)...)
	if code != 0 || strings.Contains(said, "Missing") || strings.Contains(said, "Conditions") || !strings.Contains(said, "support/create-ticket") {
		t.Errorf("exit code %d, %q", code, said)
	}
	goldenText(t, "quotareport.md", out)
	for _, r := range d.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s changes something", r.Method, r.Path)
		}
	}
}

// Without its figures, its words, its DNS and a domain of one's own it is still a text.
func TestTheRequestThatLacksAll(t *testing.T) {
	t.Parallel()
	d := newTestOperator(t)
	d.Fail(http.MethodGet, "/metricdefinitions", -1, http.StatusForbidden, "AuthorizationFailed",
		"The client 'a' does not have authorization to perform action 'Microsoft.Insights/metricDefinitions/read' over scope '"+testService+"'.")
	out, said, code := d.run(t, "quota", "report")
	for _, want := range []string{"The text has no figures: could not list the metrics of post", `--role "Monitoring Reader"`,
		"Missing answers, shown as […]: --company, --site, --business, --kind, --per-minute, --per-hour, --per-day, --opt-in, --unsubscribe.", "Unmet conditions: 2."} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %q", want, said)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	goldenText(t, "quotareport-bare.md", out)
}

func TestTheRequestForLargerMessages(t *testing.T) {
	t.Parallel()
	out, said, code := busy(t).run(t, "quota", "report", "--message-size", "--company", "Example Ltd")
	if code != 0 || !strings.Contains(said, "Missing answers, shown as […]: --site, --business, --kind, --reason.") || !strings.Contains(said, "--settings POSTHORN_ACS_MAX_REQUEST_BYTES=31457280") {
		t.Errorf("exit code %d, %q", code, said)
	}
	goldenText(t, "quotasize.md", out)
}

func TestWhatIsNotMetStandsFirst(t *testing.T) {
	t.Parallel()
	d := busy(t)
	d.serves(t, "@ TXT \"v=spf1 -all\"", "")
	d.metrics(nil, []metered{
		end(d.clock.AddDate(0, 0, -3), "example.test", "Delivered", "False", 90), end(d.clock.AddDate(0, 0, -3), "example.test", "NewWord", "False", 10),
	})
	out, _, code := d.run(t, "quota", "report", "--json", "--per-day", "200")
	var r quotaReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	var got []string
	for _, c := range r.Conditions {
		got = append(got, c.Met+" "+regexp.MustCompile(` *:? .*DNS.*`).ReplaceAllString(c.What, ""))
	}
	want := []string{
		"no SPF, DKIM, DMARC and MX of example.test are in place", "no example.test has sent little for two to four weeks", "no Less than 1 % of example.test fails", "no All questions are answered",
		"unknown Less than 1 % of x.azurecomm.net fails", "unknown No block list has the domain", "yes A domain of your own is linked",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("conditions are\n%q, want\n%q", got, want)
	}
	own := r.Domains[0]
	if own.Delivery.Failed != 10 || own.Delivery.Recipients != 100 || own.Delivery.Level != "red" || own.Delivery.FirstDay != "2026-11-20" {
		t.Errorf("the delivery is %+v", own.Delivery)
	}
	if r.Traffic.Accepted != 0 || len(r.Traffic.Days) != 30 || r.Traffic.PeakMinute.Accepted != 0 || len(r.Plan) != 2 {
		t.Errorf("traffic %+v, plan %v", r.Traffic, r.Plan)
	}
	for _, s := range own.DNS {
		if s.Level != "red" {
			t.Errorf("%s is %s: %s", s.Kind, s.Level, s.Detail)
		}
	}
}

func TestMetricsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, says string
		prepare    func(d *testOperator)
	}{
		{"none of these", `the resource has no metric "Email Service API Requests"`, func(d *testOperator) {
			d.Answer(http.MethodGet, "/metricdefinitions", -1, func(azuretest.Request) azuretest.Answer {
				return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{}}}
			})
		}},
		{"refused", "could not read the metric", func(d *testOperator) {
			d.Fail(http.MethodGet, "microsoft.insights/metrics", -1, http.StatusBadRequest, "BadRequest", "The timespan is not allowed.")
		}},
		{"half an answer", "InvalidSeriesFilter", func(d *testOperator) {
			d.Answer(http.MethodGet, "microsoft.insights/metrics", -1, func(azuretest.Request) azuretest.Answer {
				return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{azuretest.Object{"errorCode": "InvalidSeriesFilter", "errorMessage": "No."}}}}
			})
		}},
		{"with too many parts", "100 or more combinations", func(d *testOperator) {
			d.Answer(http.MethodGet, "microsoft.insights/metrics", -1, func(azuretest.Request) azuretest.Answer {
				return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"value": []any{azuretest.Object{"timeseries": make([]azuretest.Object, 100)}}}}
			})
		}},
		{"busy", "TooManyRequests", func(d *testOperator) {
			d.Fail(http.MethodGet, "microsoft.insights/metrics", -1, http.StatusTooManyRequests, "TooManyRequests", "Wait.")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := busy(t)
			c.prepare(d)
			out, said, code := d.run(t, "quota", "report")
			if code != 0 || !strings.Contains(said, "The text has no figures: ") || !strings.Contains(said, c.says) || !strings.Contains(out, "[The figures of the last 30 days: Azure Monitor could not be read.]") {
				t.Errorf("exit code %d, %q", code, said)
			}
		})
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		busiest, wanted int64
		want            string
	}{
		{"nothing wanted", 500, 0, "[]"},
		{"less than now", 500, 400, "[{1 400}]"},
		{"from nothing", 0, 350, "[{1 100} {4 200} {7 350}]"},
		{"doubled", 500, 4000, "[{1 500} {4 1000} {7 2000} {10 4000}]"},
		{"to the last", 1, math.MaxInt64, "[{1 100} "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(rampPlan(c.busiest, c.wanted)); !strings.HasPrefix(got, c.want) {
				t.Errorf("the plan is %s, want %s", got, c.want)
			}
		})
	}
}

// What nothing was found of is not in place.
func TestNothingFoundIsNotGood(t *testing.T) {
	t.Parallel()
	if s := stateOf(dns.Report{}, dns.KindSPF); s.Level != "yellow" || s.Word() != "not certain" {
		t.Errorf("the state is %+v", s)
	}
}

func TestWordsOfAReport(t *testing.T) {
	t.Parallel()
	for words, says := range map[string]string{
		"--kind spam": "--kind is transactional, marketing or promotional.", "--per-day=-5": "are above 0.", "--per-day many": "--per-day: expected",
	} {
		code, out, said := typed(t, append([]string{"quota", "report"}, strings.Fields(words)...)...)
		if code != exitUsage || out != "" || !strings.Contains(said, says) {
			t.Errorf("%s: exit code %d, %q, %q", words, code, out, said)
		}
	}
}

// Every command here answers a fault of Azure with a sentence and an exit code.
func TestFaultsOfSenderAndQuotaCommands(t *testing.T) {
	t.Parallel()
	denied := "The client 'a' does not have authorization to perform action 'Microsoft.Communication/communicationServices/read' over scope '" + testService + "'."
	for _, words := range []string{"sender list", "sender add a@example.test", "sender remove a@example.test --yes", "smtp-username list", "quota show", "quota report"} {
		for _, c := range []struct {
			name    string
			prepare func(d *testOperator)
			says    string
			code    int
		}{
			{"no login", func(d *testOperator) { d.login = azuretest.Credential{Err: noLoginError{}} }, `Run "az login"`, exitAway},
			{"no right", func(d *testOperator) {
				d.Fail("", testService, -1, http.StatusForbidden, "AuthorizationFailed", denied)
				d.Fail("", "/smtpUsernames", -1, http.StatusForbidden, "AuthorizationFailed", denied)
			}, "az role assignment create", exitAway},
			{"throttled", func(d *testOperator) { d.Fail("", "", -1, http.StatusTooManyRequests, "TooManyRequests", "Wait.") }, "Run the command again", exitAway},
			{"throttled once", func(d *testOperator) { d.Fail("", "", 1, http.StatusTooManyRequests, "TooManyRequests", "Wait.") }, "", -1},
			{"gone", func(d *testOperator) {
				d.Fail("", "", -1, http.StatusNotFound, "ResourceGroupNotFound", "No such group.")
			}, `run "posthorn connect" again`, exitNotFound},
			{"nobody connected", func(d *testOperator) { d.environ = []string{"POSTHORN_CONNECTION=" + t.TempDir() + "/none"} }, `Run "posthorn connect" first`, exitUsage},
		} {
			t.Run(words+", "+c.name, func(t *testing.T) {
				t.Parallel()
				d := newSenders(t)
				c.prepare(d)
				d.links(testManaged)
				_, said, code := d.run(t, strings.Fields(words)...)
				if c.code >= 0 && code != c.code || !strings.Contains(said, c.says) || strings.Contains(said, "RESPONSE") {
					t.Errorf("exit code %d, %q", code, said)
				}
				if c.code < 0 && strings.Contains(said, "TooManyRequests") {
					t.Errorf("one throttled request ends it: %q", said)
				}
			})
		}
	}
}

// noLoginError is what azidentity answers without a login.
type noLoginError struct{}

func (noLoginError) Error() string { return "AzureCLICredential: ERROR: Please run 'az login'" }
func (noLoginError) NonRetriable() {}

// Wherever a command is stopped, it says so, prints nothing half, and can be run again.
func TestSenderAndQuotaCommandsCanBeStopped(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"sender list", "sender add news@example.test --name News", "sender remove shop@example.test --yes", "smtp-username list", "quota show", "quota report"} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				d := busy(t)
				d.links(testManaged) // a domain of one's own would be looked for in the DNS
				d.printsBySMTP()
				d.graph(http.StatusOK, azuretest.Object{"displayName": "Printers"})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				seen := 0
				d.Before("", "", func() {
					if seen++; seen == n {
						stop()
					}
				})
				var out, said bytes.Buffer
				c := d.console(t)
				c.out, c.said = &out, &said
				code := run(ctx, strings.Fields(words), c)
				if seen < n {
					return // it was over
				}
				if code != exitFailed || out.Len() > 0 || !strings.Contains(said.String(), "posthorn: interrupted") {
					t.Errorf("stopped at request %d: exit code %d, %q, %q", n, code, out.String(), said.String())
				}
				again, said2, code := d.run(t, strings.Fields(words)...)
				gone := strings.HasPrefix(words, "sender remove") && code == exitNotFound // the first run has removed it
				if code != 0 && !gone {
					t.Errorf("run again after request %d: exit code %d, %q, %q", n, code, again, said2)
				}
			}
		})
	}
}
