package main

import (
	"context"
	"fmt"
	"time"
)

// probe is one question to Azure, its price, how it is asked, and what follows.
type probe struct {
	id       string // with a dot: it goes on from another, or is what a person saw of it
	question string
	mails    int
	minutes  int    // at most
	changes  string // what else it changes, after "It"; empty: nothing
	to       int    // how many addresses it needs
	// after is the probe that it goes on from, and wait how long after that.
	after string
	wait  time.Duration
	// alone is asked only if named, exhausts only with --exhaust, late after all others.
	alone, exhausts, late bool
	// ask returns the word of an answer. Nil: a person does steps, and says it.
	ask     func(context.Context, *probeRun) (string, error)
	steps   string
	answers []probeOutcome
}

// probeOutcome is a possible answer, and what it means for Posthorn.
type probeOutcome struct {
	word, means string
	setting     string // NAME=VALUE that follows; empty: none
}

// order sorts a run: what goes on from others comes after them, what takes the quota last.
func (p probe) order() int {
	switch {
	case p.late:
		return 2
	case p.after != "":
		return 1
	}
	return 0
}

func (p probe) words() []string {
	var all []string
	for _, o := range p.answers {
		all = append(all, o.word)
	}
	return all
}

// outcome finds what an answer means.
func (p probe) outcome(word string) probeOutcome {
	for _, o := range p.answers {
		if o.word == word {
			return o
		}
	}
	return probeOutcome{word: word}
}

func (p probe) wants() string {
	if p.to > 1 {
		return fmt.Sprintf("%s needs --sender, and --to %d times.", p.id, p.to)
	}
	return p.id + " needs --sender and --to."
}

// probes are all of them, each after the one that it goes on from.
func probes() []probe {
	var all []probe
	for _, some := range [][]probe{routeProbes(), repeatProbes(), duplicateProbes(), messageProbes(), limitProbes(), stateProbes(), reportProbes(), rightProbes(), hostProbes()} {
		all = append(all, some...)
	}
	return all
}

func routeProbes() []probe {
	return []probe{{
		id: "P1", question: "Does the function app route POST /emails:send to Posthorn?", minutes: 1, ask: askRoute,
		answers: []probeOutcome{
			{word: "routed", means: "ACS clients can call Posthorn as they call ACS."},
			{word: "not-found", means: "The platform answers by itself: the colon in the route is not served."},
			{word: "other", means: "Something else answers. The evidence says what."},
		},
	}}
}

// repeated are the answers to a call that was made before.
func repeated() []probeOutcome {
	return []probeOutcome{
		{word: "accepted", means: "ACS answers a repeat as it answers the first."},
		{word: "refused", means: "ACS refuses a repeat: Posthorn takes that for \"sent before\"."},
		{word: "conflict", means: "ACS answers 409: Posthorn takes that for \"sent before\"."},
	}
}

// duplicated are those to a Message-ID that was used before.
func duplicated() []probeOutcome {
	return append(repeated(), probeOutcome{word: "failed", means: "ACS accepts a repeat, and its operation fails."})
}

func mailsCame(one, more string) []probeOutcome {
	return []probeOutcome{{word: "one", means: one}, {word: "more", means: more}, {word: "none", means: "No mail arrived. Check the quarantine."}}
}

func repeatProbes() []probe {
	again := func(id, when string, wait time.Duration) probe {
		return probe{id: id, question: "What does the same Operation-Id with the same body get after " + when + "?", mails: 1, minutes: 1, to: 1, after: "P2", wait: wait,
			ask: func(ctx context.Context, a *probeRun) (string, error) { return askRepeat(ctx, a, "P2") }, answers: repeated()}
	}
	return []probe{
		{id: "P2", question: "What does the same Operation-Id with the same body get, twice at once?", mails: 2, minutes: 1, to: 1, ask: askTwiceAtOnce, answers: repeated()},
		again("P2.1m", "a minute", time.Minute), again("P2.1h", "an hour", time.Hour), again("P2.25h", "25 hours", 25*time.Hour),
		{id: "P2.mails", question: "How many mails did all calls of P2 bring?", after: "P2", steps: "Count the mails whose subject begins with \"Posthorn probe P2\" and ends in the same eight digits.",
			answers: mailsCame("A repeat after a lost answer is safe.", "A repeat after a lost answer may double a mail, unless the Message-ID is refused (P4).")},
		{id: "P3", question: "What does the same Operation-Id with another body get?", mails: 2, minutes: 1, to: 1, ask: askOtherBody, answers: repeated()},
		{id: "P3.mails", question: "Which mails of P3 came?", after: "P3", steps: "Check the mails whose subject begins with \"Posthorn probe P3\".", answers: []probeOutcome{
			{word: "first", means: "The first body counts."}, {word: "second", means: "The second body counts."}, {word: "both", means: "ACS does not look at the Operation-Id."}, {word: "none", means: "No mail arrived. Check the quarantine."}}},
	}
}

func duplicateProbes() []probe {
	again := func(id, when string, wait time.Duration) probe {
		return probe{id: id, question: "Is a Message-ID refused that was sent " + when + " ago?", mails: 1, minutes: 2, to: 1, after: "P4", wait: wait, ask: askSameMessageID, answers: duplicated()}
	}
	return []probe{
		{id: "P4", question: "Does x-ms-acsemail-validate-message-id refuse a Message-ID that another message had?", mails: 2, minutes: 2, to: 1, ask: askDuplicate, answers: duplicated()},
		again("P4.1h", "an hour", time.Hour), again("P4.24h", "a day", 24*time.Hour),
		{id: "P4.mails", question: "How many mails did all calls of P4 bring?", after: "P4", steps: "Count the mails whose subject begins with \"Posthorn probe P4\" and ends in the same eight digits.",
			answers: mailsCame("A repeat after a lost answer is safe.", "Nothing but the Operation-Id (P2) keeps a repeat from being a second mail.")},
		{id: "P5", question: "Does the recipient see Message-ID and the reserved header as Posthorn sets them?", after: "P4", steps: "Open the raw mail of P4. Look for the header Message-ID with the eight digits of the subject, and for x-ms-acsemail-validate-message-id.", answers: []probeOutcome{
			{word: "visible", means: "Both are there. The reserved header tells recipients which service sends."},
			{word: "message-id", means: "Message-ID is there and the reserved header is not: as it should be."},
			{word: "hidden", means: "ACS sets a Message-ID of its own: replies cannot be matched by Posthorn's."}}},
	}
}

func messageProbes() []probe {
	taken := []probeOutcome{{word: "accepted", means: "ACS accepts it."}, {word: "refused", means: "ACS refuses it, so Posthorn must."}}
	return []probe{
		{id: "P6", question: "Does ACS accept an address that stands twice?", mails: 2, minutes: 1, to: 1, ask: askTwins, answers: taken},
		{id: "P6.mails", question: "How many mails did P6 bring?", after: "P6", steps: "Count the mails whose subject begins with \"Posthorn probe P6 \".", answers: mailsCame("An address that stands twice is one mail.", "An address that stands twice is two mails, and is billed twice.")},
		{id: "P6.case", question: "Does ACS accept an address that stands twice, once in capitals?", mails: 2, minutes: 1, to: 1, ask: askTwinsInCapitals, answers: taken},
		{id: "P6.case.mails", question: "How many mails did P6.case bring?", after: "P6.case", steps: "Count the mails whose subject begins with \"Posthorn probe P6.case\".", answers: mailsCame("ACS compares addresses without regard to case.", "ACS compares addresses with regard to case.")},
		{id: "P11", question: "Does ACS accept a message with bcc alone and an empty to?", mails: 1, minutes: 1, to: 1, ask: askBlind, answers: taken},
		{id: "P15", question: "Does ACS accept senderDisplayName with api-version 2025-01-15-preview?", mails: 1, minutes: 1, to: 1, ask: askSenderName, answers: taken},
		{id: "P15.from", question: "Does the mail of P15 come from \"Posthorn probe\"?", after: "P15", steps: "Check the sender's name of the mail whose subject begins with \"Posthorn probe P15\".", answers: []probeOutcome{
			{word: "shown", means: "Callers may name their sender.", setting: "POSTHORN_ACS_API_VERSION=2025-01-15-preview"},
			{word: "not-shown", means: "ACS accepts the name but does not use it.", setting: "POSTHORN_ACS_API_VERSION=2025-09-01"}}},
	}
}

func limitProbes() []probe {
	quota := "takes the sending quota of a minute, of all programs of the subscription"
	return []probe{
		{id: "P7", question: "Does a call to N recipients cost 1 or N of the quota?", mails: mailsOfP7, minutes: 3, to: 3, late: true, changes: quota, ask: askCost, answers: []probeOutcome{
			{word: "message", means: "A call costs 1.", setting: "POSTHORN_QUOTA_COST=message"},
			{word: "recipients", means: "A call costs as many as it has recipients.", setting: "POSTHORN_QUOTA_COST=recipients"}}},
		{id: "P8", question: "What is a 429 like, and does a refused call cost quota?", mails: mailsOfP8, minutes: 6, to: 1, late: true, exhausts: true, changes: "takes the sending quota of an hour: pause sending first (\"posthorn sending pause\")", ask: askLimit, answers: []probeOutcome{
			{word: "free", means: "Calls pass when the 429 said: refused calls cost nothing."},
			{word: "counted", means: "Calls pass later than the 429 said: refused calls cost quota too. Posthorn waits for Retry-After, so that it loses none."},
			{word: "hour", means: "The limit of the hour came first. The evidence has its 429."},
			{word: "none", means: "No 429 came: the subscription has more quota than the settings say."}}},
		{id: "P10", question: "How large may a request be?", mails: 4, minutes: 6, to: 1, changes: "sends mails of 10 to 14 MB", ask: askSize, answers: []probeOutcome{
			{word: "10000000", means: "10 MB are 10,000,000 bytes.", setting: "POSTHORN_ACS_MAX_REQUEST_BYTES=10000000"},
			{word: "10485760", means: "10 MB are 10,485,760 bytes, after Base64.", setting: "POSTHORN_ACS_MAX_REQUEST_BYTES=10485760"},
			{word: "between", means: "The limit is between 10,485,860 and 13,900,000 bytes.", setting: "POSTHORN_ACS_MAX_REQUEST_BYTES=10485760"},
			{word: "before-base64", means: "10 MB are counted before Base64.", setting: "POSTHORN_ACS_MAX_REQUEST_BYTES=13900000"},
			{word: "smaller", means: "ACS refuses what its documentation allows."},
			{word: "larger", means: "The subscription's limit was raised. Set POSTHORN_ACS_MAX_REQUEST_BYTES to what Microsoft has granted."}}},
	}
}

func stateProbes() []probe {
	again := func(id, when string, wait time.Duration) probe {
		return probe{id: id, question: "Does ACS know an operation after " + when + "?", minutes: 1, after: "P12", wait: wait, ask: askOldOperation, answers: []probeOutcome{
			{word: "known", means: "A doubt can be resolved by asking, as late as that."},
			{word: "forgotten", means: "A doubt must be resolved earlier."}}}
	}
	return []probe{
		{id: "P12", question: "Does ACS know an operation at once?", mails: 1, minutes: 1, to: 1, ask: askNewOperation, answers: []probeOutcome{
			{word: "known", means: "No 404 comes before the operation is there."}, {word: "later", means: "A 404 comes first: it does not mean \"not sent\"."}}},
		again("P12.1h", "an hour", time.Hour), again("P12.24h", "a day", 24*time.Hour), again("P12.7d", "a week", 7*24*time.Hour), again("P12.30d", "30 days", 30*24*time.Hour),
	}
}
