package emulator

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Repeat says what happens to a send call whose Operation-Id was accepted
// before. Azure documents nothing.
type Repeat int

const (
	// RepeatDedup answers the same body 202 again without a second mail, and
	// another body 409.
	RepeatDedup Repeat = iota
	// RepeatRefuse answers 400, whatever the body.
	RepeatRefuse
	// RepeatDouble sends again, whatever the body.
	RepeatDouble
)

// maxOperations and as many arrivals are remembered; older ones are forgotten.
const maxOperations = 100_000

// operation is one accepted send call.
type operation struct {
	id     string
	at     time.Time
	body   [sha256.Size]byte
	ending ending
	// messageID is the Message-ID, if the message asked for it to be checked; else empty.
	messageID string
}

// ending says what becomes of an operation after Running.
type ending struct {
	stuck         bool
	code, message string // of a failure; empty means Succeeded
}

// Endings of failed operations. Source: examples of the API specification, and
// an answer seen in issue 25353 of Azure/azure-sdk-for-js.
var (
	dropped       = ending{code: "EmailDropped", message: "Email was dropped after several attempts to deliver."}
	allSuppressed = ending{code: "EmailDroppedAllRecipientsSuppressed", message: "Message dropped because all recipients were suppressed"}
)

type operations struct {
	repeat Repeat

	mu         sync.Mutex
	byID       map[string]*operation
	messageIDs map[string]bool // that were checked
	order      []string
}

func (o *operations) known(id string) bool {
	_, ok := o.find(id)
	return ok
}

func (o *operations) find(id string) (operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.byID[id]
	if !ok {
		return operation{}, false
	}
	return *op, true
}

// add remembers op, or says that it repeats an operation, or refuses it.
func (o *operations) add(op operation) (repeated bool, refused *refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first, ok := o.byID[op.id]; ok && o.repeat != RepeatDouble {
		switch {
		case o.repeat == RepeatRefuse:
			return false, badRequest("Operation-Id '%s' was used before.", op.id)
		case first.body != op.body:
			return false, &refusal{status: http.StatusConflict, code: "Conflict",
				message: "Operation-Id '" + op.id + "' was used before with a different request body."}
		}
		return true, nil
	}
	if o.messageIDs[op.messageID] && o.repeat != RepeatDouble {
		return false, badRequest("The Message-ID is a duplicate.")
	}
	if _, ok := o.byID[op.id]; !ok {
		o.order = append(o.order, op.id)
	}
	o.byID[op.id] = &op
	if op.messageID != "" {
		o.messageIDs[op.messageID] = true
	}
	if len(o.order) > maxOperations {
		o.forget(o.order[0])
		o.order = o.order[1:]
	}
	return false, nil
}

func (o *operations) forget(id string) {
	if op, ok := o.byID[id]; ok {
		delete(o.messageIDs, op.messageID)
	}
	delete(o.byID, id)
}

// remove forgets an operation that could not be delivered.
func (o *operations) remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(id)
	o.order = slices.DeleteFunc(o.order, func(known string) bool { return known == id })
}

// sendResult is EmailSendResult.
type sendResult struct {
	ID     string       `json:"id"`
	Status string       `json:"status"`
	Error  *resultError `json:"error"`
}

type resultError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// result is the state of op at a time.
func (op operation) result(now time.Time, delay time.Duration) sendResult {
	switch {
	case op.ending.stuck || now.Sub(op.at) < delay:
		return sendResult{ID: op.id, Status: "Running"}
	case op.ending.code != "":
		return sendResult{ID: op.id, Status: "Failed", Error: &resultError{op.ending.code, op.ending.message}}
	}
	return sendResult{ID: op.id, Status: "Succeeded"}
}

func (e *Emulator) handleStatus(w http.ResponseWriter, r *http.Request) {
	writeServiceHeaders(w)
	now := e.cfg.Now()
	if refused := e.admitStatus(r, now); refused != nil {
		refused.write(w)
		return
	}
	f, wait := e.faults.next(onStatus)
	if f != nil && f.stage == refuses {
		f.refusal(wait).write(w)
		return
	}
	if e.spoil(r.Context(), w, f, http.StatusOK) {
		return
	}
	id, _ := canonicalUUID(r.PathValue("id"))
	op, ok := e.ops.find(id)
	if !ok || now.Sub(op.at) < e.cfg.VisibleAfter {
		(&refusal{status: http.StatusNotFound, code: "NotFound", message: "Requested message could not be located. " +
			"Couldn't find a record with the messageID: " + r.PathValue("id")}).write(w)
		return
	}
	result := op.result(now, e.cfg.Delay)
	if result.Status == "Running" {
		w.Header().Set("Retry-After", e.pollAfter())
	}
	writeJSON(w, http.StatusOK, result)
}

func (e *Emulator) admitStatus(r *http.Request, now time.Time) *refusal {
	if refused := e.authenticate(r, nil); refused != nil {
		return refused
	}
	if refused := e.status.take(now); refused != nil {
		return refused
	}
	return checkVersion(r)
}
