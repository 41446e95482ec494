package emulator

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

func (e *Emulator) handleSend(w http.ResponseWriter, r *http.Request) {
	writeServiceHeaders(w)
	call := arrival{At: e.cfg.Now()}
	place := e.calls.begin(call)
	f, refused := e.take(r, &call)
	if refused != nil {
		call.Status = refused.status
		e.calls.set(place, call)
		refused.write(w)
		return
	}
	call.Accepted = true
	e.calls.set(place, call)
	w.Header().Set("Operation-Location", baseURL(r)+"/emails/operations/"+call.OperationID+"?api-version="+r.URL.Query().Get("api-version"))
	w.Header().Set("Retry-After", e.pollAfter())
	answered := e.spoil(r.Context(), w, f, http.StatusAccepted)
	call.Status = http.StatusAccepted
	e.calls.set(place, call)
	if !answered {
		writeJSON(w, http.StatusAccepted, sendResult{ID: call.OperationID, Status: "Running"})
	}
}

// take accepts or refuses a send call. It completes call, and returns the fault
// that is to spoil the answer of an accepted one, if there is one.
func (e *Emulator) take(r *http.Request, call *arrival) (*fault, *refusal) {
	body, msg, refused := e.admit(r, call.At)
	if refused != nil {
		return nil, refused
	}
	if call.OperationID, refused = operationID(r); refused != nil {
		return nil, refused
	}
	f, wait := e.faults.next(onSend)
	// A repeat of an accepted call is answered, so that a client which tries
	// again after timeout@ learns that the first call was accepted.
	if f == nil && !e.ops.known(call.OperationID) {
		f = faultOf(msg.recipients())
	}
	if f != nil {
		call.Fault = f.name
		if f.stage == refuses {
			return nil, f.refusal(wait)
		}
	}
	return f, e.accept(call, body, msg, f)
}

// admit reads and checks a send call, in the order in which ACS does.
func (e *Emulator) admit(r *http.Request, at time.Time) ([]byte, *message, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, e.cfg.MaxRequestBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, nil, &refusal{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge",
			message: "The request, with its attachments, is larger than allowed."}
	}
	if err != nil {
		return nil, nil, badRequest("Request body validation error. The body ended too soon.")
	}
	if refused := e.authenticate(r, body); refused != nil {
		return nil, nil, refused
	}
	if refused := e.send.take(at); refused != nil {
		return nil, nil, refused
	}
	if refused := checkVersion(r); refused != nil {
		return nil, nil, refused
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, nil, &refusal{status: http.StatusUnsupportedMediaType, code: "UnsupportedMediaType", message: "The Content-Type must be application/json."}
	}
	msg, refused := parse(body, r.URL.Query().Get("api-version"))
	if refused == nil {
		refused = e.checkSender(msg)
	}
	return body, msg, refused
}

// operationID is the caller's, or a new one.
func operationID(r *http.Request) (string, *refusal) {
	given := r.Header.Get("Operation-Id")
	if given == "" {
		return newUUID(), nil
	}
	id, ok := canonicalUUID(given)
	if !ok {
		return "", badRequest("The Operation-Id header must be a UUID.")
	}
	return id, nil
}

// accept takes a message over. A repeated one is accepted and changes nothing.
func (e *Emulator) accept(call *arrival, body []byte, msg *message, f *fault) *refusal {
	outcomes, end := fate(msg.recipients(), f)
	op := operation{id: call.OperationID, at: call.At, body: sha256.Sum256(body), ending: end, messageID: msg.checkedID()}
	repeated, refused := e.ops.add(op)
	if refused != nil || repeated {
		return refused
	}
	if end.code == "" {
		if err := e.cfg.Deliver(op.id, op.at, body); err != nil {
			e.ops.remove(op.id)
			e.log.Error("the message could not be delivered", "operation", op.id, "error", err)
			return internalError()
		}
	}
	if !end.stuck {
		e.report(op, msg, outcomes)
	}
	return nil
}

// spoil does what f, which may be nil, does to an answer that would have this
// status, and says whether that was an answer. It does not return if there is
// to be none.
func (e *Emulator) spoil(ctx context.Context, w http.ResponseWriter, f *fault, status int) (answered bool) {
	if f == nil || f.stage != spoils {
		return false
	}
	ctx, cancel := e.held(ctx)
	defer cancel()
	switch f.name {
	case "slow":
		if pause(ctx, e.cfg.Slowness) {
			return false
		}
	case "timeout":
		<-ctx.Done()
	case "malformed":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":"`)
		return true
	}
	// net/http's way to cut a connection, without a line in its log.
	panic(http.ErrAbortHandler)
}
