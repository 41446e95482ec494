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
	if r.key == "" {
		r.key = Key(r.Caller, r.ID)
	}
	return store.Entity{Partition: r.key, Row: row, Values: map[string]any{
		"attempt": attempt, "record": r.Snapshot(), "keepUntil": r.keepUntil(),
	}}
}

// keepUntil is when CleanUp may remove the row.
func (r *Record) keepUntil() time.Time {
	last := r.Updated
	if !r.Final() && r.Deadline.After(last) {
		last = r.Deadline
	}
	return last.Add(Life)
}

func decode(e store.Entity) (*Record, string, error) {
	attempt, _ := e.Values["attempt"].(string)
	text, _ := e.Values["record"].([]byte)
	r, err := Restore(text, e.ETag)
	if err != nil {
		return nil, "", err
	}
	r.key = e.Partition
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
