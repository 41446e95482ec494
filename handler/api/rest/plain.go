package rest

import (
	"strings"
	"time"
)

// plainText is what writeJSON makes of an operation that is but an id and its
// states and times, as nearly every answer to a message is. ok is false for any
// other.
func (o *operation) plainText() (text []byte, ok bool) {
	d := &o.Delivery
	if o.Error != nil || d.Resolving || d.Sandbox || d.Redirected || !d.Expected.IsZero() || !d.Deadline.IsZero() || len(d.Links) > 0 || len(d.Tags) > 0 {
		return nil, false
	}
	for _, word := range []string{o.ID, o.Status, string(d.State)} {
		if strings.ContainsFunc(word, needsQuoting) {
			return nil, false
		}
	}
	text = make([]byte, 0, 256)
	text = append(append(text, `{"id":"`...), o.ID...)
	text = append(append(text, `","status":"`...), o.Status...)
	text = append(append(text, `","error":null,"delivery":{"state":"`...), d.State...)
	text = d.Created.AppendFormat(append(text, `","created":"`...), time.RFC3339Nano)
	text = d.Updated.AppendFormat(append(text, `","updated":"`...), time.RFC3339Nano)
	return append(text, "\"}}\n"...), true
}

func needsQuoting(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
