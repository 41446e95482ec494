package gateway_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func urgent(subject string) string {
	body := gatewaytest.Small(subject)
	return body[:len(body)-1] + `,"delivery":{"priority":"high"}}`
}

// Of a caller, and of each of its forms, as many messages wait as may. More are refused
// before anything is written; what need not wait, goes; a repeat hears of what it repeats;
// and who has a place keeps it.
func TestNoMoreWaitThanMay(t *testing.T) {
	t.Parallel()
	form := &gateway.Form{MaxWaiting: 3, Cap: 50}
	for _, c := range []struct {
		name string
		edit func(*gateway.Request)
		body func(string) string
	}{
		{"of a caller", func(*gateway.Request) {}, gatewaytest.Small},
		{"of a caller, for later", func(*gateway.Request) {}, func(s string) string { return afterAnHour(gatewaytest.Small(s)) }},
		{"of a form", func(r *gateway.Request) { r.Hook, r.Form = "contact", form }, gatewaytest.Small},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 2, PerHour: 20})
				send := func(body, id string) (gateway.Answer, error) {
					r := request(body)
					r.Caller.Policy.MaxWaiting = 3
					r.OperationID = id
					c.edit(&r)
					return h.Send(t.Context(), r)
				}
				id := func(i int) string { return fmt.Sprintf("11111111-1111-4111-8111-%012d", i) }
				first := -1 // that waits
				for i := range 9 {
					answer, err := send(c.body(strconv.Itoa(i)), id(i))
					if err != nil {
						t.Fatal(i, err)
					}
					if answer.Record.State == record.Waiting && first < 0 {
						first = i
					}
					if first >= 0 && i == first+2 {
						break
					}
				}
				writes := 0
				h.See(func(op mem.Op, key string) {
					if op != mem.Get && op != mem.List && op != mem.Read {
						writes++
					}
				})
				for i := 100; i < 110; i++ {
					_, err := send(c.body(strconv.Itoa(i)), id(i))
					if p := problem.Of(err); p.Kind != problem.TooManyQueued || p.RetryAfter < time.Minute || p.RetryAfter > time.Hour {
						t.Errorf("the next: %v, again in %v", err, p.RetryAfter)
					}
				}
				if writes != 0 {
					t.Errorf("%d writes were made of what was refused", writes)
				}
				pretended := request(c.body("pretended"))
				pretended.Caller.Policy.MaxWaiting, pretended.Caller.Policy.Sandbox = 3, true
				c.edit(&pretended)
				if answer, err := h.Send(t.Context(), pretended); err != nil || !answer.Record.Sandbox {
					t.Errorf("in the sandbox: %+v, %v", answer.Record, err)
				}
				if again, err := send(c.body(strconv.Itoa(first)), id(first)); err != nil || !again.Replayed || again.Record.State != record.Waiting {
					t.Errorf("a repeat: %+v, %v", again.Record, err)
				}
				time.Sleep(2 * time.Minute)
				if answer, err := send(urgent("now"), id(200)); err != nil || answer.Record.State != record.Accepted {
					t.Errorf("what need not wait: %+v, %v", answer.Record, err)
				}
				h.Working()
				h.Play(t, 2*time.Hour)
				if _, err := send(c.body("later"), id(300)); err != nil {
					t.Errorf("when they have gone: %v", err)
				}
				if counted, rows, _ := waitsStill(t, h); counted+rows > 1 {
					t.Errorf("%d are counted, %d rows", counted, rows)
				}
			})
		})
	}
}

// A form takes no more of an hour than its cap, and of its caller's cap no more than is
// left; what waits of it holds up nothing of its caller's.
func TestAFormHasALineAndACapOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		limits             quota.Limits
		formCap, callerCap int
		own, sent          int // of its caller's messages before; of 20 that strangers post
	}{
		{"as usual", quota.CustomDomainSend, 0, 0, 0, 10},
		{"as usual, with a small quota", quota.ManagedDomainSend, 0, 0, 0, 5},
		{"a cap of its own", quota.CustomDomainSend, 15, 0, 0, 15},
		{"a caller with a smaller cap", quota.CustomDomainSend, 0, 6, 0, 6},
		{"a caller that has used some of its cap", quota.CustomDomainSend, 0, 12, 5, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, c.limits)
				post := func(subject string, form *gateway.Form) *record.Record {
					r := request(gatewaytest.Small(subject))
					r.Caller.Policy.Cap = c.callerCap
					if form != nil {
						r = request(bulky(subject))
						r.Caller.Policy.Cap = c.callerCap
						r.Hook, r.Form = "contact", form
					}
					answer, err := h.Send(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					return answer.Record
				}
				for i := range c.own {
					post(fmt.Sprint("own ", i), nil)
				}
				form, went := &gateway.Form{Cap: c.formCap, MaxWaiting: 100}, 0
				for i := range 20 {
					if post(fmt.Sprint("form ", i), form).State == record.Accepted {
						went++
					}
				}
				if went != c.sent {
					t.Errorf("%d of the form went at once", went)
				}
				if c.callerCap == 0 && c.limits.PerMinute > went && post("own", nil).State != record.Accepted {
					t.Error("its caller's own message waits")
				}
				h.Play(t, 30*time.Hour)
				if counted, rows, blobs := waitsStill(t, h); counted+rows+blobs != 0 {
					t.Errorf("%d are counted, %d rows and %d blobs are left", counted, rows, blobs)
				}
			})
		})
	}
}

func bulky(subject string) string {
	body := gatewaytest.Small(subject)
	return body[:len(body)-1] + `,"delivery":{"priority":"bulk"}}`
}
