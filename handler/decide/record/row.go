package record

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// body is all of a record that no query needs to see, as one value: a row is
// written three times a message, and costs by the number of its values.
type body struct {
	ID          string    `json:"id"`
	Caller      string    `json:"caller"`
	Fingerprint string    `json:"fingerprint"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	OwnerUntil  time.Time `json:"ownerUntil"`
	details
}

// details are left out of the rows of most messages: a message that is sent at once has a
// deadline alone.
type details struct {
	Tags       []mail.Tag  `json:"tags,omitempty"`
	Moved      []mail.Link `json:"moved,omitempty"`
	Links      store.Key   `json:"links,omitzero"`
	Failure    *Failure    `json:"failure,omitempty"`
	Spooled    store.Key   `json:"spooled,omitzero"`
	Expected   time.Time   `json:"expected,omitzero"`
	Deadline   time.Time   `json:"deadline,omitzero"`
	Resolving  bool        `json:"resolving,omitempty"`
	Repeat     bool        `json:"repeatable,omitempty"`
	Shared     bool        `json:"shared,omitempty"`
	Ended      bool        `json:"ended,omitempty"`
	Hook       string      `json:"hook,omitempty"`
	Sandbox    bool        `json:"sandbox,omitempty"`
	Redirected bool        `json:"redirected,omitempty"`
}

func encode(r *Record, attempt string) store.Entity {
	r.hideURLs()
	return store.Entity{Partition: r.operation(), Row: row, Values: map[string]any{
		"attempt": attempt, "state": string(r.State), "body": r.body(), "since": r.since(),
	}}
}

// operation is the operation id, which a Record has from the first time it is needed.
func (r *Record) operation() string {
	if r.OperationID == "" {
		r.OperationID = OperationID(r.Caller, r.ID)
	}
	return r.OperationID
}

// body is the JSON of a body, written by hand up to its details.
func (r *Record) body() []byte {
	text := make([]byte, 0, 512) // most records
	text = appendText(append(text, `{"id":`...), r.ID)
	text = appendText(append(text, `,"caller":`...), r.Caller)
	text = appendText(append(text, `,"fingerprint":`...), r.Fingerprint)
	text = appendTime(append(text, `,"created":`...), r.Created)
	text = appendTime(append(text, `,"updated":`...), r.Updated)
	text = appendTime(append(text, `,"ownerUntil":`...), r.OwnerUntil)
	if r.plain() {
		if !r.Deadline.IsZero() {
			text = appendTime(append(text, `,"deadline":`...), r.Deadline)
		}
		return append(text, '}')
	}
	// These types hold strings, numbers and times only: they always encode. What is
	// not plain has a first member, so that a comma belongs in place of its brace.
	more := store.JSON(details{r.Tags, r.Moved, r.Links, r.Failure, r.Spooled, r.Expected, r.Deadline, r.Resolving, r.Repeatable, r.Shared, r.Ended, r.Hook, r.Sandbox, r.Redirected})
	return append(append(text, ','), more[1:]...)
}

// plain says whether the details are a deadline at most.
func (r *Record) plain() bool {
	return len(r.Tags) == 0 && len(r.Moved) == 0 && r.Failure == nil && r.Links == (store.Key{}) && r.Spooled == (store.Key{}) && r.Expected.IsZero() && !r.Resolving && !r.Repeatable && !r.Shared && !r.Ended && r.Hook == "" && !r.Sandbox && !r.Redirected
}

// appendText writes a JSON string. Names, UUIDs and digits are written as they are.
func appendText(text []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s)
			return append(text, quoted...)
		}
	}
	return append(append(append(text, '"'), s...), '"')
}

func appendTime(text []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(text, '"'), time.RFC3339Nano), '"')
}

// since is when the history of the record begins: at its last change or, if that is later,
// at the last moment at which its message may be sent.
func (r *Record) since() time.Time {
	if !r.Final() && r.Deadline.After(r.Updated) {
		return r.Deadline
	}
	return r.Updated
}

func (r *Record) hideURLs() {
	for i := range r.Moved {
		r.Moved[i].URL = ""
	}
}

func decode(e store.Entity) (*Record, string, error) {
	attempt, _ := e.Values["attempt"].(string)
	state, _ := e.Values["state"].(string)
	text, _ := e.Values["body"].([]byte)
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, "", fmt.Errorf("decode record: %w", err)
	}
	r := &Record{
		ID: b.ID, Caller: b.Caller, Fingerprint: b.Fingerprint, State: State(state), OperationID: e.Partition,
		Tags: b.Tags, Moved: b.Moved, Links: b.Links, Failure: b.Failure,
		Spooled: b.Spooled, Expected: b.Expected, Deadline: b.Deadline, Resolving: b.Resolving, Repeatable: b.Repeat, Shared: b.Shared, Ended: b.Ended, Hook: b.Hook, Sandbox: b.Sandbox, Redirected: b.Redirected,
		Created: b.Created, Updated: b.Updated, OwnerUntil: b.OwnerUntil,
		etag: e.ETag,
	}
	return r, attempt, nil
}

// Snapshot is r in a form that Restore reads, to be kept with a message that
// waits, so that taking it needs no read of the row.
func (r *Record) Snapshot() []byte {
	r.hideURLs()
	return store.JSON(r)
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
