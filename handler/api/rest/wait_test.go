package rest_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// waiting is what a caller is told of a message that waits.
type waiting struct {
	ID, Status string
	Delivery   struct {
		State              string
		Expected, Deadline time.Time
	}
}

func read[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// Without room a message waits, says until when, and can be cancelled once.
func TestAMessageThatWaitsCanBeCancelled(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, quota.Limits{PerMinute: 1, PerHour: 10})
	for range 2 {
		d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("x")))
	}
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("y"), "Idempotency-Key", "k"))
	w := read[waiting](t, res.text)
	if res.StatusCode != http.StatusAccepted || w.Status != "Running" || w.Delivery.State != "waiting" {
		t.Fatalf("got %d %s", res.StatusCode, res.text)
	}
	if in := time.Until(w.Delivery.Expected); in < time.Minute || in > 4*time.Minute || !w.Delivery.Deadline.After(w.Delivery.Expected) {
		t.Errorf("expected %v, deadline %v", w.Delivery.Expected, w.Delivery.Deadline)
	}
	if after, _ := strconv.Atoi(res.Header.Get("Retry-After")); after < 60 {
		t.Errorf("Retry-After is %s", res.Header.Get("Retry-After"))
	}
	again := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("y"), "Idempotency-Key", "k"))
	if again.StatusCode != http.StatusAccepted || again.Header.Get("Idempotency-Replayed") != "true" || read[waiting](t, again.text).ID != w.ID {
		t.Errorf("the repeat got %d %s", again.StatusCode, again.text)
	}
	path := "/emails/operations/" + w.ID
	for range 2 {
		if res := d.do(t, d.request(t, "DELETE", path, "")); res.StatusCode != http.StatusOK || read[waiting](t, res.text).Status != "Canceled" {
			t.Errorf("cancelling got %d %s", res.StatusCode, res.text)
		}
	}
	if res := d.do(t, d.request(t, "GET", path, "")); read[waiting](t, res.text).Delivery.State != "cancelled" {
		t.Errorf("its status is %s", res.text)
	}
}

func TestAMessageThatWasSentCannotBeCancelled(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	w := read[waiting](t, d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("x"))).text)
	if res := d.do(t, d.request(t, "DELETE", "/emails/operations/"+w.ID, "")); res.StatusCode != http.StatusConflict || res.slug(t) != "too-late" {
		t.Errorf("got %d %s", res.StatusCode, res.text)
	}
}

func TestALaterMessageSaysWhen(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	at := time.Now().UTC().Add(3 * time.Hour).Truncate(time.Second)
	body := strings.TrimSuffix(gatewaytest.Small("x"), "}") + `,"delivery":{"sendAt":"` + at.Format(time.RFC3339) + `"}}`
	res := d.do(t, d.request(t, "POST", "/emails:send", body))
	if w := read[waiting](t, res.text); w.Delivery.State != "waiting" || w.Delivery.Expected.Before(at) || w.Delivery.Expected.After(at.Add(time.Minute)) {
		t.Errorf("got %d %s", res.StatusCode, res.text)
	}
}

// Where a message would go later than its deadline, that is said at once.
func TestADeadlineThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, quota.Limits{PerMinute: 1, PerHour: 10})
	d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("x")))
	body := strings.TrimSuffix(gatewaytest.Small("y"), "}") + `,"delivery":{"deadline":"` + time.Now().UTC().Add(20*time.Second).Format(time.RFC3339) + `"}}`
	res := d.do(t, d.request(t, "POST", "/emails:send", body))
	if res.StatusCode != http.StatusTooManyRequests || res.slug(t) != "over-quota" || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", res.StatusCode, res.text)
	}
}

func TestTheQuotaIsTold(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, quota.Limits{PerMinute: 2, PerHour: 10})
	for range 5 {
		d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("x")))
	}
	res := d.do(t, d.request(t, "GET", "/quota", ""))
	got := read[struct {
		Limits    struct{ PerMinute, PerHour int }
		Remaining struct{ Minute, Hour int }
		Caller    struct {
			Name         string
			UsedThisHour int
		}
		Waiting            struct{ Yours, All int }
		NextFree, Expected time.Time
	}](t, res.text)
	if got.Limits.PerMinute != 2 || got.Limits.PerHour != 10 || got.Remaining.Minute != 0 || got.Remaining.Hour != 8 ||
		got.Caller.Name == "" || got.Caller.UsedThisHour != 2 || got.Waiting.Yours != 3 || got.Waiting.All != 3 {
		t.Errorf("got %s", res.text)
	}
	if next := time.Until(got.NextFree); next < 50*time.Second || next > 80*time.Second || got.Expected.Before(got.NextFree) {
		t.Errorf("got %s", res.text)
	}
}
