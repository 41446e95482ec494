package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// Message is a queued message, complete, with its record as its owner keeps it.
type Message struct {
	Record  []byte // JSON
	Message *mail.Message
}

// format is raised when the stored form changes, so that an older instance refuses a
// message instead of sending something else.
const format = 1

// head is the first line of the blob. The contents of the attachments follow.
type head struct {
	Format     int             `json:"format"`
	Record     json.RawMessage `json:"record"`
	Message    *mail.Message   `json:"message"`
	Language   string          `json:"language,omitempty"`
	Redirected bool            `json:"redirected,omitempty"`
	Contents   []int           `json:"contents,omitempty"` // their lengths; -1 for what has become a link
}

func encodeMessage(l Message) []byte {
	h := head{Format: format, Record: l.Record, Message: l.Message, Language: l.Message.Language, Redirected: l.Message.Redirected}
	size := 0
	for _, a := range l.Message.Attachments {
		n := len(a.Content)
		if a.Content == nil {
			n = -1
		}
		h.Contents = append(h.Contents, n)
		size += len(a.Content)
	}
	// A message holds strings, numbers and maps of strings: it always encodes, and
	// without a line break.
	text := store.JSON(h)
	data := make([]byte, 0, len(text)+1+size)
	data = append(append(data, text...), '\n')
	for _, a := range l.Message.Attachments {
		data = append(data, a.Content...)
	}
	return data
}

var errCutOff = errors.New("the message is cut off")

func decodeMessage(data []byte) (Message, error) {
	text, contents, found := bytes.Cut(data, []byte{'\n'})
	if !found {
		return Message{}, errCutOff
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return Message{}, fmt.Errorf("decode message: %w", err)
	}
	if h.Format != format || h.Message == nil || len(h.Contents) != len(h.Message.Attachments) {
		return Message{}, fmt.Errorf("the message has format %d, or parts are missing", h.Format)
	}
	h.Message.Language, h.Message.Redirected = h.Language, h.Redirected
	for i, n := range h.Contents {
		if n < 0 {
			continue
		}
		if n > len(contents) {
			return Message{}, errCutOff
		}
		a := &h.Message.Attachments[i]
		a.Content, contents = contents[:n:n], contents[n:]
		a.Size = int64(n)
	}
	if len(contents) > 0 {
		return Message{}, errors.New("the message is longer than it says")
	}
	return Message{Record: h.Record, Message: h.Message}, nil
}
