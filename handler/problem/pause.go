package problem

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxReasonRunes bounds what the operator says of a pause: one line on a terminal.
const MaxReasonRunes = 200

// pausedRetry is what a client is told to wait whose message was refused: nobody knows
// when a pause ends.
const pausedRetry = time.Minute

// Pause is the operator's word that something does not leave for now. The reason is
// shown to callers.
type Pause struct {
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Refuse says that new messages are refused; otherwise they wait.
	Refuse bool `json:"refuse,omitempty"`
	// Auto says that it is Posthorn's own word, which the operator can take back.
	Auto bool `json:"auto,omitempty"`
	// What names what is paused, if that is not what the message is of, but by.
	What string `json:"-"`
}

// NewPause makes a Pause that begins now. A reason that is too long or not one line of
// text is a problem of kind InvalidRequest.
func NewPause(reason string, refuse bool, now time.Time) (*Pause, error) {
	reason = strings.TrimSpace(reason)
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > MaxReasonRunes || strings.ContainsFunc(reason, unicode.IsControl) {
		return nil, New(InvalidRequest, "The reason of a pause must be one line of at most %d characters.", MaxReasonRunes)
	}
	return &Pause{Reason: reason, Since: now.UTC().Truncate(time.Second), Refuse: refuse}, nil
}

// Checked is a pause of untrusted origin as NewPause would have made it; nil is none.
func (p *Pause) Checked() (*Pause, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // there is no pause
	}
	checked, err := NewPause(p.Reason, p.Refuse, p.Since)
	if err == nil {
		checked.Auto = p.Auto
	}
	return checked, err
}

// Problem is the problem of a message that does not leave, or is not taken. what names what
// is paused.
func (p *Pause) Problem(what string) *Problem {
	who := "The operator"
	if p.Auto {
		who = "Posthorn"
	}
	detail := who + " has paused " + cmp.Or(p.What, what)
	if p.Reason != "" {
		detail += ": " + strings.TrimRight(p.Reason, ".")
	}
	e := New(Paused, "%s. The message was not sent. Send it again after Retry-After, or ask the operator.", detail)
	e.RetryAfter = pausedRetry
	return e
}
