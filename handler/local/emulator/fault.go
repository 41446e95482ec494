package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// stage is the point of a call at which a fault strikes.
type stage int

const (
	refuses stage = iota // nothing is accepted, the call is answered with an error
	spoils               // the message is accepted, its answer goes wrong
	ends                 // the message is accepted, its operation does not succeed
	reports              // the operation succeeds, the delivery event does not say Delivered
)

// fault is something that goes wrong on purpose.
type fault struct {
	name   string
	stage  stage
	answer refusal // of stage refuses
	report string  // status of the delivery event; empty means Delivered
	reply  string  // what the recipient's server says, in the delivery event
	effect string  // for the README
}

// faults are all there are, in the order of the README.
var faults = []fault{
	{name: "400", answer: *invalid("content"), effect: "400 `BadRequest`"},
	{name: "401", answer: *denied(), effect: "401 `Denied`"},
	{name: "clock", answer: *skewed(), effect: "401 `Denied`, which speaks of a time difference"},
	{name: "429", answer: *tooMany("Minute", time.Minute), effect: "429 `TooManyRequests`, `Retry-After: 60`"},
	{name: "500", answer: *internalError(), effect: "500 `InternalServerError`"},
	{name: "503", answer: refusal{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", message: "The service is unavailable."},
		effect: "503 `ServiceUnavailable`"},
	{name: "timeout", stage: spoils, effect: "accepted, then no answer until the caller goes away"},
	{name: "lost", stage: spoils, effect: "accepted, then the connection is cut before the answer"},
	{name: "slow", stage: spoils, effect: "accepted, answered after a delay (`-slow`)"},
	{name: "malformed", stage: spoils, effect: "accepted, answered 202 with a body that is not JSON"},
	{name: "stuck", stage: ends, effect: "accepted, the status stays `Running`; no delivery event"},
	{name: "failed", stage: ends, report: "Failed", reply: "450 4.4.1 The connection was refused.", effect: "accepted, the status becomes `Failed` with `EmailDropped`; event `Failed`"},
	{name: "suppressed", stage: ends, report: suppressed,
		effect: "event `Suppressed`; if all recipients are, the status becomes `Failed` with `EmailDroppedAllRecipientsSuppressed`"},
	{name: "bounce", stage: reports, report: "Bounced", reply: "550 5.1.1 There is no such mailbox.", effect: "`Succeeded`, event `Bounced`"},
	{name: "quarantined", stage: reports, report: "Quarantined", reply: "250 2.6.0 The message was quarantined.", effect: "`Succeeded`, event `Quarantined`"},
	{name: "filteredspam", stage: reports, report: "FilteredSpam", reply: "550 5.7.1 The message was rejected as spam.", effect: "`Succeeded`, event `FilteredSpam`"},
	{name: "expanded", stage: reports, report: "Expanded", reply: "250 2.1.5 The list was expanded.", effect: "`Succeeded`, event `Expanded`"},
}

// FaultTable returns the table of faults in Markdown, for the README.
func FaultTable() string {
	var b strings.Builder
	b.WriteString("| recipient, or `kind` | what happens | also by `POST /api/faults` |\n| --- | --- | --- |\n")
	for _, f := range faults {
		by := "by address only"
		switch {
		case f.injectable(onStatus):
			by = "on `send` and `status`"
		case f.injectable(onSend):
			by = "on `send`"
		}
		fmt.Fprintf(&b, "| `%s@` | %s | %s |\n", f.name, f.effect, by)
	}
	return b.String()
}

// injectable says whether a fault can be asked for by POST /api/faults: not one
// that belongs to a recipient.
func (f fault) injectable(where string) bool {
	if where == onStatus {
		return f.stage == refuses || f.stage == spoils
	}
	return where == onSend && f.report == ""
}

// refusal is the answer of a fault of stage refuses; wait replaces its
// Retry-After if it is not 0.
func (f fault) refusal(wait time.Duration) *refusal {
	if wait == 0 {
		return &f.answer
	}
	if f.answer.status == http.StatusTooManyRequests {
		return tooMany("Minute", wait)
	}
	f.answer.retryAfter = wait
	return &f.answer
}

// named finds the fault of an address: its local part up to a plus sign, so that
// bounce+order17@ is bounce@ too.
func named(name string) *fault {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &faults[i]
}

func ofAddress(address string) *fault {
	local, _, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(local, "+")
	return named(strings.ToLower(local))
}

// faultOf returns the fault of a call that the first such recipient names: one
// that strikes the call itself.
func faultOf(recipients []string) *fault {
	for _, r := range recipients {
		if f := ofAddress(r); f != nil && (f.stage == refuses || f.stage == spoils) {
			return f
		}
	}
	return nil
}

// outcome is what a delivery event will say of a recipient.
type outcome struct{ recipient, status, reply string }

// suppressed is the status of a recipient to whom nothing is sent.
const suppressed = "Suppressed"

// fate says what becomes of an accepted message: of each recipient, and of the
// operation.
func fate(recipients []string, injected *fault) ([]outcome, ending) {
	outcomes := make([]outcome, 0, len(recipients))
	left, end := len(recipients), ending{stuck: injected != nil && injected.name == "stuck"}
	for _, r := range recipients {
		o := outcome{recipient: r, status: "Delivered"}
		if f := ofAddress(r); f != nil {
			if f.report != "" {
				o.status, o.reply = f.report, f.reply
			}
			switch f.name {
			case "stuck":
				end.stuck = true
			case "failed":
				end.code, end.message = dropped.code, dropped.message
			case "suppressed":
				left--
			}
		}
		outcomes = append(outcomes, o)
	}
	if left == 0 {
		return outcomes, allSuppressed
	}
	return outcomes, end
}

// The calls that a fault can be injected into.
const (
	onSend   = "send"
	onStatus = "status"
)

// injection is a fault asked for by POST /api/faults.
type injection struct {
	Kind string `json:"kind"`
	// On is "send" (the default) or "status".
	On string `json:"on"`
	// Count is how many calls are left to strike; 0 in a request means all.
	Count int `json:"count"`
	// Probability that a call is struck, above 0 and at most 1, the default.
	Probability float64 `json:"probability"`
	// RetryAfterSeconds goes out with an answer of an error; 0 leaves it.
	RetryAfterSeconds int `json:"retryAfterSeconds,omitempty"`
}

type injections struct {
	chance func() float64

	mu   sync.Mutex
	list []*injection
}

// next returns the fault of the next call, and its Retry-After, or nil.
func (n *injections) next(where string) (*fault, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, in := range n.list {
		if in.On != where || n.chance() >= in.Probability {
			continue
		}
		if in.Count == 1 {
			n.list = slices.Delete(n.list, i, i+1)
		} else if in.Count > 0 {
			in.Count--
		}
		return named(in.Kind), time.Duration(in.RetryAfterSeconds) * time.Second
	}
	return nil, 0
}

func (e *Emulator) handleAddFault(w http.ResponseWriter, r *http.Request) {
	in := injection{On: onSend, Probability: 1}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		http.Error(w, `Send JSON such as {"kind":"500","count":3}.`, http.StatusBadRequest)
		return
	}
	f := named(in.Kind)
	switch {
	case f == nil || !f.injectable(in.On):
		http.Error(w, "There is no such kind for this sort of call; the README lists them.", http.StatusBadRequest)
		return
	case in.Count < 0 || in.Probability <= 0 || in.Probability > 1 || in.RetryAfterSeconds < 0:
		http.Error(w, "count and retryAfterSeconds are 0 or more, probability is above 0 and at most 1.", http.StatusBadRequest)
		return
	}
	e.faults.mu.Lock()
	e.faults.list = append(e.faults.list, &in)
	e.faults.mu.Unlock()
	e.handleFaults(w, r)
}

func (e *Emulator) handleFaults(w http.ResponseWriter, _ *http.Request) {
	e.faults.mu.Lock()
	list := make([]injection, 0, len(e.faults.list))
	for _, in := range e.faults.list {
		list = append(list, *in)
	}
	e.faults.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"faults": list})
}

func (e *Emulator) handleClearFaults(w http.ResponseWriter, _ *http.Request) {
	e.faults.mu.Lock()
	e.faults.list = nil
	e.faults.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
