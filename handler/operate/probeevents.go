package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The queue in which the deployment's delivery reports wait, and the token that opens it.
const (
	reportQueue  = "posthorn-reports"
	storageScope = "https://storage.azure.com/.default"
	// peekMost is the most that a queue shows at once.
	// Source: learn.microsoft.com, "Peek Messages".
	peekMost = 32
	// reportTime is how long reports are waited for; two to ten minutes were seen.
	reportTime = 12 * time.Minute
)

// reportMessage is a message of the queue: its text as Event Grid wrote it.
type reportMessage struct {
	base64 bool
	text   []byte
}

// peek looks at the head of the queue of reports, and takes nothing out.
func (a *probeRun) peek(ctx context.Context) ([]reportMessage, error) {
	base := strings.TrimRight(a.cloud.at.Settings[queueEndpoint], "/")
	if base == "" {
		return nil, askError("the connection has no POSTHORN_QUEUE_ENDPOINT. Run \"posthorn connect\" again")
	}
	r, err := a.wire.call(ctx, http.MethodGet, fmt.Sprintf("%s/%s/messages?peekonly=true&numofmessages=%d", base, reportQueue, peekMost), storageScope,
		map[string]string{"x-ms-version": "2024-11-04", "Accept": "application/xml"}, nil)
	switch {
	case err != nil:
		return nil, err
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return nil, askError(fmt.Sprintf("storage refuses this login with %d %s: it needs the role Storage Queue Data Reader, and access to the storage account's network", r.status, r.code))
	case r.status == http.StatusNotFound:
		return nil, askError("the deployment has no queue " + reportQueue)
	case !r.taken():
		return nil, askError(fmt.Sprintf("the queue answered %d %s", r.status, r.code))
	}
	var list struct {
		Messages []struct {
			Text string `xml:"MessageText"`
		} `xml:"QueueMessage"`
	}
	if err := xml.Unmarshal(r.text, &list); err != nil {
		return nil, askError("the queue's answer could not be read")
	}
	var found []reportMessage
	for _, m := range list.Messages {
		if text, err := base64.StdEncoding.DecodeString(m.Text); err == nil && json.Valid(text) {
			found = append(found, reportMessage{true, text})
		} else {
			found = append(found, reportMessage{false, []byte(m.Text)})
		}
	}
	return found, nil
}

// askEncoding is P14.
func askEncoding(ctx context.Context, a *probeRun) (string, error) {
	messages, err := a.peek(ctx)
	if err != nil {
		return "", err
	}
	if len(messages) == 0 {
		return "", askError("the queue of reports is empty; P13 fills it")
	}
	answer := "base64"
	if !messages[0].base64 {
		answer = "plain"
		if !json.Valid(messages[0].text) {
			return "", askError("the first message of the queue is not JSON, neither with Base64 nor without")
		}
	}
	return answer, a.saw("%d messages at the head of the queue, the first is JSON (%s)", len(messages), answer)
}

// reportEvent is what both schemas of Event Grid have.
type reportEvent struct {
	SpecVersion string         `json:"specversion"`
	Subject     string         `json:"subject"`
	Time        time.Time      `json:"time"`      // of CloudEvents
	EventTime   time.Time      `json:"eventTime"` // of Event Grid's own schema
	Data        map[string]any `json:"data"`
}

// askReports is P13: one mail that arrives, one that cannot, and their reports.
func askReports(ctx context.Context, a *probeRun) (string, error) {
	if _, err := a.peek(ctx); err != nil {
		return "", err // before anything is sent
	}
	operation, m := a.first("P13")
	if err := a.taken(ctx, "a mail that arrives", operation, m); err != nil {
		return "", err
	}
	waiting := map[string]string{operation: "the mail that arrives"}
	bad := uuid.NewString()
	switch r, err := a.post(ctx, "a mail that cannot arrive", "", bad, a.mail("P13", bad, "nobody@posthorn.invalid")); {
	case err != nil:
		return "", err
	case r.taken():
		waiting[bad] = "the mail that cannot"
	}
	return a.reports(ctx, waiting)
}

// reports waits for the reports of operations.
func (a *probeRun) reports(ctx context.Context, waiting map[string]string) (answer string, err error) {
	a.c.tell("  Waiting for reports, for %s at most.", reportTime)
	began, messages := a.c.now(), []reportMessage(nil)
	for len(waiting) > 0 && len(messages) < peekMost && a.c.now().Sub(began) < reportTime {
		if err = a.c.sleep(ctx, 30*time.Second); err != nil {
			return "", err
		}
		if messages, err = a.peek(ctx); err != nil {
			return "", err
		}
		for _, q := range messages {
			var e reportEvent
			if json.Unmarshal(q.text, &e) != nil {
				continue
			}
			id, _ := e.Data["messageId"].(string)
			if what := waiting[id]; what != "" {
				delete(waiting, id)
				answer = spelling(e)
				if err := a.saw("%s, %s after the call: %s", what, a.c.now().Sub(began).Round(time.Second), e.shape(a.sender)); err != nil {
					return "", err
				}
			}
		}
	}
	missing := fmt.Sprintf("%d reports did not come within %s, or stand behind %d others", len(waiting), a.c.now().Sub(began).Round(time.Second), len(messages))
	switch {
	case answer == "":
		return "", askError(missing)
	case len(waiting) > 0:
		return answer, a.saw("%s", missing)
	}
	return answer, nil
}

func spelling(e reportEvent) string {
	if _, has := e.Data["deliveryAttemptTimestamp"]; has {
		return "timestamp"
	}
	if _, has := e.Data["deliveryAttemptTimeStamp"]; has {
		return "time-stamp"
	}
	return "neither"
}

// shape is what can be told of an event without its addresses.
func (e reportEvent) shape(sender string) string {
	schema, when := "Event Grid schema", e.EventTime
	if e.SpecVersion != "" {
		schema, when = "CloudEvents "+plainWord(e.SpecVersion), e.Time
	}
	var names []string
	for name, value := range e.Data {
		if list, ok := value.(map[string]any); ok {
			for inner := range list {
				names = append(names, plainWord(name+"."+inner))
			}
			continue
		}
		names = append(names, plainWord(name))
	}
	slices.Sort(names)
	status, _ := e.Data["status"].(string)
	said := []string{schema, "status " + plainWord(status), "members " + strings.Join(names, " ")}
	for _, name := range []string{"deliveryAttemptTimestamp", "deliveryAttemptTimeStamp"} {
		text, _ := e.Data[name].(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil && !when.IsZero() {
			said = append(said, fmt.Sprintf("published %s after the attempt", when.Sub(at).Round(time.Second)))
		}
	}
	if strings.Contains(e.Subject, sender) {
		said = append(said, "the subject keeps the sender's case")
	}
	return strings.Join(said, ", ")
}
