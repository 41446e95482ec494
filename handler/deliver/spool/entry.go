package spool

import (
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// Entry is the row of a queued message: all that is needed to choose the next one.
type Entry struct {
	Key  store.Key
	Line Line
	// Due is when the message may go, or since when it waits: its order.
	Due time.Time
	// ID is the caller's name for the message. Version is the version of its record when
	// the message was queued.
	ID      string
	Version store.ETag
	Hook    string // by which the message came; empty: its caller sent it
	Bytes   int    // of the message
	Cost    int    // of the call to ACS, in tokens
	// Share and Cap are the caller's, in percent, and Terms its policy, when the message was
	// accepted or last looked at. FormCap is the cap of a form. Class is the class of the
	// call, where it is less urgent than the line's; it is not stored.
	Share, Cap, FormCap int
	Terms               string
	Class               int
	// Sender stands for the address that the message is from; 0 if it is not known.
	Sender uint32
	// Tries are calls to ACS that failed because of the message. Repeats are calls after a
	// doubt.
	Tries, Repeats int
	// NotBefore is the end of a pause; zero without one.
	NotBefore time.Time
	// Doubt says that ACS may have the message: it is asked before anything else.
	Doubt Doubt
	// UnknownAnswers counts the status requests that ACS answered with "unknown".
	UnknownAnswers int
	// Ticket names the message in the ledger.
	Ticket int64
	// Unreadable says that nothing but the Key is known.
	Unreadable bool

	etag store.ETag
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
	e := store.Entity{Partition: s.Key.Partition, Row: s.Key.Row, Values: map[string]any{
		"shard": int64(s.Line.Shard), "class": int64(s.Line.Class), "caller": s.Line.Caller, "later": s.Line.Later,
		"due": s.Due, "id": s.ID, "version": string(s.Version), "bytes": int64(s.Bytes), "cost": int64(s.Cost),
		"share": int64(s.Share), "cap": int64(s.Cap), "tries": int64(s.Tries), "repeats": int64(s.Repeats),
		"doubt": string(s.Doubt), "asked": int64(s.UnknownAnswers), "ticket": s.Ticket, "sender": int64(s.Sender),
	}}
	if s.Line.Domain == mail.ManagedDomain {
		e.Values["managed"] = true
	}
	if s.Terms != "" {
		e.Values["terms"] = s.Terms
	}
	if s.Hook != "" {
		e.Values["hook"] = s.Hook
	}
	if s.Line.Form != "" {
		e.Values["form"], e.Values["formCap"] = s.Line.Form, int64(s.FormCap)
	}
	if !s.NotBefore.IsZero() { // a table knows no time before 1601
		e.Values["notBefore"] = s.NotBefore
	}
	return e
}

// decodeEntry reads a row, also of a version that knew fewer properties. A row without a
// caller, an id or a time cannot be read.
func decodeEntry(e store.Entity) (Entry, error) {
	number := func(name string) int {
		n, _ := e.Values[name].(int64)
		return int(n)
	}
	text := func(name string) string {
		t, _ := e.Values[name].(string)
		return t
	}
	s := Entry{
		Key:  store.Key{Partition: e.Partition, Row: e.Row},
		Line: Line{Shard: number("shard"), Class: number("class"), Caller: text("caller"), Form: text("form")},
		ID:   text("id"), Hook: text("hook"), Terms: text("terms"), Version: store.ETag(text("version")), Bytes: number("bytes"), Cost: max(number("cost"), 1),
		Share: number("share"), Cap: number("cap"), FormCap: number("formCap"), Tries: number("tries"), Repeats: number("repeats"),
		Doubt: Doubt(text("doubt")), UnknownAnswers: number("asked"), Ticket: int64(number("ticket")),
		Sender: uint32(number("sender")),
		etag:   e.ETag,
	}
	if managed, _ := e.Values["managed"].(bool); managed {
		s.Line.Domain = mail.ManagedDomain
	}
	s.Line.Later, _ = e.Values["later"].(bool)
	s.Due, _ = e.Values["due"].(time.Time)
	s.NotBefore, _ = e.Values["notBefore"].(time.Time)
	if s.ID == "" || s.Line.Caller == "" || s.Due.IsZero() {
		return Entry{Key: s.Key, Unreadable: true}, fmt.Errorf("the queue entry %s is corrupt", e.Row)
	}
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
