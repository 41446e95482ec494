// Package store says what Posthorn asks of storage: rows with ETags, blobs that
// appear whole or not at all, messages that come at least once, and one clock. It
// holds types and errors only. The adapters to Azure are store/table, store/blob
// and store/queue, store/mem has the same semantics in memory, and store/storetest
// holds them to one contract. Each user of storage declares the methods that it
// needs.
//
// # What an error leaves behind
//
// ErrExists, ErrMissing and ErrChanged mean that the call changed nothing, with
// one exception that every conditional writer must know: when an answer is lost
// and the call was repeated below us, ErrExists or ErrChanged may come from our
// own first write. A writer therefore stores a fresh attempt id and reads back.
// ErrUnavailable means that the call may or may not have happened. A transaction is one
// call: its error is the error of the first action that failed.
package store

import (
	"errors"
	"time"
)

// The errors of storage. Adapters wrap them with what was being done; no error
// of an SDK passes them.
var (
	ErrExists      = errors.New("already exists")      // insert of a row or blob that is there
	ErrMissing     = errors.New("does not exist")      // read, replace or delete of one that is not
	ErrChanged     = errors.New("changed meanwhile")   // the ETag is no longer current
	ErrUnavailable = errors.New("storage unavailable") // no answer, or none that helps
	// ErrIdentity comes with ErrUnavailable: no request was made, since this process
	// cannot prove who it is.
	ErrIdentity = errors.New("no identity in Azure")
)

// RoleError comes with ErrUnavailable: storage knows this process, and gives it no
// right. It may get one, so the call may be tried again.
type RoleError struct {
	Host string // which refused, such as account.table.core.windows.net
}

func (e RoleError) Error() string { return "no role at " + e.Host }

// ETag names one version of a row. Empty means: no condition.
type ETag string

// Entity is one row of a table. Keys have no control characters and no
// / \ # ? ' (the last because Azurite cannot find such rows again).
type Entity struct {
	Partition, Row string
	// ETag is set by Get and List, and is the condition of Replace and Delete.
	ETag ETag
	// Values are of type string, bool, int64, []byte or time.Time (UTC). A
	// string or []byte has at most 64 KiB (strings count two bytes a character).
	Values map[string]any
}

// Key is where a row stands. Keys are ordered by partition, then by row.
type Key struct{ Partition, Row string }

// Verb is what an Action does.
type Verb int

// The verbs.
const (
	InsertRow Verb = iota
	ReplaceRow
	DeleteRow
)

// Action is one of a transaction.
type Action struct {
	Verb   Verb
	Entity Entity
}

// Insert stores a new row. ErrExists if there is one with its keys.
func Insert(e Entity) Action { return Action{Verb: InsertRow, Entity: e} }

// Replace stores e in place of the whole row, on the condition that e's ETag is.
func Replace(e Entity) Action { return Action{Verb: ReplaceRow, Entity: e} }

// Delete removes a row. An empty etag is no condition.
func Delete(partition, row string, etag ETag) Action {
	return Action{Verb: DeleteRow, Entity: Entity{Partition: partition, Row: row, ETag: etag}}
}

// Receipt is what a table says beside its answer.
type Receipt struct {
	// ETag is the row's new version after a write. A transaction tells none.
	ETag ETag
	// Time is the service's clock when it answered, cut to the second by HTTP's
	// Date. It is set on every answer, ErrMissing, ErrExists and ErrChanged
	// included; zero with ErrUnavailable.
	Time time.Time
}

// BlobHeaders are what a download answers with.
type BlobHeaders struct {
	ContentType        string
	ContentDisposition string
}

// Blob is a row of a listing.
type Blob struct {
	Name string
	Size int64
}

// Message is one that was received from a queue.
type Message struct {
	ID         string
	PopReceipt string // names this receipt; Hide and Delete need it
	Text       string
	// Foreign says that the message was not base64, so it is not ours; Text
	// is then as it was found.
	Foreign bool
	// DequeueCount is 1 when a message is received for the first time.
	DequeueCount int64
	InsertedAt   time.Time
	ExpiresAt    time.Time
	VisibleAt    time.Time // when it can be received again
}
