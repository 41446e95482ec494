package emulator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// hookTimeout is how long Event Grid waits for an answer.
	// Source: learn.microsoft.com, "Event Grid message delivery and retry".
	hookTimeout = 30 * time.Second
	// hookTries and firstPause are shorter than Event Grid's 24 hours: the
	// pauses double, so an event is given up after about half a minute.
	hookTries  = 6
	firstPause = time.Second
	// hookCalls at a time are enough for one computer.
	hookCalls = 8
)

// topic is the id of a resource that does not exist.
const topic = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator/providers/microsoft.communication/communicationservices/emulator"

// event is the Event Grid schema. Source: learn.microsoft.com, "Azure Event Grid
// event schema".
type event struct {
	ID              string `json:"id"`
	Topic           string `json:"topic"`
	Subject         string `json:"subject"`
	Data            any    `json:"data"`
	EventType       string `json:"eventType"`
	DataVersion     string `json:"dataVersion"`
	MetadataVersion string `json:"metadataVersion"`
	EventTime       string `json:"eventTime"`
}

// deliveryReport has the form of events that came from Azure in 2025 and 2026, not
// the form of the documented sample, which writes deliveryAttemptTimeStamp.
type deliveryReport struct {
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	// InternetMessageID is the message's own, if it had one; absent where nothing
	// was sent to the recipient.
	InternetMessageID string          `json:"internetMessageId,omitempty"`
	MessageID         string          `json:"messageId"`
	Status            string          `json:"status"`
	Details           deliveryDetails `json:"deliveryStatusDetails"`
	AttemptTime       string          `json:"deliveryAttemptTimestamp"`
}

type deliveryDetails struct {
	StatusMessage string `json:"statusMessage"` // what the recipient's server said; "" if it took the message
	Host          string `json:"recipientMailServerHostName,omitempty"`
}

// The forms of the two times, as .NET writes them: hundredths with an offset, and
// ten millionths with a Z.
const (
	attemptTime = "2006-01-02T15:04:05.99-07:00"
	eventTime   = "2006-01-02T15:04:05.9999999Z"
)

// webhook is one event subscription.
type webhook struct {
	url    string
	client *http.Client
	slots  chan struct{}

	mu        sync.Mutex
	validated bool
}

func newWebhook(url string) *webhook {
	return &webhook{url: url, client: &http.Client{Timeout: hookTimeout}, slots: make(chan struct{}, hookCalls)}
}

// report sends one event a recipient, some time after the operation is no longer
// Running.
func (e *Emulator) report(op operation, msg *message, outcomes []outcome) {
	if e.cfg.WebhookURL == "" {
		return
	}
	e.work.Go(func() {
		if !pause(e.closing, e.cfg.Delay+e.cfg.ReportAfter) {
			return
		}
		for _, o := range outcomes {
			if err := e.hook.deliver(e.closing, e.deliveryEvent(op, msg, o)); err != nil {
				e.log.Warn("a delivery event was given up", "operation", op.id, slog.Any("error", err))
			}
		}
	})
}

func (e *Emulator) deliveryEvent(op operation, msg *message, o outcome) event {
	data := deliveryReport{
		Sender: msg.sender(), Recipient: o.recipient, MessageID: op.id, Status: o.status,
		AttemptTime: op.at.Add(e.cfg.Delay).UTC().Format(attemptTime),
	}
	if o.status != suppressed { // else no server was asked
		data.InternetMessageID = cmp.Or(msg.header("Message-ID"), "<"+op.id+"@emulator.invalid>")
		data.Details = deliveryDetails{StatusMessage: o.reply, Host: "mx.emulator.invalid"}
	}
	return event{
		ID: newUUID(), Topic: topic, Subject: "sender/" + data.Sender + "/message/" + op.id, Data: data,
		EventType: "Microsoft.Communication.EmailDeliveryReportReceived", DataVersion: "1.0", MetadataVersion: "1",
		EventTime: e.cfg.Now().UTC().Format(eventTime),
	}
}

// deliver hands an event over, at least once, or gives it up.
func (h *webhook) deliver(ctx context.Context, ev event) error {
	h.slots <- struct{}{}
	defer func() { <-h.slots }()
	var err error
	for try := range hookTries {
		if try > 0 && !pause(ctx, firstPause<<(try-1)) {
			return ctx.Err()
		}
		if err = h.validate(ctx); err != nil {
			continue
		}
		if _, err = h.post(ctx, "Notification", ev); err == nil {
			return nil
		}
	}
	return err
}

// validate asks the webhook, until it has agreed once, whether it wants events.
// Source: learn.microsoft.com, "Endpoint validation with Event Grid event schema".
func (h *webhook) validate(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.validated {
		return nil
	}
	code := newUUID()
	answer, err := h.post(ctx, "SubscriptionValidation", event{
		ID: newUUID(), Topic: topic, EventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
		DataVersion: "2", MetadataVersion: "1", EventTime: time.Now().UTC().Format(eventTime),
		Data: map[string]string{"validationCode": code},
	})
	if err != nil {
		return fmt.Errorf("validating the webhook: %w", err)
	}
	var given struct {
		ValidationResponse string `json:"validationResponse"`
	}
	if err := json.Unmarshal(answer, &given); err != nil || given.ValidationResponse != code {
		return errors.New("the webhook did not answer its validation with the code")
	}
	h.validated = true
	return nil
}

func (h *webhook) post(ctx context.Context, kind string, ev event) ([]byte, error) {
	body, err := json.Marshal([]event{ev})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("aeg-event-type", kind)
	req.Header.Set("aeg-subscription-name", "EMULATOR")
	req.Header.Set("aeg-data-version", ev.DataVersion)
	req.Header.Set("aeg-metadata-version", ev.MetadataVersion)
	req.Header.Set("aeg-delivery-count", "0")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	// A validation must be answered 200; events may be, with 201, 202 or 204 too.
	taken := []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}
	if !slices.Contains(taken, resp.StatusCode) || kind != "Notification" && resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the webhook answered %d", resp.StatusCode)
	}
	return answer, nil
}

// pause says whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
