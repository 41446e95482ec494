package sendtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// played is a way that answers what it was given, one answer after the other, the last
// for ever.
type played struct {
	answers []answered
	asked   []time.Duration // since the beginning
	begun   time.Time
}

type answered struct {
	Status
	err  error
	time time.Duration
}

func (p *played) next(ctx context.Context) (Status, error) {
	p.asked = append(p.asked, time.Since(p.begun))
	a := p.answers[0]
	if len(p.answers) > 1 {
		p.answers = p.answers[1:]
	}
	if err := sleep(ctx, a.time); err != nil {
		return Status{}, err
	}
	return a.Status, a.err
}

func (p *played) Send(ctx context.Context, _ string, _ Message) (Status, error) { return p.next(ctx) }
func (p *played) Ask(ctx context.Context, _ string) (Status, error)             { return p.next(ctx) }

// A message is asked for when the way says, and no longer than it was said.
func TestAMessageIsFollowed(t *testing.T) {
	t.Parallel()
	running := func(again time.Duration) answered {
		return answered{Status: Status{Word: "Running", State: "accepted", Again: again}}
	}
	ended := answered{Status: Status{Word: "Succeeded"}}
	waits := func(in time.Duration) answered {
		return answered{Status: Status{Word: "Running", State: "waiting", Expected: time.Now().Add(in), Again: in}}
	}
	away := answered{err: &Fault{Detail: "Away.", passing: true, again: 7 * time.Second}}
	const never = time.Hour
	for name, c := range map[string]func() (answers []answered, steps string, asked []time.Duration, says string, isAway bool){
		"as the way says": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(2 * time.Second), running(40 * time.Second), ended}, "accepted running succeeded", []time.Duration{0, 2 * time.Second, 42 * time.Second}, "", false
		},
		"every 3 s if it does not say": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(0), ended}, "accepted running succeeded", []time.Duration{0, 3 * time.Second}, "", false
		},
		"once a second at most": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(time.Millisecond), ended}, "accepted running succeeded", []time.Duration{0, time.Second}, "", false
		},
		"through the queue": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{waits(10 * time.Second), running(time.Second), ended}, "accepted queued running succeeded", []time.Duration{0, 10 * time.Second, 11 * time.Second}, "", false
		},
		"a queue that is too long": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{waits(10 * time.Minute)}, "accepted queued", []time.Duration{0}, "later than this command waits", false
		},
		"over a fault that passes": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(time.Second), away, away, ended}, "accepted running no answer succeeded", []time.Duration{0, time.Second, 8 * time.Second, 15 * time.Second}, "", false
		},
		"until a fault that does not pass": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(time.Second), {err: &Fault{Detail: "No.", Away: true}}}, "accepted running", []time.Duration{0, time.Second}, "No.", true
		},
		"an answer that does not come": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{{time: never}}, "", []time.Duration{0}, "not known whether the message was taken", true
		},
		"an end that does not come": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(100 * time.Second)}, "accepted running", []time.Duration{0, 100 * time.Second}, "not come to its end within 2m0s", false
		},
		"cancelled by someone": func() ([]answered, string, []time.Duration, string, bool) {
			return []answered{running(time.Second), {Status: Status{Word: "Canceled"}}}, "accepted running failed", []time.Duration{0, time.Second}, "cancelled before it was sent", false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answers, steps, asked, says, isAway := c()
				way := &played{answers: answers, begun: time.Now()}
				var told []string
				trial := Trial{Way: way, Now: time.Now, Wait: 2 * time.Minute, Told: func(s Step) { told = append(told, s.Name) }}
				report, err := trial.Run(t.Context(), "id", Message{})
				f, _ := errors.AsType[*Fault](err)
				if (err == nil) != (says == "") || err != nil && (f == nil || !strings.Contains(f.Detail, says) || f.Away != isAway) {
					t.Errorf("it ends with %#v", err)
				}
				if got := strings.Join(told, " "); got != steps || len(report.Steps) != len(told) {
					t.Errorf("the steps are %q, want %q", got, steps)
				}
				if !slices.Equal(way.asked, asked) {
					t.Errorf("it was asked at %s, want %s", way.asked, asked)
				}
				sum := int64(0)
				for _, s := range report.Steps {
					sum += s.Milliseconds
				}
				if sum != report.Milliseconds {
					t.Errorf("the steps take %d ms, and all takes %d", sum, report.Milliseconds)
				}
			})
		})
	}
}

func TestAnInterruptionStaysOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		trial := Trial{Way: &played{answers: []answered{{Status: Status{Word: "Running"}}}, begun: time.Now()}, Now: time.Now, Wait: time.Minute, Told: func(Step) {}}
		if report, err := trial.Run(ctx, "id", Message{}); !errors.Is(err, context.Canceled) || report.ID != "id" {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestWhatIsComposedIsEscaped(t *testing.T) {
	t.Parallel()
	m := Compose(Origin{Deployment: "https://mail.example.com", Way: "as <caller>", Version: "v1.2.3", At: time.Unix(0, 0)}, "a@example.com", "b@example.net", "id")
	if m.Subject != "Test message of Posthorn at mail.example.com" || m.Sender != "a@example.com" || m.To != "b@example.net" {
		t.Errorf("%+v", m)
	}
	if !strings.Contains(m.HTML, "as &lt;caller&gt;") || !strings.Contains(m.Text, "as <caller>") {
		t.Errorf("%s\n%s", m.Text, m.HTML)
	}
	for _, body := range []string{m.Text, m.HTML} {
		for _, want := range []string{"https://mail.example.com", "1970-01-01T00:00:00Z", "v1.2.3", "id", "DMARC records of example.com"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not in\n%s", want, body)
			}
		}
	}
}
