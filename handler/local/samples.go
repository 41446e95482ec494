package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// largeBytes do not fit into a request to ACS.
	largeBytes = 12 << 20
	// sampleTime is how long a sample is tried.
	sampleTime = 3 * time.Minute
	// pollEvery and pollFor bound the wait for what became of a sample.
	pollEvery = 100 * time.Millisecond
	pollFor   = time.Minute
)

// sample is a message, and what is shown of it.
type sample struct {
	Subject string
	body    map[string]any
}

// operation is what the gateway says of a message; Detail is a problem's.
type operation struct {
	ID       string
	Status   string
	Detail   string
	Error    *struct{ Message string }
	Delivery struct {
		Links []struct {
			Name    string
			Size    int64
			Expires time.Time
		}
	}
}

func samples() ([]sample, error) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, horn(96)); err != nil {
		return nil, err
	}
	small := message("Welcome to Posthorn", "A message with a picture inside.",
		`<h1 style="font-family:sans-serif">Welcome to Posthorn</h1><p><img src="cid:horn" alt="A posthorn" width="96" height="96"></p><p>The picture travels inside this message.</p>`,
		attachment{"horn.png", "image/png", "horn", picture.Bytes()})
	large := message("A file that does not fit", "The file of this message was too large for it. It waits behind the link below.",
		`<h1 style="font-family:sans-serif">A file that does not fit</h1><p>The file of this message was too large for it. It waits behind the link below.</p>`,
		attachment{"measurements.csv", "text/csv", "", measurements()})
	return []sample{small, large}, nil
}

type attachment struct {
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Content     []byte `json:"contentInBase64"`
}

func message(subject, text, html string, file attachment) sample {
	return sample{subject, map[string]any{
		"senderAddress": callerSender,
		"recipients":    map[string]any{"to": []any{map[string]any{"address": "ann@example.com", "displayName": "Ann Example"}}},
		"content":       map[string]any{"subject": subject, "plainText": text, "html": html},
		"attachments":   []attachment{file},
	}}
}

// horn draws a ring with a bell, n pixels wide.
func horn(n int) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, n, n))
	brass, sky := color.RGBA{0xe0, 0xa8, 0x1c, 0xff}, color.RGBA{0x1d, 0x3f, 0x72, 0xff}
	for x := range n {
		for y := range n {
			dx, dy := 100*x/n-45, 100*y/n-50
			r := dx*dx + dy*dy
			ring := r > 18*18 && r < 27*27
			bell := dx > 15 && dy > 20-dx/4 && dy < 14+dx/2
			picture.Set(x, y, sky)
			if ring || bell {
				picture.Set(x, y, brass)
			}
		}
	}
	return picture
}

// measurements is a table of largeBytes, the same each time.
func measurements() []byte {
	random := mathrand.New(mathrand.NewPCG(1, 2)) //nolint:gosec // numbers to look at
	b := bytes.NewBuffer(make([]byte, 0, largeBytes+64))
	b.WriteString("second,temperature,pressure\n")
	for n := 0; b.Len() < largeBytes; n++ {
		fmt.Fprintf(b, "%d,%.3f,%.2f\n", n, 18+4*random.Float64(), 1013+10*random.Float64())
	}
	return b.Bytes()[:largeBytes]
}

// deliver sends a sample, again while what stands in its way may pass, and follows
// it until its end. The result is a few words for the screen, good news or bad.
func (a api) deliver(ctx context.Context, s sample, out io.Writer) (became string) {
	body, err := json.Marshal(s.body)
	if err != nil {
		return "not sent: " + err.Error()
	}
	// One key for all tries, so that a lost answer makes no second message.
	key := rand.Text()
	reason, err := until(ctx, sampleTime, newTeller(out, fmt.Sprintf("the sample %q", s.Subject)), func(ctx context.Context) (reason string, err error) {
		became, reason, err = a.send(ctx, body, key)
		return reason, err
	})
	switch {
	case err != nil:
		return "not sent: " + err.Error()
	case reason != "":
		return "not sent: " + reason
	}
	return became
}

// send is one try. A reason says why another is needed, an error why none will do.
func (a api) send(ctx context.Context, body []byte, key string) (became, reason string, err error) {
	status, answer, err := a.do(ctx, sendTry, http.MethodPost, "/emails:send?api-version=2025-09-01", body,
		map[string]string{"Content-Type": "application/json", "Idempotency-Key": key})
	if err != nil {
		return "", "the gateway does not answer", nil //nolint:nilerr // it is told, and tried again
	}
	var o operation
	unread := json.Unmarshal(answer, &o)
	switch status {
	case http.StatusAccepted:
		if unread == nil {
			return a.follow(ctx, o.ID), "", nil
		}
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return "", "", fmt.Errorf("%s (%d)", o.Detail, status) // the next answer would be the same
	}
	return "", strings.TrimSpace(fmt.Sprintf("the gateway answers %d %s", status, o.Detail)), nil
}

// follow waits for the end of a message that was accepted.
func (a api) follow(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	last := "accepted"
	for {
		status, answer, err := a.do(ctx, readyTry, http.MethodGet, "/emails/operations/"+id+"?api-version=2025-09-01", nil, nil)
		var o operation
		if err == nil && status == http.StatusOK && json.Unmarshal(answer, &o) == nil {
			if o.Status != "NotStarted" && o.Status != "Running" {
				return o.words()
			}
			last = "still " + strings.ToLower(o.Status)
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pollEvery):
		}
	}
}

// words say what became of a message.
func (o *operation) words() string {
	var said strings.Builder
	said.WriteString(strings.ToLower(o.Status))
	if o.Error != nil {
		said.WriteString(": " + o.Error.Message)
	}
	for _, l := range o.Delivery.Links {
		fmt.Fprintf(&said, "; %s (%.1f MB) became a link, good until %s", l.Name, float64(l.Size)/1e6, l.Expires.Format("2 January 2006"))
	}
	return said.String()
}
