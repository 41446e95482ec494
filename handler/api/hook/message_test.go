package hook

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func jsonDelivery(body string) Delivery {
	return Delivery{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body), At: noon}
}

func TestWhoReceivesIsThePolicysToSay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		fixed      []string
		want       string // "" is a refusal
	}{
		{"one", `{"to":"Ann@team.example"}`, nil, "Ann@team.example"},
		{"several with commas", `{"to":"a@team.example, bob@example.com"}`, nil, "a@team.example bob@example.com"},
		{"a list", `{"to":["a@team.example","b@team.example"]}`, nil, "a@team.example b@team.example"},
		{"one twice", `{"to":["a@team.example","a@team.example"]}`, nil, "a@team.example"},
		{"nobody, with fixed ones", `{"to":""}`, []string{"c@example.com"}, "c@example.com"},
		{"not there, with fixed ones", `{}`, []string{"c@example.com"}, "c@example.com"},
		{"somebody else", `{"to":"a@team.example,eve@evil.example"}`, []string{"c@example.com"}, ""},
		{"somebody of a domain below", `{"to":"a@sub.team.example"}`, nil, ""},
		{"no address", `{"to":"a@team.example\nBcc: eve@evil.example"}`, nil, ""},
		{"nobody at all", `{}`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sample{builtin: "generic"}.hook()
			h.Policy.To, h.Policy.ToFrom, h.Policy.Allow = c.fixed, "/to", []string{"*@team.example", "bob@example.com"}
			all, err := h.Messages(t.Context(), jsonDelivery(c.body))
			if err != nil || len(all) != 1 {
				t.Fatal(len(all), err)
			}
			if c.want == "" {
				if !problem.Is(all[0].Refused, problem.InvalidMessage) {
					t.Errorf("got %+v", all[0])
				}
				return
			}
			if got := strings.Join(texts(all[0].Recipients.All()), " "); got != c.want || all[0].Refused != nil {
				t.Errorf("goes to %s, %v", got, all[0].Refused)
			}
		})
	}
}

func texts(list []mail.Address) []string {
	all := make([]string, len(list))
	for i, a := range list {
		all[i] = a.Address
	}
	return all
}

// The same delivery is the same message, and another is another.
func TestWhatNamesADelivery(t *testing.T) {
	t.Parallel()
	later := func(d Delivery, by time.Duration) Delivery { d.At = d.At.Add(by); return d }
	with := func(d Delivery, name, of string) Delivery {
		d.Header = d.Header.Clone()
		d.Header.Set(name, of)
		return d
	}
	azure := func(condition string) Delivery {
		return jsonDelivery(`{"data":{"essentials":{"alertId":"/a/1","monitorCondition":"` + condition + `"}}}`)
	}
	for _, c := range []struct {
		name, builtin, dedupe string
		a, b                  Delivery
		same                  bool
	}{
		{"Stripe's event, sent later and counted", "stripe", "", jsonDelivery(`{"id":"evt_1","pending_webhooks":1}`), later(jsonDelivery(`{"id":"evt_1","pending_webhooks":2}`), time.Hour), true},
		{"two of Stripe's events", "stripe", "", jsonDelivery(`{"id":"evt_1"}`), jsonDelivery(`{"id":"evt_2"}`), false},
		{"webhook-id", "standard-webhooks", "", with(jsonDelivery(`{"a":1}`), "Webhook-Id", "1"), later(with(jsonDelivery(`{"a":1}`), "Webhook-Id", "1"), time.Hour), true},
		{"two of webhook-id", "standard-webhooks", "", with(jsonDelivery(`{}`), "Webhook-Id", "1"), with(jsonDelivery(`{}`), "Webhook-Id", "2"), false},
		{"an alert of Azure Monitor, repeated", "azure-monitor", "", azure("Fired"), later(azure("Fired"), time.Hour), true},
		{"an alert of Azure Monitor that ends", "azure-monitor", "", azure("Fired"), azure("Resolved"), false},
		{"a test of Azure Monitor with a fixed id, twice in other words", "azure-monitor", "", azure("Fired"), jsonDelivery(`{"data":{"essentials":{"alertId":"/a/1","monitorCondition":"Fired","description":"again"}}}`), false},
		{"one id of Event Grid with other data", "event-grid", "", jsonDelivery(`[{"id":"1","topic":"t","data":{"a":1}}]`), jsonDelivery(`[{"id":"1","topic":"t","data":{"a":2}}]`), false},
		{"one id of a CloudEvent with other data", "cloudevents", "", jsonDelivery(`{"id":"1","source":"s","data":"a"}`), jsonDelivery(`{"id":"1","source":"s","data":"b"}`), false},
		{"an event of GitHub, delivered anew", "github", "", with(jsonDelivery(`{"a":1}`), "X-Github-Delivery", "1"), later(with(jsonDelivery(`{"a":1}`), "X-Github-Delivery", "1"), 20*time.Hour), true},
		{"another event of GitHub", "github", "", jsonDelivery(`{"starred_at":"1"}`), jsonDelivery(`{"starred_at":"2"}`), false},
		{"an event of Event Grid, alone and in a batch", "event-grid", "", jsonDelivery(`[{"id":"1","topic":"t"}]`), later(jsonDelivery(`[{"id":"1","topic":"t"},{"id":"2","topic":"t"}]`), time.Hour), true},
		{"the same id of two topics", "event-grid", "", jsonDelivery(`[{"id":"1","topic":"t"}]`), jsonDelivery(`[{"id":"1","topic":"u"}]`), false},
		{"a CloudEvent", "cloudevents", "", jsonDelivery(`{"id":"1","source":"s","x":1}`), later(jsonDelivery(`{"id":"1","source":"s"}`), time.Hour), true},
		{"a CloudEvent in headers", "cloudevents", "", jsonDelivery(`{"id":"1","source":"s","specversion":"1.0","type":"com.example.made","data":{"some":"data"}}`), binary("1", "s"), true},
		{"an alert, sent again at once", "alertmanager", "", jsonDelivery(`{"a":1}`), later(jsonDelivery(`{"a":1}`), time.Minute), true},
		{"an alert, repeated after hours", "alertmanager", "", jsonDelivery(`{"a":1}`), later(jsonDelivery(`{"a":1}`), 4*time.Hour), false},
		{"another alert", "alertmanager", "", jsonDelivery(`{"a":1}`), jsonDelivery(`{"a":2}`), false},
		{"Idempotency-Key", "generic", "", with(jsonDelivery(`{"a":1}`), "Idempotency-Key", "1"), later(with(jsonDelivery(`{"a":2}`), "Idempotency-Key", "1"), time.Hour), true},
		{"a header that the policy names", "generic", "header:X-Gitlab-Event-UUID", with(jsonDelivery(`{"a":1}`), "X-Gitlab-Event-UUID", "1"), later(with(jsonDelivery(`{"a":2}`), "X-Gitlab-Event-UUID", "1"), time.Hour), true},
		{"a member that the policy names", "generic", "member:/event/id", jsonDelivery(`{"event":{"id":7},"a":1}`), later(jsonDelivery(`{"event":{"id":7},"a":2}`), time.Hour), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sample{builtin: c.builtin}.hook()
			h.Policy.Dedupe = c.dedupe
			a, errA := h.Messages(t.Context(), c.a)
			b, errB := h.Messages(t.Context(), c.b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if (a[0].OperationID == b[0].OperationID) != c.same || a[0].OperationID == "" {
				t.Errorf("the ids are %s and %s", a[0].OperationID, b[0].OperationID)
			}
		})
	}
	h := sample{builtin: "generic"}.hook()
	first, err := h.Messages(t.Context(), jsonDelivery(`{"a":1}`))
	h.Began = 2 // removed, and made anew under its name
	again, againErr := h.Messages(t.Context(), jsonDelivery(`{"a":1}`))
	if err != nil || againErr != nil || first[0].OperationID == again[0].OperationID {
		t.Errorf("a hook made anew takes the deliveries of the one before it: %v, %v", err, againErr)
	}
	h.Policy.Dedupe = "none"
	if all, err := h.Messages(t.Context(), jsonDelivery(`{}`)); err != nil || all[0].OperationID != "" {
		t.Errorf("named %s, %v", all[0].OperationID, err)
	}
}

// binary is a CloudEvent whose attributes are headers.
func binary(id, source string) Delivery {
	d := jsonDelivery(`{"some":"data"}`)
	d.Header.Set("Ce-Specversion", "1.0")
	d.Header.Set("Ce-Id", id)
	d.Header.Set("Ce-Source", source)
	d.Header.Set("Ce-Type", "com.example.made")
	return d
}

func TestTheModesOfCloudEvents(t *testing.T) {
	t.Parallel()
	h := sample{builtin: "cloudevents"}.hook()
	batch := jsonDelivery(`[{"id":"1","source":"s","type":"a"},{"id":"2","source":"s","type":"b"}]`)
	batch.Header.Set("Content-Type", "application/cloudevents-batch+json; charset=utf-8")
	structured := jsonDelivery(`{"id":"1","source":"s","type":"a","data":{"x":"y"}}`)
	structured.Header.Set("Content-Type", "application/cloudevents+json")
	for _, c := range []struct {
		name     string
		d        Delivery
		subjects []string
	}{
		{"structured", structured, []string{"a: s"}},
		{"batch", batch, []string{"a: s", "b: s"}},
		{"binary", binary("1", "s"), []string{"com.example.made: s"}},
	} {
		all, err := h.Messages(t.Context(), c.d)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			got = append(got, m.Content.Subject)
		}
		if !slices.Equal(got, c.subjects) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestPayloadsThatAreRefused(t *testing.T) {
	t.Parallel()
	of := func(contentType, body string) Delivery {
		return Delivery{Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body), At: noon}
	}
	file := "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.exe\"\r\n\r\nMZ\r\n--x--\r\n"
	for _, c := range []struct {
		name, builtin string
		d             Delivery
		kind          problem.Kind
	}{
		{"no JSON", "generic", jsonDelivery(`{"a"`), problem.MalformedJSON},
		{"nothing", "generic", jsonDelivery(``), problem.MalformedJSON},
		{"a member twice", "generic", jsonDelivery(`{"a":1,"a":2}`), problem.InvalidMessage},
		{"a lone surrogate", "generic", jsonDelivery(`{"a":"\ud800"}`), problem.MalformedJSON},
		{"too deep", "generic", jsonDelivery(strings.Repeat("[", 40) + strings.Repeat("]", 40)), problem.MalformedJSON},
		{"too many values", "generic", jsonDelivery("[" + strings.Repeat("1,", maxValues) + "1]"), problem.TooLarge},
		{"too many events", "event-grid", jsonDelivery("[" + strings.Repeat("{},", MaxItems) + "{}]"), problem.TooLarge},
		{"a word where an object belongs", "form", jsonDelivery(`"evt_1"`), problem.InvalidMessage},
		{"a list where an object belongs", "form", jsonDelivery(`[]`), problem.InvalidMessage},
		{"a CloudEvent's header that is no UTF-8", "cloudevents", cloudEvent("text/plain", "x", "Ce-Subject", "%C0%A0"), problem.InvalidRequest},
		{"a CloudEvent whose JSON is none", "cloudevents", cloudEvent("application/json", "{", "Ce-Id", "1"), problem.MalformedJSON},
		{"a CloudEvent in a format that is not read", "cloudevents", of("application/cloudevents+avro", "x"), problem.UnsupportedMediaType},
		{"XML", "generic", of("application/xml", "<a/>"), problem.UnsupportedMediaType},
		{"no type and no JSON", "generic", of("", "a=b"), problem.UnsupportedMediaType},
		{"text", "generic", of("text/plain", "a=b"), problem.UnsupportedMediaType},
		{"cut JSON that is called a form", "generic", of("application/x-www-form-urlencoded", `{"a":`), problem.MalformedJSON},
		{"JSON in another charset that is called a form", "generic", of("application/x-www-form-urlencoded; charset=latin1", "{}"), problem.UnsupportedMediaType},
		{"multipart without a boundary", "generic", of("multipart/form-data", file), problem.InvalidRequest},
		{"a type that is none", "generic", of("application/json; =", "{}"), problem.UnsupportedMediaType},
		{"another charset", "generic", of("application/json; charset=latin1", "{}"), problem.UnsupportedMediaType},
		{"a form with too many fields", "generic", of("application/x-www-form-urlencoded", manyFields()), problem.InvalidRequest},
		{"a field that stands too often", "generic", of("application/x-www-form-urlencoded", strings.Repeat("a=1&", maxFields+2)), problem.InvalidRequest},
		{"a form of empty pairs", "generic", of("application/x-www-form-urlencoded", strings.Repeat("=&", maxPairs+2)), problem.InvalidRequest},
		{"a file", "generic", of("multipart/form-data; boundary=x", file), problem.InvalidRequest},
		{"multipart without an end", "generic", of("multipart/form-data; boundary=x", file[:60]), problem.InvalidRequest},
		{"GitHub's form with no JSON in it", "github", of("application/x-www-form-urlencoded", "payload=x"), problem.MalformedJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			all, err := sample{builtin: c.builtin}.hook().Messages(t.Context(), c.d)
			if !problem.Is(err, c.kind) {
				t.Errorf("%d messages, %v", len(all), err)
			}
		})
	}
}

// cloudEvent is one in binary mode.
func cloudEvent(contentType, body, name, of string) Delivery {
	h := http.Header{"Content-Type": {contentType}, "Ce-Specversion": {"1.0"}, "Ce-Type": {"t"}, "Ce-Source": {"s"}}
	h.Set(name, of)
	return Delivery{Header: h, Body: []byte(body), At: noon}
}

func manyFields() string {
	var b strings.Builder
	for i := range maxFields + 1 {
		b.WriteString("&f" + strings.Repeat("x", i) + "=1")
	}
	return b.String()
}

func TestFormsInEveryEncodingSayTheSame(t *testing.T) {
	t.Parallel()
	h := sample{builtin: "form"}.hook()
	h.Policy.Form = &Form{Origins: []string{"https://www.example.com"}, Honeypot: DefaultHoneypot}
	h.Policy.ReplyToFrom = "/email"
	part := func(name, of string) string {
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + of + "\r\n"
	}
	const want = "name: Ann Grün\nemail: ann@example.com\ntopic: a, b\nmessage: One\nTwo <b>\n"
	for contentType, body := range map[string]string{
		"application/x-www-form-urlencoded": "name=Ann+Gr%C3%BCn&email=ann%40example.com&topic=a&topic=b&_next=x&_gotcha=&message=One%0D%0ATwo+%3Cb%3E",
		"multipart/form-data; boundary=x": part("name", "Ann Grün") + part("email", "ann@example.com") + part("topic", "a") + part("topic", "b") + part("_next", "x") +
			"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n" + part("message", "One\r\nTwo <b>") + "--x--\r\n",
		"application/json": `{"name":"Ann Grün","email":"ann@example.com","topic":["a","b"],"_next":"x","message":"One\nTwo <b>"}`,
	} {
		all, err := h.Messages(t.Context(), Delivery{Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body), At: noon})
		if err != nil || len(all) != 1 {
			t.Fatal(contentType, len(all), err)
		}
		m := all[0]
		if !strings.HasPrefix(m.Content.PlainText, want) || m.Content.Subject != "New message from Ann Grün (mine)" {
			t.Errorf("%s: %q, %s", contentType, m.Content.Subject, m.Content.PlainText)
		}
		if got := texts(m.ReplyTo); !slices.Equal(got, []string{"ann@example.com"}) || m.Headers != nil {
			t.Errorf("%s: answers go to %v, headers %v", contentType, got, m.Headers)
		}
	}
}

// Event Grid has two schemas, and either hook takes both: what names an event is the
// same in each, and two sources may give the same id.
func TestEventsAreNamedBySourceAndIdInEitherSchema(t *testing.T) {
	t.Parallel()
	for _, builtin := range []string{"event-grid", "cloudevents"} {
		names := map[string]bool{}
		for _, event := range []string{
			`{"topic":"a","id":"1","eventType":"t"}`, `{"topic":"b","id":"1","eventType":"t"}`,
			`{"source":"c","id":"1","type":"t","specversion":"1.0"}`, `{"source":"d","id":"1","type":"t","specversion":"1.0"}`,
		} {
			all, err := sample{builtin: builtin}.hook().Messages(t.Context(), jsonDelivery(event))
			if err != nil || len(all) != 1 {
				t.Fatal(len(all), err)
			}
			names[all[0].OperationID] = true
		}
		if len(names) != 4 {
			t.Errorf("%s gives %d names to four events", builtin, len(names))
		}
	}
}
