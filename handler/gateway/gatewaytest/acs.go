package gatewaytest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
)

// ACS keeps when each call came and what is known of each operation.
type ACS struct {
	sync.Mutex
	Arrivals []time.Time
	Asked    []time.Time // when each question came
	Sent     []mail.Message
	Known    map[string]string // operation -> "", the code of its failure, or Running

	// Answer decides on a call; taken says whether the message is then sent.
	Answer func(m *mail.Message) (taken bool, err error)
	// FateErr may say that ACS cannot be asked.
	FateErr error
}

// Size is near enough to the size of ACS's JSON.
func (a *ACS) Size(m *mail.Message) int64 {
	c := *m
	c.Attachments = going(m)
	n := 0
	for _, at := range c.Attachments {
		n += base64.StdEncoding.EncodedLen(len(at.Content))
	}
	text, _ := json.Marshal(c)
	return int64(len(text) + n)
}

// Send answers as Answer says; without it every message is taken.
// A message that it has already is refused if that is asked for.
func (a *ACS) Send(_ context.Context, id string, m *mail.Message, again bool) error {
	a.Lock()
	defer a.Unlock()
	a.Arrivals = append(a.Arrivals, time.Now())
	if _, has := a.Known[id]; has && again {
		return gateway.ErrRepeat
	}
	taken, err := true, error(nil)
	if a.Answer != nil {
		taken, err = a.Answer(m)
	}
	if taken {
		c := *m
		c.Attachments = going(m)
		a.Sent = append(a.Sent, c)
		a.Known[id] = ""
	}
	return err
}

// Running in place of a code says that an operation has not ended.
const Running = "Running"

// Fate tells what is Known.
func (a *ACS) Fate(_ context.Context, id string) (gateway.Fate, error) {
	a.Lock()
	defer a.Unlock()
	a.Asked = append(a.Asked, time.Now())
	code, known := a.Known[id]
	f := gateway.Fate{Known: known, Ended: known && code != Running}
	if f.Ended && code != "" {
		f.Failure = &record.Failure{Kind: "refused-by-acs", Detail: "gave up", Upstream: code}
	}
	return f, a.FateErr
}

// going are the attachments that have not become links.
func going(m *mail.Message) []mail.Attachment {
	return slices.DeleteFunc(slices.Clone(m.Attachments), func(a mail.Attachment) bool { return a.Content == nil })
}
