package gateway_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// A repeat of a message that failed hears what the first heard, as far as the record
// knows it.
func TestARepeatOfWhatFailedHearsWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		failure *record.Failure
		want    problem.Problem
	}{
		{"with its reason", &record.Failure{Kind: "acs-misconfigured", Detail: "no", Upstream: "Denied"}, problem.Problem{Kind: problem.ACSMisconfigured, Detail: "no", Upstream: "Denied"}},
		{"without one", nil, problem.Problem{Kind: problem.RefusedByACS, Detail: "ACS refused the message."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = refusal
				const id = "11111111-1111-4111-8111-111111111111"
				send := func() *problem.Problem {
					req := request(gatewaytest.Small("one"))
					req.OperationID = id
					_, err := h.Send(t.Context(), req)
					if err == nil {
						t.Fatal("it was sent")
					}
					return problem.Of(err)
				}
				if p := send(); p.Kind != problem.RefusedByACS || p.Detail != "no" {
					t.Errorf("the first got %+v", p)
				}
				there, err := h.Records.Read(t.Context(), "shop", id)
				if err == nil {
					err = h.Records.Finish(t.Context(), there, record.Failed, c.failure)
				}
				if err != nil {
					t.Fatal(err)
				}
				if p := send(); p.Kind != c.want.Kind || p.Detail != c.want.Detail || p.Upstream != c.want.Upstream {
					t.Errorf("the repeat got %+v", p)
				}
				if n := len(h.ACS.Arrivals); n != 1 {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

// Several messages of one body: what is told of those that were not taken, and what is
// left of their attachments.
func TestWhatIsToldOfSeveralMessages(t *testing.T) {
	t.Parallel()
	bob := func(m *mail.Message) (bool, error) {
		if m.Recipients.To[0].Address == "bob@example.com" {
			return false, problem.New(problem.RefusedByACS, "Bob is blocked.")
		}
		return true, nil
	}
	for _, c := range []struct {
		name   string
		body   string
		answer func(*mail.Message) (bool, error)
		want   problem.Kind
		detail string
		faults []problem.Violation
		sent   int
		files  int
	}{
		{name: "all are taken", body: several("Hello"), sent: 2, files: 1},
		{name: "one is refused", body: several("Hello"), answer: bob, want: problem.RefusedByACS, sent: 1, files: 1,
			detail: "1 of the 2 messages were taken. Send only the others again: errors lists them.",
			faults: []problem.Violation{{Pointer: "/personalizations/1", Detail: "Bob is blocked."}}},
		{name: "all are refused", body: several("Hello"), answer: refusal, want: problem.RefusedByACS, detail: "no"},
		{name: "they do not fit even without the file", body: several(strings.Repeat("Hello ", 1000)), want: problem.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.ACS.Answer = c.answer
				sent, err := h.SendAll(t.Context(), request(c.body), sendgrid.Source())
				if c.want == 0 && (err != nil || len(sent) != 2) || c.want != 0 && !problem.Is(err, c.want) {
					t.Fatalf("got %+v, %v", sent, err)
				}
				if c.want != 0 && (c.detail != "" && problem.Of(err).Detail != c.detail || !slices.Equal(problem.Of(err).Violations, c.faults)) {
					t.Errorf("got %+v", problem.Of(err))
				}
				if len(h.ACS.Sent) != c.sent || h.Visible(t) != c.files {
					t.Errorf("%d sent, %d files", len(h.ACS.Sent), h.Visible(t))
				}
			})
		})
	}
}

// several is a body of SendGrid's for ann and bob, each of whom gets a message at once.
func several(text string) string {
	body := strings.Replace(together(), "Hello", text, 1)
	before, after, _ := strings.Cut(body, `"send_at":`)
	_, after, _ = strings.Cut(after, ",")
	return before + after
}
