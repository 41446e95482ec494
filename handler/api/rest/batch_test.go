package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// subjects are those of what was sent, in their order.
func subjects(d *deployment) []string {
	d.ACS.Lock()
	defer d.ACS.Unlock()
	var all []string
	for _, m := range d.ACS.Sent {
		all = append(all, m.Content.Subject)
	}
	return all
}

// batch is an array of messages with these subjects, in one API's words.
func batch(message string, of ...string) string {
	for i, s := range of {
		of[i] = strings.Replace(fmt.Sprintf(message, ""), `"Hi"`, `"`+s+`"`, 1)
	}
	return "[" + strings.Join(of, ",") + "]"
}

func TestBatchOfResend(t *testing.T) {
	t.Parallel()
	const path = "/emails/batch"
	d := newDeployment(t, plenty)
	attached := strings.Replace(batch(inResend, "1", "2"), `"subject":"2"`, `"subject":"2","attachments":[{"filename":"a","content":"aGk="}]`, 1)
	for _, c := range []struct {
		name, mode, body string
		status           int
		told             string // in the answer
		sent             []string
	}{
		{"all good", "strict", batch(inResend, "1", "2", "3"), 200, `{"data":[{"id":"`, []string{"1", "2", "3"}},
		{"strict by default", "", batch(inResend, "1", ""), 422, "/1/subject: This is required", nil},
		{"strict, another sender", "strict", strings.Replace(batch(inResend, "1", "2"), "<donotreply@example.com>", "<a@example.org>", 1), 403, "/0/from: The rule", nil},
		{"permissive", "permissive", batch(inResend, "1", "", "3"), 200, `"errors":[{"index":1,"message":"/subject: This is required`, []string{"1", "3"}},
		{"permissive, none good", "permissive", batch(inResend, "", ""), 200, `{"data":[],"errors":[{"index":0,`, nil},
		{"files in a strict one", "strict", attached, 422, "/1/attachments/0: Send this message by itself", nil},
		{"files in a permissive one", "permissive", attached, 200, `{"data":[`, []string{"1", "2"}},
		{"another mode", "lax", batch(inResend, "1"), 422, "must be strict or permissive", nil},
		{"no messages", "", "[]", 422, "The batch has no messages.", nil},
		{"no messages, permissive", "permissive", "[]", 422, "The batch has no messages.", nil},
		{"no array", "permissive", "{}", 422, "It must be an array", nil},
		{"something behind it", "strict", batch(inResend, "1") + "x", 400, "There is something after the value.", nil},
		{"something behind it, permissive", "permissive", batch(inResend, "1") + "x", 200, `"}]}`, []string{"1"}},
		{"broken in the middle", "strict", strings.Replace(batch(inResend, "1", "2"), `"2"`, `x`, 1), 400, "Reading the JSON stopped", nil},
		{"broken in the middle, permissive", "permissive", strings.Replace(batch(inResend, "1", "2", "3"), `"2"`, `x`, 1), 200, `"errors":[{"index":1,"message":"Reading the JSON stopped`, []string{"1"}},
		{"broken at once", "permissive", "[{", 400, "The body ended early.", nil},
		{"too many", "strict", "[" + strings.Repeat("{},", 100) + "{}]", 422, "at most 100 messages", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.ACS.Sent = nil
			res := d.do(t, d.request(t, "POST", path, c.body, "X-Batch-Validation", c.mode))
			if res.StatusCode != c.status || !strings.Contains(res.text, c.told) {
				t.Errorf("%d %s", res.StatusCode, res.text)
			}
			if got := slices.Sorted(slices.Values(subjects(d))); !slices.Equal(got, c.sent) {
				t.Errorf("sent %q, want %q", got, c.sent)
			}
		})
	}
}

func TestBatchIsRepeatedAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, message, mode string
		other               int // status for another first message
	}{
		"resend, strict":     {"/emails/batch", inResend, "strict", 409},
		"resend, permissive": {"/emails/batch", inResend, "permissive", 409},
		"postmark":           {"/email/batch", inPostmark, "", 422},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			send := func(body string) answer {
				return d.do(t, d.request(t, "POST", c.path, body, "Idempotency-Key", "k", "X-Batch-Validation", c.mode))
			}
			ids := func(a answer) string { // with the times of Postmark's answers cut out
				return strings.Join(slices.DeleteFunc(strings.FieldsFunc(a.text, func(r rune) bool { return r == '"' || r == ',' }), func(s string) bool { return strings.Contains(s, "T") && strings.HasSuffix(s, "Z") }), " ")
			}
			first, second := send(batch(c.message, "1", "2")), send(batch(c.message, "1", "2"))
			if first.StatusCode != http.StatusOK || ids(second) != ids(first) {
				t.Errorf("first %s\nthen %s", first.text, second.text)
			}
			if res := send(batch(c.message, "other", "2")); res.StatusCode != c.other {
				t.Errorf("another first message: %d %s", res.StatusCode, res.text)
			}
			if res := send(batch(c.message, "1", "other")); res.StatusCode != http.StatusOK || !strings.Contains(res.text, "was used before for a different message") {
				t.Errorf("another second message: %d %s", res.StatusCode, res.text)
			}
			if got := subjects(d); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("sent %q", got)
			}
		})
	}
}

func TestBatchOfPostmark(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	res := d.do(t, d.request(t, "POST", "/email/batch", batch(inPostmark, "1", "", "3")))
	var items []struct {
		ErrorCode          int
		MessageID, Message string
		To                 string
	}
	if err := json.Unmarshal([]byte(res.text), &items); err != nil || res.StatusCode != http.StatusOK || len(items) != 3 {
		t.Fatalf("%d %s, %v", res.StatusCode, res.text, err)
	}
	if items[0].ErrorCode != 0 || items[0].To != "ann@example.com" || items[1].ErrorCode != 300 || !strings.Contains(items[1].Message, "/Subject: ") || items[2].MessageID == "" {
		t.Errorf("the items are %+v", items)
	}
	if got := subjects(d); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("sent %q", got)
	}
	many := d.do(t, d.request(t, "POST", "/email/batch", "["+strings.Repeat("{},", 200)+"{}]"))
	if n := strings.Count(many.text, `"ErrorCode":300`); n != 101 || !strings.Contains(many.text, "at most 100 messages") {
		t.Errorf("of 201 messages %d are answered: %s", n, many.text)
	}
}

func TestPersonalizationsAreSentTogether(t *testing.T) {
	t.Parallel()
	people := func(addresses ...string) string {
		for i, a := range addresses {
			addresses[i] = `{"to":[{"email":"` + a + `"}],"substitutions":{"Hello":"Hello ` + a + `"}}`
		}
		return strings.Join(addresses, ",")
	}
	body := func(people, more string) string {
		return strings.Replace(fmt.Sprintf(inSendGrid, more), `{"to":[{"email":"ann@example.com"}]}`, people, 1)
	}
	t.Run("all go, with the same links", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com", "b@example.com", "c@example.com"), apis["sendgrid"].attachments)))
		ids := strings.Split(res.Header.Get("Posthorn-Message-Ids"), ",")
		if res.StatusCode != http.StatusAccepted || res.text != "" || len(ids) != 3 || ids[0] != res.Header.Get("X-Message-Id") || len(d.ACS.Sent) != 3 {
			t.Fatalf("%d %s, ids %v", res.StatusCode, res.text, ids)
		}
		links := map[string]bool{}
		for i, m := range d.ACS.Sent {
			_, link, _ := strings.Cut(m.Content.PlainText, "/files/")
			links[link] = true
			if want := "Hello " + m.Recipients.To[0].Address; !strings.HasPrefix(m.Content.PlainText, want) || len(m.Attachments) != 0 {
				t.Errorf("message %d is %+v", i, m)
			}
		}
		if len(links) != 1 || d.Visible(t) != 1 {
			t.Errorf("the links are %v, and %d files are there", links, d.Visible(t))
		}
	})
	t.Run("one cancelled leaves the others their links", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		later := fmt.Sprintf(`,"send_at":%d`, time.Now().Add(time.Hour).Unix())
		res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com", "b@example.com"), apis["sendgrid"].attachments+later)))
		ids := strings.Split(res.Header.Get("Posthorn-Message-Ids"), ",")
		if gone := d.do(t, d.request(t, "DELETE", "/emails/operations/"+ids[0], "")); gone.StatusCode != http.StatusOK {
			t.Fatal(gone.text)
		}
		if o := d.do(t, d.request(t, "GET", "/emails/operations/"+ids[1], "")).document(t); o.Delivery.State != "waiting" || len(o.Delivery.Links) != 1 || o.Delivery.Links[0].Revoked {
			t.Errorf("the other is %+v", o)
		}
	})
	t.Run("one that is wrong stops all", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com", "nobody", "b@example.org"), apis["sendgrid"].attachments)))
		if _, text := apis["sendgrid"].told(res); res.StatusCode != http.StatusBadRequest || !strings.Contains(text, "personalizations.1.to.0.email: ") {
			t.Errorf("%d %s", res.StatusCode, res.text)
		}
		if len(d.ACS.Sent) != 0 || d.Visible(t) != 0 {
			t.Error("something came of it")
		}
	})
	t.Run("some that ACS refuses are told", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		d.refuseTo("b@example.com")
		res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com", "b@example.com", "c@example.com"), apis["sendgrid"].attachments)))
		if _, text := apis["sendgrid"].told(res); res.StatusCode != http.StatusBadRequest || !strings.Contains(text, "2 of the 3 messages were taken") || !strings.Contains(text, "personalizations.1: ") {
			t.Errorf("%d %s", res.StatusCode, res.text)
		}
		if len(d.ACS.Sent) != 2 || d.Visible(t) != 1 {
			t.Errorf("%d were sent, %d files are there", len(d.ACS.Sent), d.Visible(t))
		}
	})
	t.Run("none taken leaves nothing", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		d.refuseTo("a@example.com", "b@example.com")
		res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com", "b@example.com"), apis["sendgrid"].attachments)))
		if res.StatusCode != http.StatusBadRequest || d.Visible(t) != 0 {
			t.Errorf("%d %s, and %d files are there", res.StatusCode, res.text, d.Visible(t))
		}
	})
	t.Run("sandbox mode sends nothing", func(t *testing.T) {
		t.Parallel()
		d := newDeployment(t, plenty)
		const sandbox = `,"mail_settings":{"sandbox_mode":{"enable":true}}`
		if res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.com"), sandbox))); res.StatusCode != http.StatusOK || res.text != "" {
			t.Errorf("%d %s", res.StatusCode, res.text)
		}
		if res := d.do(t, d.request(t, "POST", "/v3/mail/send", body(people("a@example.org"), sandbox))); res.StatusCode != http.StatusForbidden {
			t.Errorf("%d %s", res.StatusCode, res.text)
		}
		if len(d.ACS.Sent) != 0 {
			t.Error("something was sent")
		}
	})
}

// refuseTo makes ACS refuse messages to these addresses.
func (d *deployment) refuseTo(addresses ...string) {
	d.ACS.Answer = func(m *mail.Message) (bool, error) {
		if slices.Contains(addresses, m.Recipients.To[0].Address) {
			return false, problem.New(problem.RefusedByACS, "There is no such user.")
		}
		return true, nil
	}
}
