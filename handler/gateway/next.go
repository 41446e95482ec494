package gateway

import (
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

// result is what has just happened to a message, in the words of docs/decisions/waiting.md.
type result string

const (
	accepted   result = "ACS accepted it"
	rejected   result = "ACS rejected it"
	silent     result = "ACS gave no answer"
	failing    result = "ACS answered that it failed"
	refused    result = "ACS did not take it, but takes others"
	postponed  result = "nothing can be sent now"
	unknown    result = "ACS does not know it"
	unasked    result = "ACS could not be asked"
	expired    result = "its deadline passed"
	forbidden  result = "its caller may not send it any more"
	unreadable result = "its content cannot be read"
	changed    result = "its record has changed"
)

// outcome is a result, and why.
type outcome struct {
	result  result
	failure *record.Failure // of rejected
	err     error           // of what was not accepted
	fenced  bool            // the record says sending by the fence of this attempt
}

// doubt is what the queue keeps of an outcome that leaves open whether ACS has the message.
func (o outcome) doubt() spool.Doubt {
	switch o.result {
	case silent:
		return spool.NoAnswer
	case failing:
		return spool.FailureAnswer
	}
	return spool.NoDoubt
}

// holds says whether an outcome is true whatever the record says by now: the fence or ACS
// has decided it, or the attempt has not changed the record.
func (o outcome) holds() bool {
	return o.fenced || o.result != changed && o.result != forbidden && o.result != unreadable
}

// resolving is what a record is made that says that ACS is being asked.
const resolving record.State = "resolving"

// step is what becomes of a queue entry.
type step string

const (
	fenceAgain step = "fenced again"
	requeued   step = "queued"
	removed    step = "removed"
	deadLetter step = "dead letter"
)

// action is what is done with a queued message: its record gets a state, if one is given,
// and its entry takes a step.
type action struct {
	state   record.State
	failure *record.Failure // of the state
	step    step
	entry   spool.Entry // as it is queued
	reason  string      // of a dead letter
}

const (
	// maxTries bounds the calls to ACS that failed for a message's own reasons,
	// maxRepeats those made again after a doubt.
	maxTries   = 8
	maxRepeats = 3
	// firstPause doubles with every try, up to longestPause: five hours in all.
	firstPause   = time.Minute
	longestPause = 2 * time.Hour
	// unanswered is the pause when ACS could not be asked.
	unanswered = time.Minute
)

// askPauses are the pauses before each question to ACS about a queued message in doubt.
// An operation has been seen to show after seconds: when ACS does not know it after the
// last pause, ACS does not have it. Wake-ups included, a doubt is over within a minute.
var askPauses = [...]time.Duration{3 * time.Second, 7 * time.Second, 12 * time.Second, 18 * time.Second}

// next says what is done with a queued message. rec is nil if there is no record. An
// outcome that does not hold counts only where nobody sends the message and ACS cannot
// have it.
func next(rec *record.Record, e spool.Entry, o outcome, now time.Time) action {
	switch {
	case rec == nil || rec.Spooled != e.Key: // it was never promised, outlived its record, or is queued elsewhere
		return action{step: removed}
	case rec.Final():
		return ended(rec)
	case o.holds():
		return conclude(rec, e, o, now)
	case rec.State == record.Sending && !now.After(rec.OwnerUntil):
		return pause(e, rec.OwnerUntil.Add(time.Second))
	case rec.State == record.Sending: // so long ago that one answer is enough
		return resolve(rec, e, spool.FailureAnswer, now)
	case rec.State == record.Unknown && rec.Version() != e.Version: // a doubt that the entry could not be told
		return resolve(rec, e, spool.NoAnswer, now)
	case o.result == changed:
		return action{step: fenceAgain}
	}
	return conclude(rec, e, o, now)
}

// ended lets go of a message whose record has ended. What was being given up becomes a
// dead letter.
func ended(rec *record.Record) action {
	switch {
	case rec.State != record.Failed && rec.State != record.Unknown:
		return action{step: removed}
	case rec.Failure == nil:
		return action{step: deadLetter, reason: "It may or may not have been sent."}
	}
	return action{step: deadLetter, reason: rec.Failure.Detail}
}

// conclude acts on an outcome that holds.
func conclude(rec *record.Record, e spool.Entry, o outcome, now time.Time) action {
	cause := problem.Of(o.err)
	switch o.result {
	case accepted:
		return action{state: record.Accepted, step: removed}
	case rejected:
		return giveUp(record.Failed, *o.failure)
	case silent, failing:
		return resolve(rec, e, o.doubt(), now)
	case refused:
		if e.Tries++; e.Tries >= maxTries {
			detail := fmt.Sprintf("It was offered to ACS %d times and not taken. The last reason: %s", e.Tries, cause.Detail)
			return unsent(e, record.Failure{Kind: cause.Kind.Slug(), Detail: detail, Upstream: cause.Upstream})
		}
		return action{state: record.Waiting, step: requeued, entry: pause(e, now.Add(min(firstPause<<(e.Tries-1), longestPause))).entry}
	case unknown:
		return resend(rec, e, now)
	case unasked:
		if now.After(rec.Deadline) {
			return unresolved("ACS gave no clear answer, and could not be asked until the message's deadline. It may or may not have been sent.")
		}
		return pause(e, now.Add(max(unanswered, cause.RetryAfter)))
	case expired:
		return unsent(e, record.Failure{Kind: problem.DeadlinePassed.Slug(), Detail: "The message waited until its deadline and was not sent."})
	case forbidden:
		return unsent(e, record.Failure{Kind: cause.Kind.Slug(), Detail: cause.Sentence()})
	case unreadable:
		return unsent(e, record.Failure{Kind: problem.Internal.Slug(), Detail: "The content of the message cannot be read any more, so it cannot be sent."})
	}
	return action{state: record.Waiting, step: requeued, entry: e}
}

// resend asks again later. A message that ACS does not know after the last question is sent
// again under the same ids, and one that was sent too often stays unknown.
func resend(rec *record.Record, e spool.Entry, now time.Time) action {
	e.UnknownAnswers++
	switch {
	case e.UnknownAnswers < e.UnknownAnswersNeeded():
		return pause(e, now.Add(askPauses[min(e.UnknownAnswers, len(askPauses)-1)]))
	case e.Repeats == maxRepeats:
		return unresolved("ACS gave no clear answer each time that the message was sent, and does not know it. It may or may not have been sent.")
	}
	e.Repeats++
	e.UnknownAnswers, e.Doubt, e.NotBefore, e.Version = 0, spool.NoDoubt, time.Time{}, rec.Version()
	return action{step: requeued, entry: e}
}

// pause queues a message again until a time.
func pause(e spool.Entry, until time.Time) action {
	e.NotBefore = until
	return action{step: requeued, entry: e}
}

// resolve has ACS asked about a message that it may have.
func resolve(rec *record.Record, e spool.Entry, doubt spool.Doubt, now time.Time) action {
	e.Doubt, e.Version, e.UnknownAnswers, e.NotBefore = doubt, rec.Version(), 0, now.Add(askPauses[0])
	return action{state: resolving, step: requeued, entry: e}
}

// unsent gives up a message that this attempt has not sent. Whether an earlier one has, is
// not known.
func unsent(e spool.Entry, f record.Failure) action {
	if e.Repeats == 0 {
		return giveUp(record.Failed, f)
	}
	f.Detail += " ACS gave no clear answer when it was sent before, and does not know it: it may or may not have been sent then."
	return giveUp(record.Unknown, f)
}

// unresolved gives up asking about a message.
func unresolved(detail string) action {
	return giveUp(record.Unknown, record.Failure{Kind: problem.ACSFailed.Slug(), Detail: detail})
}

func giveUp(s record.State, f record.Failure) action {
	return action{state: s, failure: &f, step: deadLetter, reason: f.Detail}
}
