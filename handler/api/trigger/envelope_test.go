package trigger

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 500_000_000, time.UTC)

func TestEveryFormOfAnEnvelopeIsRead(t *testing.T) {
	t.Parallel()
	const queue = `"DequeueCount":"1","Id":"\"9f2a\"","PopReceipt":"\"AgAA+/=\"","InsertionTime":"\"2026-11-23T12:00:00.5+00:00\"",` +
		`"ExpirationTime":"\"2026-11-23T13:00:00.5+01:00\"","NextVisibleTime":"\"2026-11-23T12:00:00.5Z\"",` +
		`"sys":{"MethodName":"f","UtcNow":"2026-11-23T12:00:00Z","RandGuid":"0f0f"}`
	whole := &Queue{ID: "9f2a", Inserted: noon}
	for _, c := range []struct {
		name, body, trigger string
		queue               *Queue
	}{
		{"queue text serialised twice", `{"Data":{"msg":"\"hello\""},"Metadata":{` + queue + `}}`, `"hello"`, whole},
		{"queue text serialised once", `{"Data":{"msg":"hello"},"Metadata":{` + queue + `}}`, `"hello"`, whole},
		{"queue text that looks like a number", `{"Data":{"msg":"\"7\""},"Metadata":{` + queue + `}}`, `"7"`, whole},
		{"queue text that is empty", `{"Data":{"msg":"\"\""},"Metadata":{` + queue + `}}`, `""`, whole},
		{"queue object", `{"Data":{"msg":{"v":1}},"Metadata":{"v":"1",` + queue + `}}`, `{"v":1}`, whole},
		{"queue object serialised once", `{"Data":{"msg":"{\"v\":1}"},"Metadata":{` + queue + `}}`, `{"v":1}`, whole},
		{"queue object serialised twice", `{"Data":{"msg":"\"{\\\"v\\\":1}\""},"Metadata":{` + queue + `}}`, `{"v":1}`, whole},
		{"members of the message that took the host's places", `{"Data":{"msg":"\"{\\\"id\\\":7}\""},"Metadata":{"DequeueCount":"\"many\"","Id":"7","PopReceipt":{},"InsertionTime":"null"}}`, `{"id":7}`, &Queue{ID: "7"}},
		{"count null", `{"Data":{"msg":"m"},"Metadata":{"DequeueCount":null}}`, `"m"`, &Queue{}},
		{"count below zero", `{"Data":{"msg":"m"},"Metadata":{"DequeueCount":"-1"}}`, `"m"`, &Queue{}},
		{"count as a number", `{"Data":{"msg":"m"},"Metadata":{"DequeueCount":5}}`, `"m"`, &Queue{}},
		{"count serialised twice", `{"Data":{"msg":"m"},"Metadata":{"DequeueCount":"\"5\""}}`, `"m"`, &Queue{}},
		{"plain metadata", `{"Data":{"msg":"m"},"Metadata":{"DequeueCount":"2","Id":"9f2a","InsertionTime":"2026-11-23T12:00:00.5"}}`, `"m"`, &Queue{ID: "9f2a", Inserted: noon}},
		{"first run of a timer", `{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{}}`,
			`{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}`, nil},
		{"later run of a timer", `{"Data":{"timer":{"ScheduleStatus":{"Last":"2026-11-23T12:00:00.5+00:00","Next":"2026-11-23T12:00:00.5Z","LastUpdated":"0001-01-01T00:00:00"},"IsPastDue":true}}}`,
			`{"ScheduleStatus":{"Last":"2026-11-23T12:00:00.5+00:00","Next":"2026-11-23T12:00:00.5Z","LastUpdated":"0001-01-01T00:00:00"},"IsPastDue":true}`, nil},
		{"timer serialised once", `{"Data":{"timer":"{\"IsPastDue\":\"True\"}"},"Metadata":{}}`, `{"IsPastDue":"True"}`, nil},
		{"Event Grid event", `{"Data":{"event":{"id":"1","eventType":"t","data":{"a":[1]}}},"Metadata":{"data":{"a":[1]}}}`, `{"id":"1","eventType":"t","data":{"a":[1]}}`, nil},
		{"Event Grid array", `{"Data":{"event":[{"id":"1"},{"id":"2"}]},"Metadata":{}}`, `[{"id":"1"},{"id":"2"}]`, nil},
		{"no Metadata at all", `{"Data":{"event":{"id":"1"}}}`, `{"id":"1"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			want := Invocation{Trigger: json.RawMessage(c.trigger), Queue: c.queue}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v %s\nwant %+v %s", got.Queue, got.Trigger, want.Queue, want.Trigger)
			}
		})
	}
}

func TestAnUnreadableEnvelopeIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                  ``,
		"cut off":                `{"Data":{"msg":"m"`,
		"null":                   `null`,
		"array":                  `[]`,
		"no Data":                `{"Metadata":{}}`,
		"Data without binding":   `{"Data":{},"Metadata":{}}`,
		"Data with two bindings": `{"Data":{"a":"1","b":"2"},"Metadata":{}}`,
		"Data a text":            `{"Data":"m","Metadata":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if in, err := parse([]byte(body)); err == nil {
				t.Errorf("read as %+v", in)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"Data":{"msg":"\"hello\""},"Metadata":{"DequeueCount":"1"}}`)
	f.Add(`{"Data":{"t":{"IsPastDue":true,"ScheduleStatus":{"Last":"2026-11-23T12:00:00Z"}}}}`)
	f.Add(`{"Data":{"e":"\"[{\\\"a\\\":1}]\""}}`)
	f.Fuzz(func(t *testing.T, body string) {
		in, err := parse([]byte(body))
		if err != nil {
			return
		}
		if !json.Valid(in.Trigger) {
			t.Errorf("trigger is not JSON: %q", in.Trigger)
		}
	})
}

func FuzzATextSurvivesBothWrappings(f *testing.F) {
	f.Add("hello")
	f.Add("7")
	f.Add(" {not json")
	f.Fuzz(func(t *testing.T, s string) {
		once, _ := json.Marshal(s)
		twice, _ := json.Marshal(string(once))
		if isWrapped(s) {
			t.Skip("JSON of its own")
		}
		for _, wrapped := range [][]byte{once, twice} {
			var got string
			if err := json.Unmarshal(unwrap(wrapped), &got); err != nil {
				t.Fatal(err)
			}
			if want := mustText(t, once); got != want {
				t.Errorf("%q became %q", want, got)
			}
		}
	})
}

func mustText(t *testing.T, raw []byte) (s string) {
	t.Helper()
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}
