package spool

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// Entry is the row of a queued message: all that is needed to choose the next one.
type Entry struct {
	Key  store.Key `json:"-"`
	Line Line      `json:"line"`
	// Due is when the message may go, or since when it waits: its order.
	Due time.Time `json:"due"`
	// ID is the caller's name for the message. Version is the version of its record when
	// the message was queued.
	ID      string     `json:"id"`
	Version store.ETag `json:"version,omitempty"`
	Hook    string     `json:"hook,omitempty"` // by which the message came; empty: its caller sent it
	Bytes   int        `json:"bytes"`          // of the message
	Cost    int        `json:"cost"`           // of the call to ACS, in tokens
	// Share and Cap are the caller's, in percent, and Terms its policy, when the message was
	// accepted or last looked at. FormCap is the cap of a form. Class is the class of the
	// call, where it is less urgent than the line's; it is not stored.
	Share   int    `json:"share,omitempty"`
	Cap     int    `json:"cap,omitempty"`
	FormCap int    `json:"formCap,omitempty"`
	Terms   string `json:"terms,omitempty"`
	Class   int    `json:"-"`
	// Sender stands for the address that the message is from; 0 if it is not known.
	Sender uint32 `json:"sender,omitempty"`
	// Tries are calls to ACS that failed because of the message. Repeats are calls after a
	// doubt.
	Tries   int `json:"tries,omitempty"`
	Repeats int `json:"repeats,omitempty"`
	// NotBefore is the end of a pause; zero without one.
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Doubt says that ACS may have the message: it is asked before anything else.
	Doubt Doubt `json:"doubt,omitempty"`
	// UnknownAnswers counts the status requests that ACS answered with "unknown".
	UnknownAnswers int `json:"unknownAnswers,omitempty"`
	// Ticket names the message in the ledger.
	Ticket int64 `json:"ticket"`
	// Large says that the message is a blob. Otherwise it stands in a row beside this one.
	Large bool `json:"large,omitempty"`
	// Unreadable says that nothing but the Key is known.
	Unreadable bool `json:"-"`

	etag    store.ETag
	content []byte // the message, until InsertEntry has stored it
}

// Doubt is why it is not known whether ACS has a message.
type Doubt string

// The doubts.
const (
	NoDoubt       Doubt = ""
	NoAnswer      Doubt = "silent"  // no answer came
	FailureAnswer Doubt = "failing" // ACS answered that it failed
)

func (s *Entry) encode() store.Entity {
	return store.Entity{Partition: s.Key.Partition, Row: s.Key.Row, Values: map[string]any{"entry": string(store.JSON(s))}}
}

// decodeEntry reads a row. A row without a caller, an id or a time cannot be read.
func decodeEntry(e store.Entity) (s Entry, err error) {
	text, _ := e.Values["entry"].(string)
	err = json.Unmarshal([]byte(text), &s)
	k := store.Key{Partition: e.Partition, Row: e.Row}
	if err != nil || s.ID == "" || s.Line.Caller == "" || s.Due.IsZero() {
		return Entry{Key: k, Unreadable: true}, fmt.Errorf("the queue entry %s is corrupt", e.Row)
	}
	s.Key, s.Cost, s.etag = k, max(s.Cost, 1), e.ETag
	return s, nil
}

// UnknownAnswersNeeded is how many status requests ACS must have answered with "unknown"
// before the message may be sent again. After an answer of failure one is enough: ACS has
// most likely not accepted the message.
func (s *Entry) UnknownAnswersNeeded() int {
	if s.Doubt == FailureAnswer {
		return 1
	}
	return 4
}
