package record

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// encode makes a row of few values: it is written three times a message, and costs by
// their number.
func encode(r *Record, attempt string) store.Entity {
	operation := r.operation()
	return store.Entity{Partition: operation, Row: row, Values: map[string]any{
		"attempt": attempt, "record": r.Snapshot(), "since": r.since(),
	}}
}

// operation is the operation id, which a Record has from the first time it is needed.
func (r *Record) operation() string {
	if r.OperationID == "" {
		r.OperationID = OperationID(r.Caller, r.ID)
	}
	return r.OperationID
}

// since is when the history of the record begins: at its last change or, if that is later,
// at the last moment at which its message may be sent.
func (r *Record) since() time.Time {
	if !r.Final() && r.Deadline.After(r.Updated) {
		return r.Deadline
	}
	return r.Updated
}

func decode(e store.Entity) (*Record, string, error) {
	attempt, _ := e.Values["attempt"].(string)
	text, _ := e.Values["record"].([]byte)
	r, err := Restore(text, e.ETag)
	if err != nil {
		return nil, "", err
	}
	return r, attempt, nil
}

// Snapshot is r in a form that Restore reads. It is kept with a message that waits too, so
// that taking it needs no read of the row.
func (r *Record) Snapshot() []byte {
	for i := range r.Moved {
		r.Moved[i].URL = ""
	}
	return store.JSON(r)
}

// Restore is the record that Snapshot kept, at the version that the row had when
// the message began to wait.
func Restore(snapshot []byte, version store.ETag) (*Record, error) {
	r := &Record{etag: version}
	if err := json.Unmarshal(snapshot, r); err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	return r, nil
}
