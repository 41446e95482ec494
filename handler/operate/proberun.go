package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// probeRun asks probes, one after the other.
type probeRun struct {
	c      *console
	cloud  cloud
	wire   *wire
	sender string
	to     []string
	known  *probeFindings
	now    *probeFinding // of the one that is being asked
	// failed is the first fault that did not keep the others from being asked.
	failed error
	posted bool // whether quota was used in this run
}

// askError is why a probe has no answer. Others can be asked.
type askError string

func (e askError) Error() string { return string(e) }

// stopError is why no probe can be asked now.
type stopError string

func (e stopError) Error() string { return string(e) }

// sendRight is what ACS looks for in a login that sends: it has no right of its own for that.
const sendRight = "Microsoft.Communication/communicationServices/write"

// denied is the fault of a login that ACS refuses.
func (a *probeRun) denied(r reply) error {
	return &azure.Error{What: "send", Kind: azure.Forbidden, Status: r.status, Code: r.code, Message: "ACS refuses this login; a new role needs some minutes", Action: sendRight, Scope: string(a.cloud.at.Service)}
}

func (a *probeRun) open(context.Context) (err error) {
	a.wire, err = newWire(a.cloud)
	return err
}

// saw keeps evidence at once: what comes after it may fail.
func (a *probeRun) saw(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	a.c.tell("  %s", line)
	a.now.Evidence = append(a.now.Evidence, line)
	return a.known.save()
}

// one asks a probe, and returns what keeps all others from being asked.
func (a *probeRun) one(ctx context.Context, p probe, due time.Time) error {
	if wait := due.Sub(a.c.now()); wait > 0 {
		a.c.tell("%s is asked in %s.", p.id, wait.Round(time.Second))
		if err := a.c.sleep(ctx, wait); err != nil {
			return err
		}
	}
	a.c.tell("%s: %s", p.id, p.question)
	a.now = a.known.begin(p, a.c.now())
	if err := a.known.save(); err != nil {
		return err
	}
	answer, err := p.ask(ctx, a)
	if err == nil {
		a.now.Answer = answer
		a.c.tell("  = %s. %s", answer, p.outcome(answer).means)
	}
	if saved := a.known.save(); saved != nil {
		return saved
	}
	if stops(ctx, err) {
		return err
	}
	if err != nil {
		a.c.tell("  No answer: %s. Run this again.", sentence(err))
		a.now.Evidence = append(a.now.Evidence, "no answer: "+faultWord(err))
		if a.failed == nil {
			a.failed = fmt.Errorf("%s has no answer: %w", p.id, err)
		}
		return a.known.save()
	}
	return nil
}

// stops tells whether an error would meet the next probe too.
func stops(ctx context.Context, err error) bool {
	_, stop := errors.AsType[stopError](err)
	fault, ok := errors.AsType[*azure.Error](err)
	return stop || ctx.Err() != nil || ok && (fault.Kind == azure.Login || fault.Action == sendRight)
}

// faultWord is an error without what Azure quotes.
func faultWord(err error) string {
	if e, ok := errors.AsType[*azure.Error](err); ok {
		if e.Status == 0 {
			return e.What + " failed"
		}
		return fmt.Sprintf("%s: %d %s", e.What, e.Status, plainWord(e.Code))
	}
	return err.Error()
}

// probePatience is how long a 429 is waited for within a run.
const probePatience = 90 * time.Second

// post sends until it is not for the quota that ACS refuses. What is a 401, 403, 429 of
// the hour or 5xx is an error: it answers nothing.
func (a *probeRun) post(ctx context.Context, what, version, operation string, m probeMail) (reply, error) {
	body := m.json()
	for range 3 {
		a.posted = true
		r, err := a.wire.send(ctx, version, operation, body)
		if err != nil {
			return r, err
		}
		if err := a.saw("%s: %s", what, r); err != nil {
			return r, err
		}
		switch {
		case r.status == 401 || r.status == 403:
			return r, a.denied(r)
		case r.status == 429 && r.wait <= probePatience:
			a.c.tell("  The minute's quota is used up. The probe continues in %s.", max(r.wait, time.Second))
			if err := a.c.sleep(ctx, max(r.wait, time.Second)); err != nil {
				return r, err
			}
			continue
		case r.status == 429:
			return r, stopError(fmt.Sprintf("the sending quota is used up until %s. Run this again then", utcMinute(a.c.now().Add(r.wait))))
		case r.status >= 500:
			return r, askError(fmt.Sprintf("ACS failed with %d", r.status))
		}
		return r, nil
	}
	return reply{}, stopError("the sending quota stays used up. Run this again later")
}

// judged is the word for how ACS takes a call.
func judged(r reply) string {
	switch {
	case r.taken():
		return "accepted"
	case r.status == 409:
		return "conflict"
	}
	return "refused"
}

// fate asks for an operation until it has ended; the reply is then its last state.
func (a *probeRun) fate(ctx context.Context, operation string) (reply, error) {
	for range 20 {
		if err := a.c.sleep(ctx, 5*time.Second); err != nil {
			return reply{}, err
		}
		r, err := a.wire.status(ctx, operation)
		if err != nil {
			return r, err
		}
		if slices.Contains([]string{"Succeeded", "Failed", "Canceled"}, r.state) {
			return r, a.saw("the operation: %s", r)
		}
		if r.status == 401 || r.status == 403 {
			return r, a.denied(r)
		}
	}
	return reply{}, askError("the operation had not ended after 100 s")
}

// people asks on a terminal, or tells, what only a person can see of what was asked.
func (a *probeRun) people(asked []string) {
	var open []probe
	for _, p := range probes() {
		if p.ask == nil && a.known.of(p.id).Answer == "" && slices.Contains(asked, p.after) && a.known.of(p.after).Answer != "" {
			open = append(open, p)
		}
	}
	if len(open) > 0 {
		a.c.tell("Check these yourself after some minutes:")
	}
	in := bufio.NewReader(a.c.in)
	for _, p := range open {
		a.c.tell("%s: %s\n  %s", p.id, p.question, p.steps)
		if !a.c.person {
			a.c.tell("  posthorn doctor --probe --answer %s=%s", p.id, strings.Join(p.words(), "|"))
			continue
		}
		for {
			fmt.Fprintf(a.c.said, "  %s, or Enter for later: ", strings.Join(p.words(), ", "))
			line, err := in.ReadString('\n')
			if err != nil || strings.TrimSpace(line) == "" {
				break
			}
			mistake := a.known.note(probes(), p.id+"="+strings.TrimSpace(line), a.c.now())
			if mistake == nil {
				break
			}
			a.c.tell("  %s", mistake)
		}
	}
}
