// Package sendtest sends one message and follows it to the end of ACS's operation: the
// mail that proves a deployment.
//
// In: a way, which is the gateway's HTTP API or ACS itself, and a message. Out: steps with
// their durations while they happen, and a Report. It chooses no caller and no sender, and
// reads no settings: package operate does. Nothing that it says has a key, a body or a
// recipient in it, but what ACS quotes.
package sendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Message is what is sent.
type Message struct{ Sender, To, Subject, Text, HTML string }

// Status is what a way knows of a message.
type Status struct {
	// Word is ACS's: Running, Succeeded, Failed or Canceled; any other counts as Running.
	Word string
	// State is the gateway's, such as waiting; "" if the way is ACS itself.
	State    string
	Expected time.Time // when a queued message will probably go
	// Code and Detail say why it failed, in ACS's words.
	Code, Detail string
	Again        time.Duration // before the next question; 0: not said
	Sandbox      bool          // it was checked, and is not sent
	Redirected   bool          // it goes to the caller's one mailbox
	Note         string        // what is odd, and no reason to end
}

func (s Status) ended() bool {
	return s.Word == "Succeeded" || s.Word == "Failed" || s.Word == "Canceled"
}

// Way hands a message over and asks what became of it. id is a UUID that was not used
// before. Errors are *Error, or those of the context.
type Way interface {
	Send(ctx context.Context, id string, m Message) (Status, error)
	Ask(ctx context.Context, id string) (Status, error)
}

// Error is an end that is no success.
type Error struct {
	Detail string // what happened, a sentence
	Advice string // what to do; may be empty
	Away   bool   // Azure or the gateway gives no answer, or refuses this deployment
	// passing says that the same question may have an answer later.
	passing bool
	again   time.Duration
}

func (f *Error) Error() string { return f.Detail }

// Step is one that was made.
type Step struct {
	Name         string `json:"name"`
	Milliseconds int64  `json:"milliseconds"` // since the step before
	Detail       string `json:"detail"`
}

// Report is how a message fared.
type Report struct {
	ID           string `json:"id"`     // of ACS's operation; "" if nothing was accepted
	Status       string `json:"status"` // ACS's word
	Code         string `json:"code"`   // ACS's, if it failed
	Detail       string `json:"detail"`
	Milliseconds int64  `json:"milliseconds"`
	Steps        []Step `json:"steps"`
}

// Trial is one message on its way.
type Trial struct {
	Way Way
	Now func() time.Time
	// Wait bounds all of it. Beyond it the message goes on, and is not followed.
	Wait time.Duration
	// Told hears each step when it is made.
	Told func(Step)

	report Report
	begun  time.Time
	last   time.Time
}

// The pauses between questions: where a way does not say, and at least.
const (
	usualPause    = 3 * time.Second
	shortestPause = time.Second
)

// Run sends m under id and follows it. The Report is complete in any case. Errors are
// *Error, or that ctx was cancelled.
func (t *Trial) Run(ctx context.Context, id string, m Message) (Report, error) {
	t.begun = t.Now()
	t.last = t.begun
	err := t.run(ctx, id, m)
	t.report.Milliseconds = t.last.Sub(t.begun).Milliseconds()
	if f, ok := errors.AsType[*Error](err); ok && t.report.Detail == "" {
		t.report.Detail = f.Detail
	}
	return t.report, err
}

func (t *Trial) run(ctx context.Context, id string, m Message) error {
	bounded, cancel := context.WithTimeout(ctx, t.Wait)
	defer cancel()
	s, err := t.Way.Send(bounded, id, m)
	if err != nil {
		return t.late(ctx, err, &Error{
			Detail: fmt.Sprintf("There was no answer within %s, so it is not known whether the message was taken. Its operation is %s.", t.Wait, id), Away: true,
			Advice: "Check the mailbox before you try again.",
		})
	}
	t.report.ID = id
	t.step("accepted", "operation "+id)
	if s.Note != "" {
		t.step("note", s.Note)
	}
	if s.Redirected {
		t.step("note", "the caller's messages all go to its one mailbox for tests, and so does this one")
	}
	seen := ""
	for {
		if name, detail := s.step(); name+detail != seen {
			seen = name + detail
			t.step(name, detail)
		}
		t.report.Status = s.Word
		if s.ended() || s.Sandbox {
			return t.end(s)
		}
		if !s.Expected.IsZero() && s.Expected.After(t.begun.Add(t.Wait)) {
			return t.unfinished(s, "The message waits, and goes probably at %s: later than this command waits.", clock(s.Expected))
		}
		before := s
		if s, err = t.ask(bounded, id, s); err != nil {
			return t.late(ctx, err, t.unfinished(before, "The message has not come to its end within %s.", t.Wait))
		}
	}
}

// ask asks once more, until there is an answer. Faults that pass are told once.
func (t *Trial) ask(ctx context.Context, id string, before Status) (Status, error) {
	pause, told := before.Again, false
	for {
		if pause == 0 {
			pause = usualPause
		}
		if err := sleep(ctx, max(pause, shortestPause)); err != nil {
			return before, err
		}
		s, err := t.Way.Ask(ctx, id)
		f, ok := errors.AsType[*Error](err)
		if !ok || !f.passing {
			return s, err
		}
		if pause = f.again; !told {
			t.step("no answer", f.Detail+" Asking again.")
			told = true
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// late is err, or over if the time is. The end of ctx itself stays.
func (t *Trial) late(ctx context.Context, err error, over *Error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return over
	}
	return err
}

// unfinished is the end of following, and not of the message.
func (t *Trial) unfinished(s Status, format string, args ...any) *Error {
	f := &Error{Detail: fmt.Sprintf(format, args...), Advice: "The message continues by itself. Check the mailbox later, or set a longer --wait."}
	if s.State == "waiting" {
		f.Advice = fmt.Sprintf("The message continues by itself. \"posthorn messages show %s\" says why it waits, and \"posthorn send-test TO --direct\" shows ACS's own words.", t.report.ID)
	}
	return f
}

func (t *Trial) step(name, detail string) {
	now := t.Now()
	s := Step{name, now.Sub(t.last).Milliseconds(), detail}
	t.last = now
	t.report.Steps = append(t.report.Steps, s)
	t.Told(s)
}

// step is how a status is told.
func (s Status) step() (name, detail string) {
	switch {
	case s.Sandbox:
		return "checked", "the caller is in the sandbox"
	case s.Word == "Succeeded":
		return "succeeded", "ACS has sent it out"
	case s.Word == "Failed", s.Word == "Canceled":
		return "failed", s.Code
	}
	switch s.State {
	case "waiting":
		return "queued", "it waits for its turn, and goes probably at " + clock(s.Expected)
	case "claimed", "sending":
		return "sending", "the gateway hands it to ACS"
	case "unknown":
		return "in doubt", "ACS gave no clear answer, and is asked"
	}
	return "running", "ACS has it, and is at work"
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) + " UTC" }

// end says what the end of a message means.
func (t *Trial) end(s Status) error {
	t.report.Code, t.report.Detail = s.Code, s.Detail
	switch {
	case s.Sandbox:
		return &Error{Detail: "The caller is in the sandbox: the message was checked, and nothing was sent.", Advice: "Name another caller with --caller."}
	case s.Word == "Succeeded":
		return nil
	case s.Word == "Canceled":
		return &Error{Detail: "The message was cancelled before it was sent."}
	}
	detail := strings.TrimSuffix("ACS did not send the message: "+s.Detail, ": ")
	if s.State != "" && s.Detail != "" {
		detail = s.Detail // a sentence of the gateway
	}
	if s.Code != "" {
		detail += " (" + s.Code + ")"
	}
	return &Error{Detail: detail, Advice: adviceOn(s.Code)}
}
