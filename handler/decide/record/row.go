package record

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// body is the part of a record that no query needs to see.
type body struct {
	Tags     []mail.Tag  `json:"tags,omitempty"`
	Moved    []mail.Link `json:"moved,omitempty"`
	Links    store.Key   `json:"links,omitzero"`
	Failure  *Failure    `json:"failure,omitempty"`
	Spooled  store.Key   `json:"spooled,omitzero"`
	Expected time.Time   `json:"expected,omitzero"`
	Deadline time.Time   `json:"deadline,omitzero"`
	Settling bool        `json:"settling,omitempty"`
	Shared   bool        `json:"shared,omitempty"`
}

func encode(r *Record, attempt string) store.Entity {
	r.hideURLs()
	if r.key == "" {
		r.key = Key(r.Caller, r.ID)
	}
	return store.Entity{Partition: r.key, Row: row, Values: map[string]any{
		"attempt": attempt, "id": r.ID, "caller": r.Caller, "fingerprint": r.Fingerprint,
		"state": string(r.State), "operation": r.OperationID, "body": r.body(),
		"created": r.Created, "updated": r.Updated, "ownerUntil": r.OwnerUntil, "keepUntil": r.keepUntil(),
	}}
}

func (r *Record) body() []byte {
	if len(r.Tags) == 0 && len(r.Moved) == 0 && r.Failure == nil && r.Links == (store.Key{}) && r.Spooled == (store.Key{}) && r.Expected.IsZero() && !r.Settling {
		return r.plainBody()
	}
	// These types hold strings, numbers and times only: Marshal cannot fail.
	text, _ := json.Marshal(body{r.Tags, r.Moved, r.Links, r.Failure, r.Spooled, r.Expected, r.Deadline, r.Settling, r.Shared})
	return text
}

// plainBody is the JSON of most messages, which are sent at once and are nothing
// but a deadline: every one of them is written three times.
func (r *Record) plainBody() []byte {
	if r.Deadline.IsZero() {
		return []byte("{}")
	}
	text := make([]byte, 0, len(`{"deadline":""}`)+len(time.RFC3339Nano))
	text = append(text, `{"deadline":"`...)
	return append(r.Deadline.AppendFormat(text, time.RFC3339Nano), `"}`...)
}

// keepUntil is when Sweep may remove the row.
func (r *Record) keepUntil() time.Time {
	last := r.Updated
	if !r.Final() && r.Deadline.After(last) {
		last = r.Deadline
	}
	return last.Add(Life)
}

func (r *Record) hideURLs() {
	for i := range r.Moved {
		r.Moved[i].URL = ""
	}
}

func decode(e store.Entity) (*Record, string, error) {
	v := e.Values
	r := &Record{etag: e.ETag, key: e.Partition}
	r.ID, _ = v["id"].(string)
	r.Caller, _ = v["caller"].(string)
	r.Fingerprint, _ = v["fingerprint"].(string)
	state, _ := v["state"].(string)
	r.State = State(state)
	r.OperationID, _ = v["operation"].(string)
	r.Created, _ = v["created"].(time.Time)
	r.Updated, _ = v["updated"].(time.Time)
	r.OwnerUntil, _ = v["ownerUntil"].(time.Time)
	attempt, _ := v["attempt"].(string)
	text, _ := v["body"].([]byte)
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, "", fmt.Errorf("decode record: %w", err)
	}
	r.Tags, r.Moved, r.Links, r.Failure = b.Tags, b.Moved, b.Links, b.Failure
	r.Spooled, r.Expected, r.Deadline, r.Settling = b.Spooled, b.Expected, b.Deadline, b.Settling
	r.Shared = b.Shared
	return r, attempt, nil
}

// Snapshot is r in a form that Restore reads, to be kept with a message that
// waits, so that taking it needs no read of the row.
func (r *Record) Snapshot() []byte {
	r.hideURLs()
	text, _ := json.Marshal(r) // as for encode
	return text
}

// Restore is the record that Snapshot kept, at the version that the row had when
// the message began to wait.
func Restore(snapshot []byte, version store.ETag) (*Record, error) {
	r := &Record{etag: version}
	if err := json.Unmarshal(snapshot, r); err != nil {
		return nil, fmt.Errorf("decode kept record: %w", err)
	}
	return r, nil
}
