package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/problem"
)

// askRoute is P1: without a key Posthorn answers a problem of its own, and the platform
// an empty 404 or a page. Nothing is sent.
func askRoute(ctx context.Context, a *probeRun) (string, error) {
	base := a.cloud.at.Settings["POSTHORN_PUBLIC_URL"]
	if base == "" {
		site, err := a.cloud.Site(ctx, a.cloud.at.Site)
		if err != nil {
			return "", err
		}
		base = "https://" + site.Properties.HostName
	}
	r, err := a.wire.call(ctx, http.MethodPost, strings.TrimRight(base, "/")+"/emails:send?api-version=2025-09-01", "",
		map[string]string{"Content-Type": "application/json", "Accept": "application/problem+json"}, []byte("{}"))
	if err != nil {
		return "", err
	}
	var said struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(r.text, &said) // a page has none of it
	slug, ours := strings.CutPrefix(said.Type, problem.TypeBase)
	if ours {
		return "routed", a.saw("POST /emails:send without a key: %s, problem %s", r, plainWord(slug))
	}
	if r.status == http.StatusNotFound {
		return "not-found", a.saw("POST /emails:send without a key: %s, no problem of Posthorn", r)
	}
	return "other", a.saw("POST /emails:send without a key: %s, no problem of Posthorn", r)
}

// first gives the probe its message, whose operation others go on from.
func (a *probeRun) first(id string) (operation string, m probeMail) {
	operation = uuid.NewString()
	m = a.mail(id, operation, a.to[0])
	a.now.Operation, a.now.Digest = operation, mailDigest(m)
	return operation, m
}

// mailDigest is too short to find an address by.
func mailDigest(m probeMail) string {
	sum := sha256.Sum256(m.json())
	return hex.EncodeToString(sum[:3])
}

// askTwiceAtOnce is P2.
func askTwiceAtOnce(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P2")
	body, replies := m.json(), make(chan reply, 2)
	faults := make(chan error, 2)
	a.posted = true
	for range 2 {
		go func() {
			r, err := a.wire.send(ctx, "", operation, body)
			replies <- r
			faults <- err
		}()
	}
	both := []reply{<-replies, <-replies}
	slices.SortFunc(both, func(x, y reply) int { return x.status - y.status })
	for _, err := range []error{<-faults, <-faults} {
		if err != nil {
			return "", err
		}
	}
	for i, r := range both {
		if err := a.saw("call %d of two at once: %s", i+1, r); err != nil {
			return "", err
		}
	}
	switch last := both[1]; {
	case both[0].status == 401 || both[0].status == 403:
		return "", a.denied(both[0])
	case last.status == http.StatusTooManyRequests && last.wait > probePatience:
		return "", stopError("the sending quota is used up until " + utcMinute(a.c.now().Add(last.wait)) + "; run this again then")
	case last.status == http.StatusTooManyRequests || last.status >= 500 || !both[0].taken():
		return "", askError("ACS refused the first call, so the second is no repeat")
	default:
		return judged(last), nil
	}
}

// askRepeat is the first message of a probe once more.
func askRepeat(ctx context.Context, a *probeRun, base string) (string, error) {
	before := a.known.of(base)
	m := a.mail(base, before.Operation, a.to[0])
	if mailDigest(m) != before.Digest {
		return "", askError("--sender and --to must be the same as in the first call of " + base + ", or begin anew with --again")
	}
	r, err := a.post(ctx, "again after "+a.c.now().Sub(before.At).Round(time.Second).String(), "", before.Operation, m)
	if err != nil {
		return "", err
	}
	return judged(r), nil
}

// askOtherBody is P3.
func askOtherBody(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P3")
	m.Content.Subject += " first"
	if err := a.taken(ctx, "the first body", operation, m); err != nil {
		return "", err
	}
	m.Content.Subject = strings.TrimSuffix(m.Content.Subject, "first") + "second"
	r, err := a.post(ctx, "the second body", "", operation, m)
	if err != nil {
		return "", err
	}
	return judged(r), nil
}

// taken is a post that must be accepted for the question to make sense.
func (a *probeRun) taken(ctx context.Context, what, operation string, m probeMail) error {
	r, err := a.post(ctx, what, "", operation, m)
	if err == nil && !r.taken() {
		err = askError(fmt.Sprintf("ACS refused %s with %d %s", what, r.status, r.code))
	}
	return err
}

// askDuplicate is P4: two messages that share nothing but their Message-ID.
func askDuplicate(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P4")
	m.Headers = a.messageID(operation)
	if err := a.taken(ctx, "the first message", operation, m); err != nil {
		return "", err
	}
	return a.duplicate(ctx, operation)
}

// askSameMessageID is the Message-ID of P4 once more, later.
func askSameMessageID(ctx context.Context, a *probeRun) (string, error) {
	return a.duplicate(ctx, a.known.of("P4").Operation)
}

func (a *probeRun) duplicate(ctx context.Context, first string) (string, error) {
	m := a.mail("P4", first, a.to[0])
	m.Content.Text += "It has the Message-ID of another one.\n"
	m.Headers = a.messageID(first)
	operation := uuid.NewString()
	r, err := a.post(ctx, "another message with its Message-ID", "", operation, m)
	if err != nil || !r.taken() {
		return judged(r), err
	}
	end, err := a.fate(ctx, operation)
	if err == nil && end.state == "Failed" {
		return "failed", nil
	}
	return "accepted", err
}

// messageID are the headers that Posthorn sets.
func (a *probeRun) messageID(operation string) map[string]string {
	_, domain, _ := strings.Cut(a.sender, "@")
	return map[string]string{"Message-ID": "<" + operation + "@" + domain + ">", "x-ms-acsemail-validate-message-id": "true"}
}

// askTwins and askTwinsInCapitals are P6.
func askTwins(ctx context.Context, a *probeRun) (string, error) { return a.twins(ctx, "P6", a.to[0]) }

func askTwinsInCapitals(ctx context.Context, a *probeRun) (string, error) {
	local, domain, _ := strings.Cut(a.to[0], "@")
	other := strings.ToUpper(local) + "@" + domain
	if other == a.to[0] {
		other = strings.ToLower(local) + "@" + domain
	}
	return a.twins(ctx, "P6.case", other)
}

func (a *probeRun) twins(ctx context.Context, id, other string) (string, error) {
	operation, m := a.first(id)
	m.Recipients.To = append(m.Recipients.To, probeAddress{other})
	return accepts(a.post(ctx, "one address twice", "", operation, m))
}

// accepts is whether ACS takes a message of some form.
func accepts(r reply, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case r.taken():
		return "accepted", nil
	}
	return "refused", nil
}

// askBlind is P11.
func askBlind(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P11")
	m.Recipients.To, m.Recipients.BCC = []probeAddress{}, m.Recipients.To
	return accepts(a.post(ctx, "bcc alone", "", operation, m))
}

// askSenderName is P15.
func askSenderName(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P15")
	m.Name = "Posthorn probe"
	return accepts(a.post(ctx, "api-version 2025-01-15-preview with senderDisplayName", "2025-01-15-preview", operation, m))
}

// askNewOperation is P12.
func askNewOperation(ctx context.Context, a *probeRun) (string, error) {
	operation, m := a.first("P12")
	if err := a.taken(ctx, "a message", operation, m); err != nil {
		return "", err
	}
	answer := "known"
	for range 12 {
		r, err := a.wire.status(ctx, operation)
		if err != nil {
			return "", err
		}
		if err := a.saw("its operation: %s", r); err != nil {
			return "", err
		}
		if r.taken() {
			return answer, nil
		}
		if r.status != http.StatusNotFound {
			return "", askError(fmt.Sprintf("ACS gave no clear answer: %d %s", r.status, r.code))
		}
		answer = "later"
		if err := a.c.sleep(ctx, 5*time.Second); err != nil {
			return "", err
		}
	}
	return "", askError("ACS did not know the operation for a minute")
}

// askOldOperation is P12 again, hours or days later.
func askOldOperation(ctx context.Context, a *probeRun) (string, error) {
	before := a.known.of("P12")
	if before.Operation == "" {
		return "", askError("the message of P12 is not known here; ask it with --again")
	}
	r, err := a.wire.status(ctx, before.Operation)
	if err != nil {
		return "", err
	}
	if err := a.saw("after %s: %s", a.c.now().Sub(before.At).Round(time.Second), r); err != nil {
		return "", err
	}
	switch {
	case r.taken():
		return "known", nil
	case r.status == http.StatusNotFound:
		return "forgotten", nil
	case r.status == 401 || r.status == 403:
		return "", a.denied(r)
	}
	return "", askError(fmt.Sprintf("ACS gave no clear answer: %d %s", r.status, r.code))
}
