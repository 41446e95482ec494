package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// largeBytes do not fit into a request to ACS.
	largeBytes = 12 << 20
	// pollEvery and pollFor bound the wait for what became of a sample.
	pollEvery = 100 * time.Millisecond
	pollFor   = 30 * time.Second
)

// sample is a message, and what is shown of it.
type sample struct {
	Subject string
	body    map[string]any
}

// operation is what the gateway says of a message; Detail is that of a problem.
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
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // numbers to look at
	b := bytes.NewBuffer(make([]byte, 0, largeBytes+64))
	b.WriteString("second,temperature,pressure\n")
	for n := 0; b.Len() < largeBytes; n++ {
		fmt.Fprintf(b, "%d,%.3f,%.2f\n", n, 18+4*random.Float64(), 1013+10*random.Float64())
	}
	return b.Bytes()[:largeBytes]
}

// send gives a sample to the gateway and follows it until its end. The result is
// a few words for the screen.
func send(ctx context.Context, c config, key string, s sample) (string, error) {
	body, err := json.Marshal(s.body)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.publicURL()+"/emails:send?api-version=2025-09-01", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	status, answer, err := do(r)
	if err != nil {
		return "", err
	}
	var o operation
	if err := json.Unmarshal(answer, &o); err != nil {
		return "", fmt.Errorf("the gateway answered %d with something else than JSON: %w", status, err)
	}
	if status != http.StatusAccepted {
		return fmt.Sprintf("not sent (%d): %s", status, o.Detail), nil
	}
	return follow(ctx, c, key, o.ID)
}

func follow(ctx context.Context, c config, key, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	for {
		status, answer, err := get(ctx, c.publicURL()+"/emails/operations/"+id+"?api-version=2025-09-01", key)
		if err != nil {
			return "", err
		}
		var o operation
		if err := json.Unmarshal(answer, &o); err != nil || status != http.StatusOK {
			return "", fmt.Errorf("the gateway answered %d about message %s", status, id)
		}
		if o.Status != "NotStarted" && o.Status != "Running" {
			return o.words(), nil
		}
		select {
		case <-ctx.Done():
			return "still " + strings.ToLower(o.Status), nil
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
