package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a caller sees of each fault, and what is left behind.
func TestFaultByAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		recipient string
		status    int    // 0: no answer
		state     string // of the operation; empty: there is none
		code      string
		mails     int
	}{
		{"400@example.com", 400, "", "BadRequest", 0},
		{"401@example.com", 401, "", "Denied", 0},
		{"clock@example.com", 401, "", "Denied", 0},
		{"429@example.com", 429, "", "TooManyRequests", 0},
		{"500@example.com", 500, "", "InternalServerError", 0},
		{"503@example.com", 503, "", "ServiceUnavailable", 0},
		{"500+tag@example.org", 500, "", "InternalServerError", 0},
		{"timeout@example.com", 0, "Succeeded", "", 1},
		{"lost@example.com", 0, "Succeeded", "", 1},
		{"Slow@example.com", 202, "Succeeded", "", 1},
		{"malformed@example.com", 202, "Succeeded", "", 1},
		{"stuck@example.com", 202, "Running", "", 1},
		{"failed@example.com", 202, "Failed", "EmailDropped", 0},
		{"suppressed@example.com", 202, "Failed", "EmailDroppedAllRecipientsSuppressed", 0},
		{"bounce@example.com", 202, "Succeeded", "", 1},
		{"quarantined@example.com", 202, "Succeeded", "", 1},
		{"filteredspam@example.com", 202, "Succeeded", "", 1},
		{"expanded@example.com", 202, "Succeeded", "", 1},
		{"fivehundred@example.com", 202, "Succeeded", "", 1},
	}
	named := map[string]bool{}
	for _, test := range tests {
		local, _, _ := strings.Cut(test.recipient, "@")
		named[strings.ToLower(local)] = true
		t.Run(test.recipient, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, out := newTest(t, Config{Now: time.Now})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				w := callOrAbort(e, newCall("POST", sendPath, messageTo(test.recipient), "Operation-Id", someID).WithContext(ctx))
				if (w == nil) != (test.status == 0) || w != nil && w.Code != test.status {
					t.Fatalf("got %v, want %d", w, test.status)
				}
				if test.status >= 400 {
					wantRefusal(t, w, test.status, test.code, "")
					wantRefusal(t, status(e), 404, "NotFound", "")
				} else {
					time.Sleep(DefaultDelay)
					wantState(t, status(e), test.state, test.code)
				}
				if out.count() != test.mails {
					t.Errorf("%d mails, want %d", out.count(), test.mails)
				}
				wantArrival(t, e, test.status, test.status < 400)
			})
		})
	}
	for _, f := range faults {
		if !named[f.name] {
			t.Errorf("no case for %s@", f.name)
		}
	}
}

// callOrAbort returns nil for a connection that was cut.
func callOrAbort(e *Emulator, r *http.Request) (w *httptest.ResponseRecorder) {
	defer func() {
		if r := recover(); r != nil {
			if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(r)
			}
			w = nil
		}
	}()
	return call(e, r)
}

func wantState(t *testing.T, w *httptest.ResponseRecorder, state, code string) {
	t.Helper()
	var got struct {
		ID, Status string
		Error      *struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("status answered %d %s", w.Code, w.Body)
	}
	if got.ID != someID || got.Status != state || (got.Error != nil) != (code != "") || got.Error != nil && got.Error.Code != code {
		t.Errorf("got %s, want %s %s", w.Body, state, code)
	}
	if running := w.Header().Get("Retry-After") != ""; running != (state == "Running") {
		t.Errorf("Retry-After present: %v, in state %s", running, state)
	}
}

func wantArrival(t *testing.T, e *Emulator, status int, accepted bool) {
	t.Helper()
	var got struct{ Arrivals []arrival }
	if err := json.Unmarshal(call(e, newCall("GET", "/api/arrivals", "")).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Arrivals) != 1 || got.Arrivals[0].Status != status || got.Arrivals[0].Accepted != accepted {
		t.Errorf("arrivals %+v, want one with status %d, accepted %v", got.Arrivals, status, accepted)
	}
}

func TestTimeoutIsOverAtTheSecondTry(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	first := newCall("POST", sendPath, messageTo("timeout@example.com"), "Operation-Id", someID)
	if w := callOrAbort(e, first.WithContext(gone)); w != nil {
		t.Fatalf("the first call was answered %d", w.Code)
	}
	if w := sendTo(e, "timeout@example.com"); w.Code != 202 || out.count() != 1 {
		t.Errorf("got %d, %d mails; want 202 and one", w.Code, out.count())
	}
}

// Over a real connection a caller must see no answer at all.
func TestLostAnswerOnTheWire(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	server := httptest.NewServer(e)
	defer server.Close()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+sendPath, strings.NewReader(messageTo("lost@example.com")))
	r.Header = newCall("POST", sendPath, "").Header
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("got %d, want a cut connection", resp.StatusCode)
	}
	if out.count() != 1 {
		t.Errorf("%d mails, want one", out.count())
	}
}

func TestCloseLetsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, _ := newTest(t, Config{})
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- callOrAbort(e, newCall("POST", sendPath, messageTo("timeout@example.com"))) }()
		synctest.Wait()
		e.Close()
		if w := <-done; w != nil {
			t.Errorf("answered %d after Close", w.Code)
		}
	})
}

func TestOperationOverTime(t *testing.T) {
	t.Parallel()
	now := noon
	e, _ := newTest(t, Config{Delay: 4 * time.Second, VisibleAfter: time.Second, Now: func() time.Time { return now }})
	sendTo(e, "ann@example.com")
	wantRefusal(t, status(e), 404, "NotFound", "Requested message could not be located. Couldn't find a record with the messageID: "+someID)
	for _, after := range []time.Duration{time.Second, 3900 * time.Millisecond} { // ACS says 3 to the end
		now = noon.Add(after)
		w := status(e)
		wantState(t, w, "Running", "")
		if got := w.Header().Get("Retry-After"); got != "3" {
			t.Errorf("Retry-After %s after %s, want 3", got, after)
		}
	}
	now = noon.Add(4 * time.Second)
	wantState(t, status(e), "Succeeded", "")
}

func TestStatusRefusals(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{})
	wantRefusal(t, call(e, newCall("GET", statusPath, "", "Authorization", "")), 401, "Denied", "")
	wantRefusal(t, call(e, newCall("GET", "/emails/operations/"+someID+"?api-version=1", "")), 400, "UnsupportedApiVersion", "")
	wantRefusal(t, call(e, newCall("GET", "/emails/operations/x?api-version=2025-09-01", "")), 404, "NotFound", "")
}

func inject(t *testing.T, e *Emulator, body string, want int) {
	t.Helper()
	if w := call(e, newCall("POST", "/api/faults", body)); w.Code != want {
		t.Fatalf("POST /api/faults %s: %d %s, want %d", body, w.Code, w.Body, want)
	}
}

func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	inject(t, e, `{"kind":"500","count":2}`, 200)
	inject(t, e, `{"kind":"429","count":1,"retryAfterSeconds":7}`, 200)
	inject(t, e, `{"kind":"503","on":"status","count":1,"retryAfterSeconds":3}`, 200)
	for _, want := range []int{500, 500, 429, 202} {
		w := sendTo(e, "ann@example.com")
		if w.Code != want {
			t.Errorf("got %d, want %d", w.Code, want)
		}
		if want == 429 {
			wantRefusal(t, w, 429, "TooManyRequests", "PerSubscriptionPerMinuteLimitExceeded - Please try again after 7 seconds.")
		}
	}
	w := status(e)
	wantRefusal(t, w, 503, "ServiceUnavailable", "")
	if got := w.Header().Get("Retry-After"); got != "3" {
		t.Errorf("Retry-After %q, want 3", got)
	}
	wantState(t, status(e), "Running", "")
	if out.count() != 1 {
		t.Errorf("%d mails, want one", out.count())
	}
}

func TestInjectedFaultWithProbability(t *testing.T) {
	t.Parallel()
	numbers := []float64{0.4, 0.2, 0.9, 0.1}
	e, _ := newTest(t, Config{Chance: func() float64 { n := numbers[0]; numbers = numbers[1:]; return n }})
	inject(t, e, `{"kind":"500","probability":0.3}`, 200)
	for _, want := range []int{202, 500, 202, 500} {
		if w := call(e, newCall("POST", sendPath, messageTo("ann@example.com"))); w.Code != want {
			t.Errorf("got %d, want %d", w.Code, want)
		}
	}
}

func TestInjectedStuckAndMalformed(t *testing.T) {
	t.Parallel()
	now := noon
	e, _ := newTest(t, Config{Now: func() time.Time { return now }})
	inject(t, e, `{"kind":"stuck","count":1}`, 200)
	sendTo(e, "ann@example.com")
	now = noon.Add(time.Hour)
	wantState(t, status(e), "Running", "")
	inject(t, e, `{"kind":"malformed","on":"status","count":1}`, 200)
	if w := status(e); w.Code != 200 || json.Valid(w.Body.Bytes()) {
		t.Errorf("got %d %s, want 200 and no JSON", w.Code, w.Body)
	}
}

func TestFaultsThatCannotBeInjected(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{})
	for _, body := range []string{`{}`, `[]`, `{"kind":"bounce"}`, `{"kind":"stuck","on":"status"}`, `{"kind":"500","on":"lunch"}`,
		`{"kind":"500","probability":2}`, `{"kind":"500","probability":0}`, `{"kind":"500","count":-1}`, `{"kind":"500","cuont":1}`} {
		inject(t, e, body, 400)
	}
	if w := sendTo(e, "ann@example.com"); w.Code != 202 {
		t.Errorf("got %d, want no fault", w.Code)
	}
}

func TestFaultsAndArrivalsCanBeForgotten(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{Limits: Limits{Send: Limit{PerMinute: 1}}})
	inject(t, e, `{"kind":"500"}`, 200)
	sendTo(e, "ann@example.com")
	for _, path := range []string{"/api/faults", "/api/arrivals"} {
		if w := call(e, newCall("DELETE", path, "")); w.Code != 204 {
			t.Errorf("DELETE %s: %d", path, w.Code)
		}
	}
	if w := sendTo(e, "ann@example.com"); w.Code != 202 {
		t.Errorf("got %d, want neither fault nor limit", w.Code)
	}
	wantArrival(t, e, 202, true)
}

func TestAdminRefusesOtherOrigins(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{})
	w := call(e, newCall("POST", "/api/faults", `{"kind":"500"}`, "Sec-Fetch-Site", "cross-site"))
	if w.Code != 403 {
		t.Errorf("got %d, want 403", w.Code)
	}
}

// listener is a webhook: it keeps what it is told.
type listener struct {
	answers []int // status of the next calls; then 200
	code    string
	events  []map[string]any
	kinds   []string
}

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	var batch []map[string]any
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		return nil, err
	}
	status := 200
	if len(l.answers) > 0 {
		status, l.answers = l.answers[0], l.answers[1:]
	}
	kind := r.Header.Get("aeg-event-type")
	l.kinds = append(l.kinds, kind)
	body := ""
	if data := batch[0]["data"].(map[string]any); kind == "SubscriptionValidation" {
		body = `{"validationResponse":"` + data["validationCode"].(string) + l.code + `"}`
	} else if status == 200 {
		l.events = append(l.events, batch[0])
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestDeliveryEvents(t *testing.T) {
	t.Parallel()
	everyone := `{"to":[{"address":"ann@example.com"},{"address":"bounce@example.com"}],"cc":[{"address":"suppressed@example.com"}],"bcc":[{"address":"filteredspam@example.com"}]}`
	tests := []struct {
		name       string
		recipients string
		hook       listener
		statuses   []string
		calls      string
	}{
		{name: "one event a recipient", recipients: everyone, statuses: []string{"Delivered", "Bounced", "Suppressed", "FilteredSpam"},
			calls: "SubscriptionValidation Notification Notification Notification Notification"},
		{name: "a failed operation", recipients: `{"to":[{"address":"failed@example.com"}]}`, statuses: []string{"Failed"}, calls: "SubscriptionValidation Notification"},
		{name: "a stuck operation", recipients: `{"to":[{"address":"stuck@example.com"}]}`},
		{name: "a webhook that fails at first", recipients: `{"to":[{"address":"ann@example.com"}]}`, hook: listener{answers: []int{500, 200, 503}},
			statuses: []string{"Delivered"}, calls: "SubscriptionValidation SubscriptionValidation Notification Notification"},
		{name: "a validation answered 202", recipients: `{"to":[{"address":"ann@example.com"}]}`, hook: listener{answers: []int{202, 200}},
			statuses: []string{"Delivered"}, calls: "SubscriptionValidation SubscriptionValidation Notification"},
		{name: "a webhook that never agrees", recipients: `{"to":[{"address":"ann@example.com"}]}`, hook: listener{code: "x"},
			calls: strings.TrimSpace(strings.Repeat("SubscriptionValidation ", hookTries))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, _ := newTest(t, Config{WebhookURL: "http://hook.example/events", Now: time.Now})
				e.hook.client.Transport = &test.hook
				began := time.Now()
				call(e, newCall("POST", sendPath, members(map[string]string{"recipients": test.recipients}), "Operation-Id", someID))
				e.work.Wait()
				var statuses []string
				if len(test.hook.events) > 0 && time.Since(began) < DefaultDelay+DefaultReportAfter {
					t.Error("the events came too soon")
				}
				for _, ev := range test.hook.events {
					data := ev["data"].(map[string]any)
					statuses = append(statuses, data["status"].(string))
					if data["messageId"] != someID || ev["subject"] != "sender/donotreply@example.com/message/"+someID || ev["eventType"] != "Microsoft.Communication.EmailDeliveryReportReceived" {
						t.Errorf("event %v", ev)
					}
				}
				if got, want := strings.Join(statuses, " "), strings.Join(test.statuses, " "); got != want {
					t.Errorf("events %q, want %q", got, want)
				}
				if got := strings.Join(test.hook.kinds, " "); got != test.calls {
					t.Errorf("calls %q, want %q", got, test.calls)
				}
			})
		})
	}
}

// Events have the form of those that came from Azure, member by member.
func TestTheFormOfDeliveryEvents(t *testing.T) {
	t.Parallel()
	const own = "<order-1@example.com>"
	made := "<" + someID + "@emulator.invalid>"
	for _, test := range []struct {
		name, recipient, headers string
		data                     string
	}{
		{"delivered", "ann@example.com", `{}`,
			`"internetMessageId":"` + made + `","messageId":"` + someID + `","status":"Delivered","deliveryStatusDetails":{"statusMessage":"","recipientMailServerHostName":"mx.emulator.invalid"}`},
		{"delivered, with a Message-ID of its own", "ann@example.com", `{"message-id":"` + own + `"}`,
			`"internetMessageId":"` + own + `","messageId":"` + someID + `","status":"Delivered","deliveryStatusDetails":{"statusMessage":"","recipientMailServerHostName":"mx.emulator.invalid"}`},
		{"bounced", "bounce@example.com", `{}`,
			`"internetMessageId":"` + made + `","messageId":"` + someID + `","status":"Bounced","deliveryStatusDetails":{"statusMessage":"550 5.1.1 There is no such mailbox.","recipientMailServerHostName":"mx.emulator.invalid"}`},
		{"suppressed", "suppressed@example.com", `{"message-id":"` + own + `"}`,
			`"messageId":"` + someID + `","status":"Suppressed","deliveryStatusDetails":{"statusMessage":""}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hook := &listener{}
				e, _ := newTest(t, Config{WebhookURL: "http://hook.example/events", Now: func() time.Time { return time.Now().Add(123_456_789) }})
				e.hook.client.Transport = hook
				call(e, newCall("POST", sendPath, members(map[string]string{
					"recipients": `{"to":[{"address":"` + test.recipient + `"}]}`, "headers": test.headers,
				}), "Operation-Id", someID))
				e.work.Wait()
				attempt := time.Now().UTC().Add(-DefaultReportAfter)
				want := `{"sender":"donotreply@example.com","recipient":"` + test.recipient + `",` + test.data +
					`,"deliveryAttemptTimestamp":"` + attempt.Format("2006-01-02T15:04:05") + `.12+00:00"}`
				if got, _ := json.Marshal(hook.events[0]["data"]); !sameJSON(t, string(got), want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if got, want := hook.events[0]["eventTime"], time.Now().UTC().Format("2006-01-02T15:04:05")+".1234567Z"; got != want {
					t.Errorf("eventTime %s, want %s", got, want)
				}
			})
		})
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var one, other any
	if err := errors.Join(json.Unmarshal([]byte(a), &one), json.Unmarshal([]byte(b), &other)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(one, other)
}

// The README's table is FaultTable's; POSTHORN_UPDATE_DOCS=1 writes it.
func TestReadmeListsFaults(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := bytes.Cut(readme, []byte("<!-- faults -->\n"))
	_, after, ok := bytes.Cut(rest, []byte("<!-- end of faults -->\n"))
	if !ok {
		t.Fatal("the README has lost the marks around its table of faults")
	}
	want := string(before) + "<!-- faults -->\n" + FaultTable() + "<!-- end of faults -->\n" + string(after)
	if want == string(readme) {
		return
	}
	if os.Getenv("POSTHORN_UPDATE_DOCS") == "1" {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the README's table of faults is out of date; run the test with POSTHORN_UPDATE_DOCS=1")
}
