package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

// The most mails of a default quota: P7 is two series of 11 calls to 3 and 18 to one, P8
// is 31 calls and some that a generous limit lets pass.
const (
	mailsOfP7 = 84
	mailsOfP8 = 41
	// mostPerMinute is the largest quota that a probe tries to use up.
	mostPerMinute = 30
)

// perMinute is the quota by the settings.
func (a *probeRun) perMinute() (int, error) {
	s := settings.Settings{Quota: a.cloud.at.Settings[quotaSetting]}
	s.QuotaPerMinute, _ = strconv.Atoi(a.cloud.at.Settings["POSTHORN_QUOTA_PER_MINUTE"]) // 0 is refused below
	limit := wiring.SendLimits(s).PerMinute
	if limit < 5 || limit > mostPerMinute {
		return 0, askError(fmt.Sprintf("the quota of %d a minute cannot be used up with few mails; only 5 to %d can", limit, mostPerMinute))
	}
	return limit, nil
}

// rested waits until the quota of the minute is whole again.
func (a *probeRun) rested(ctx context.Context) error {
	used := a.posted
	for _, k := range a.known.here {
		used = used || k != a.now && a.c.now().Sub(k.At) < 2*time.Minute // by the run before
	}
	if !used {
		return nil
	}
	a.c.tell("  The probe continues in 61s, when the minute's quota is free again.")
	return a.c.sleep(ctx, 61*time.Second)
}

// shot is one call that a 429 may answer.
func (a *probeRun) shot(ctx context.Context, id string, to ...string) (reply, error) {
	operation := uuid.NewString()
	a.posted = true
	r, err := a.wire.send(ctx, "", operation, a.mail(id, operation, to...).json())
	switch {
	case err != nil:
		return r, err
	case r.status == 401 || r.status == 403:
		return r, a.denied(r)
	case !r.taken() && r.status != http.StatusTooManyRequests:
		return r, askError(fmt.Sprintf("ACS refused a call with %d %s", r.status, r.code))
	}
	return r, nil
}

// askCost is P7: fewer calls than the quota, to more recipients than it. They are made
// twice, for the case that a fixed minute ends amid the first series. Calls to one
// recipient follow until a 429: it proves that the quota is what the settings say.
func askCost(ctx context.Context, a *probeRun) (string, error) {
	limit, err := a.perMinute()
	if err != nil {
		return "", err
	}
	to := slices.Compact(slices.Sorted(slices.Values(a.to)))
	to = to[:min(len(to), 4)]
	recipients, calls := len(to), 2*(limit/len(to)+1)
	if recipients < 3 || calls >= limit {
		return "", askError(fmt.Sprintf("with %d a minute, %d different mailboxes in --to are too few", limit, recipients))
	}
	if err := a.rested(ctx); err != nil {
		return "", err
	}
	began := a.c.now()
	for n := 1; n <= limit+10; n++ {
		if n > calls {
			to = to[:1]
		}
		r, err := a.shot(ctx, "P7", to...)
		if err != nil {
			return "", err
		}
		if r.status != http.StatusTooManyRequests {
			continue
		}
		took := a.c.now().Sub(began).Round(time.Second)
		if err := a.saw("%d a minute allowed, calls 1 to %d to %d recipients; call %d after %s: %s", limit, calls, recipients, n, took, r); err != nil {
			return "", err
		}
		switch passed := n - 1; {
		case r.window == "Hour":
			return "", stopError("the limit of the hour came first, so that the minute tells nothing; run this again at " + utcMinute(a.c.now().Add(max(r.wait, time.Minute))))
		case n <= calls:
			return "recipients", nil
		case passed > limit+1 || took > time.Minute:
			return "", askError(fmt.Sprintf("%d calls passed within %s, which fits neither cost: the quota is larger than the settings say, or a minute ended", passed, took))
		}
		return "message", nil
	}
	return "", askError(fmt.Sprintf("%d calls passed: the quota is larger than the settings say", limit+10))
}

// askLimit is P8: calls until a 429, then one a second until one passes.
func askLimit(ctx context.Context, a *probeRun) (string, error) {
	limit, err := a.perMinute()
	if err != nil {
		return "", err
	}
	if err := a.rested(ctx); err != nil {
		return "", err
	}
	began := a.c.now()
	for n := 1; n <= limit+10; n++ {
		r, err := a.shot(ctx, "P8", a.to[0])
		if err != nil {
			return "", err
		}
		if r.status != http.StatusTooManyRequests {
			continue
		}
		if err := a.saw("call %d after %s: %s", n, a.c.now().Sub(began).Round(time.Second), r); err != nil {
			return "", err
		}
		if r.window == "Hour" || r.wait > 2*time.Minute {
			return "hour", nil
		}
		return a.passes(ctx, r.wait)
	}
	return "none", a.saw("%d calls within %s, %d a minute allowed: none was refused", limit+10, a.c.now().Sub(began).Round(time.Second), limit)
}

// passes makes a call a second. One that passes about when the first 429 said shows that
// those in between cost nothing.
func (a *probeRun) passes(ctx context.Context, said time.Duration) (string, error) {
	began, refused := a.c.now(), 0
	for a.c.now().Sub(began) < said+probePatience {
		if err := a.c.sleep(ctx, time.Second); err != nil {
			return "", err
		}
		r, err := a.shot(ctx, "P8", a.to[0])
		if err != nil {
			return "", err
		}
		after := a.c.now().Sub(began).Round(time.Second)
		if r.taken() {
			answer := "counted"
			if after <= said+10*time.Second {
				answer = "free"
			}
			return answer, a.saw("%d more calls were refused; one passed after %s, where %s was said", refused, after, said)
		}
		if refused++; refused%20 == 1 {
			if err := a.saw("refused call %d after %s: %s", refused, after, r); err != nil {
				return "", err
			}
		}
	}
	return "counted", a.saw("%d more calls were refused, and none passed for %s, where %s was said", refused, said+probePatience, said)
}

// Sizes of a request: the two meanings of 10 MB, and a file of 10 MB before Base64.
const (
	decimalBytes = 10_000_000
	binaryBytes  = 10 << 20
	encodedBytes = (binaryBytes + 2) / 3 * 4
)

// askSize is P10: each size lies just above one meaning of the limit.
func askSize(ctx context.Context, a *probeRun) (string, error) {
	steps := []struct {
		size   int
		answer string
	}{{decimalBytes - 100, "smaller"}, {decimalBytes + 100, strconv.Itoa(decimalBytes)}, {binaryBytes + 100, strconv.Itoa(binaryBytes)}, {encodedBytes - 81_016, "between"}, {encodedBytes + 4096, "before-base64"}}
	for _, s := range steps[1:] {
		taken, err := a.sized(ctx, s.size)
		if err != nil {
			return "", err
		}
		if taken {
			continue
		}
		if s == steps[1] { // is anything of that order taken at all?
			if taken, err = a.sized(ctx, steps[0].size); err != nil || !taken {
				return steps[0].answer, err
			}
		}
		return s.answer, nil
	}
	return "larger", nil
}

// sized sends a request of so many bytes.
func (a *probeRun) sized(ctx context.Context, size int) (bool, error) {
	operation, m := a.first("P10")
	m.Attachments = []probeFile{{Name: "probe.txt", Type: "text/plain", Content: []byte{}}}
	room := size - len(m.json())
	m.Attachments[0].Content = []byte(strings.Repeat("Posthorn\n", room/9+1))[:room/4*3]
	m.Content.Text += strings.Repeat(".", size-len(m.json())) // up to three, for the exact length
	a.c.tell("  A request of %d bytes goes out.", size)
	r, err := a.post(ctx, fmt.Sprintf("a request of %d bytes", size), "", operation, m)
	if err == nil && !r.taken() && r.status != http.StatusRequestEntityTooLarge && r.status != http.StatusBadRequest {
		err = askError(fmt.Sprintf("ACS refused it with %d %s, which does not speak of its size", r.status, r.code))
	}
	return err == nil && r.taken(), err
}
