package emulator

import (
	"net/http"
	"sync"
	"time"
)

// arrival is one send call, accepted or not.
type arrival struct {
	// At is when the head of the call had been read.
	At time.Time `json:"at"`
	// OperationID is empty for a call refused before it had one.
	OperationID string `json:"operationId"`
	// Accepted says that the message was taken over, whatever the caller saw.
	Accepted bool `json:"accepted"`
	// Status is what the caller saw; 0 means no answer, or none yet.
	Status int `json:"status"`
	// Fault is the name of the fault that struck, if one did.
	Fault string `json:"fault,omitempty"`
}

type arrivals struct {
	mu   sync.Mutex
	list []*arrival
}

// begin logs a call and returns its place for set.
func (a *arrivals) begin(call arrival) *arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, &call)
	if len(a.list) > maxOperations {
		a.list = a.list[1:]
	}
	return &call
}

func (a *arrivals) set(place *arrival, call arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*place = call
}

func (e *Emulator) handleArrivals(w http.ResponseWriter, _ *http.Request) {
	e.calls.mu.Lock()
	list := make([]arrival, 0, len(e.calls.list))
	for _, call := range e.calls.list {
		list = append(list, *call)
	}
	e.calls.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"arrivals": list})
}

// handleForgetArrivals makes it as though no call had been made: the limits are
// whole again too.
func (e *Emulator) handleForgetArrivals(w http.ResponseWriter, _ *http.Request) {
	e.calls.mu.Lock()
	e.calls.list = nil
	e.calls.mu.Unlock()
	e.send.forget()
	e.status.forget()
	w.WriteHeader(http.StatusNoContent)
}
