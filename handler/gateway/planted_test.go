package gateway_test

import (
	"strings"
	"testing"
)

// planted is a bug that somebody might make, and the test that must see it.
type planted struct {
	name string
	// file is below handler; old stands in it exactly once, and the bug in its place.
	file, old, bug string
	// where is the package, below handler, whose tests called run must fail. Of a
	// simulation, run names the crash points at which the bug shows.
	where, run string
}

// crashRuns are enough seeds for a planted bug to show.
const crashRuns = " -sim.seeds=8"

var plantedBugs = []planted{
	{
		"no fence before ACS", "gateway/send.go",
		`if err := g.Records.MarkSending(ctx, rec); err != nil {`, `if err := error(nil); err != nil {`,
		"gateway", "TestSimCrashPointsWithAForgetfulACS/^20_",
	},
	{
		"a window that is not widened", "decide/quota/window/limits.go",
		`return window{limit, w + MaxAge + 2*ClockError, Instant.WholeSecond}`, `return window{limit, w, Instant.WholeSecond}`,
		"decide/quota", "TestNoWindowOfAnyAlignmentHoldsMoreThanTheLimit",
	},
	{
		"a reservation that counts from the beginning of its second", "decide/quota/window/limits.go",
		`func (w window) leaves(b Reservation) Instant { return b.At.Add(w.width) }`,
		`func (w window) leaves(b Reservation) Instant { return b.At.Add(w.width - 1e9) }`,
		"decide/quota", "TestAReservationCountsAWholeWindowFromTheEndOfItsSecond",
	},
	{
		"a token of any age is used", "decide/quota/window/call.go",
		`func (g Grant) Live(now time.Time) bool { return now.Before(g.UseBy) }`, `func (g Grant) Live(time.Time) bool { return true }`,
		"decide/quota", "TestSlowStorageBurnsTokens",
	},
	{
		"sent again at once when ACS does not answer", "gateway/offer.go",
		`o.result, tell = silent, fails`,
		`o.result, tell = silent, func(context.Context, quota.Grant) error { return g.ACS.Send(ctx, rec.OperationID, m, again) }`,
		"gateway", "TestSimCrashPointsWithAForgetfulACS/^9_",
	},
	{
		"a refund when ACS does not answer", "decide/quota/window/answers.go",
		"	d.Changed = d.Changed || changed\n	return closed",
		"	if n := len(d.Usage.Reservations); n > 0 {\n		d.Usage.Reservations = d.Usage.Reservations[:n-1]\n	}\n	d.Changed = d.Changed || changed || true\n	return closed",
		"gateway", "TestSimSilenceCostsTokens",
	},
	{
		"a claim without an attempt id", "decide/record/record.go",
		`case theirs == attempt, theirs == r.attempt`, `case theirs == "", theirs == r.attempt`,
		"decide/record", "TestALostAnswerIsKnownAsOurs",
	},
	{
		"a fence that meets another's record is taken for its own", "decide/record/step.go",
		`if readErr == nil && theirs == attempt {`, `if readErr == nil && theirs != "" {`,
		"gateway", "TestARepeatOfWhatTheFenceClaimed|TestRequestsAtOnceWithPlentyOfTokens",
	},
	{
		"a fence without an answer is another's", "decide/record/record.go",
		`theirs == r.attempt && r.attempt != ""`, `false`,
		"gateway", "TestAFenceInDoubtIsKnownAsOurs",
	},
	{
		"a message goes before it is noted as at work", "gateway/send.go",
		`if err := g.begin(ctx, s).AwaitNote(ctx); err != nil {`, `if err := error(nil); err != nil {`,
		"gateway", "TestNothingGoesThatIsNotNoted",
	},
	{
		"a repeat takes a token that is missed", "decide/quota/window/draft.go",
		`return d.Pause == nil && d.Health.well(d.at) && half(minute`, `return true || half(minute`,
		"gateway", "TestARepeatTakesNoTokenThatIsMissed",
	},
	{
		"a write that does not look whose version it replaces", "decide/record/step.go",
		`e.ETag = r.etag`, `e.ETag = ""`,
		"decide/record", "TestOnlyWhatWaitsCanBeCancelled|TestAnOwnerWhoWakesTooLateCannotSend",
	},
	{
		"what died while sending is sent again unasked", "gateway/next.go",
		`return resolve(rec, e, spool.FailureAnswer, now)`, `return action{step: fenceAgain}`,
		"gateway", "TestSimCrashPointsWithAForgetfulACS/^(17|19)_",
	},
	{
		"a writer who was overtaken gives up", "decide/quota/row/commit.go",
		`if len(made)-conflicts == tries {`, `if len(made) == tries {`,
		"decide/quota", "TestAllInstancesAtOnceFindTheirTurn",
	},
	{
		"202 before the queue entry is safe", "gateway/queue.go",
		`return g.Spool.InsertEntry(ctx, entry)`, `go g.Spool.InsertEntry(context.WithoutCancel(ctx), entry); return nil`,
		"gateway", "TestSimCrashPoints$/^(14|18)_",
	},
	{
		"a lease that is kept by a dispatcher that has ended", "gateway/dispatch.go",
		`return found{state: idle}, nil
	default:`, `return found{state: taken}, nil
	default:`,
		"gateway", "TestWhatComesAfterTheDispatcherHasEndedIsSentSoon",
	},
	{
		"nobody looks for lost wake-up messages", "gateway/watchdog.go",
		`for _, shard := range shards {`, `for _, shard := range shards[:0] {`,
		"gateway", "TestSimCrashPoints$/^(15|16|17)_",
	},
	{
		"a direct message overtakes those who wait", "decide/quota/window/draft.go",
		`if n.call().Class <= c.Class && n.demand(d.at) > 0 && !d.capped(n) {`, `if n.Class < 0 {`,
		"decide/quota", "TestNobodyOvertakesThoseWhoWait",
	},
	{
		"the row is deleted before the content", "deliver/spool/spool.go",
		"		if err := s.DeleteBlob(ctx, entry.Key); err != nil {\n			return err\n		}\n	}\n	return s.DeleteEntry(ctx, entry)",
		"	}\n	return s.DeleteEntry(ctx, entry)",
		"gateway", "TestSimNothingIsLeft/large",
	},
	{
		"the content of a small message stays when its entry goes", "deliver/spool/content.go",
		`if !large {`, `if false {`,
		"gateway", "TestSimNothingIsLeft/small",
	},
	{
		"a dead letter leaves its content behind", "deliver/spool/deadletter.go",
		`insertRow(ctx, s.dead, e, content)`, `insertRow(ctx, s.dead, e, content[:0])`,
		"gateway", "TestWhatHasNoContentCannotBeRetried",
	},
	{
		"a poll promises a queue entry that is not there", "gateway/poll.go",
		"	if !abandoned {\n		rec.State = record.Claimed\n		return", "	if !abandoned {\n		return",
		"gateway", "TestAPollOfWhatItsDeadOwnerDidNotSendEnds",
	},
	{
		"what was sent stays in its queue", "gateway/apply.go",
		`err = d.Spool.DeleteQueued(ctx, d.entry)`, `err = nil`,
		"gateway", "TestEveryWayOutOfTheQueue/sent",
	},
	{
		"what was resolved stays in its queue", "gateway/apply.go",
		`err = d.Spool.DeleteQueued(ctx, d.entry)`, `err = nil`,
		"gateway", "TestEveryWayOutOfTheQueue/resolved",
	},
	{
		"what was given up stays in its queue", "deliver/spool/deadletter.go",
		`return s.DeleteEntry(ctx, &d.Entry)`, `return nil`,
		"gateway", "TestEveryWayOutOfTheQueue/(refused|expired)",
	},
	{
		"what was cancelled stays in its queue", "gateway/queue.go",
		"	if found {\n		g.dequeue(ctx, &entry)", "	if found {\n		_ = entry",
		"gateway", "TestEveryWayOutOfTheQueue/cancelled",
	},
	{
		"what was dropped is kept", "gateway/deadletters.go",
		"!problem.Is(err, problem.Gone) {\n		return err\n	}\n	return g.Spool.DiscardDeadLetter(ctx, &d)", "!problem.Is(err, problem.Gone) {\n		return err\n	}\n	return nil",
		"gateway", "TestEveryWayOutOfTheQueue/dropped",
	},
	{
		"what comes back to its line is not counted", "decide/quota/window/join.go",
		"n.Held, n.HeldCost, n.Look = n.Held+1, n.HeldCost+c.Cost, sooner(n.Look, due.WholeSecond())", "n.Waiting--",
		"gateway", "TestSimCrashPoints$/^(9|11)_",
	},
	{
		"a probe that is not used is not given back", "gateway/apply.go",
		"	defer permit.done(ctx)\n", "",
		"gateway", "TestPassedDeadlinesDoNotDelayOthers",
	},
	{
		"questions wait for room to send", "decide/quota/window/dispatch.go",
		`at = sooner(at, max(n.Look, d.at))`, `at = max(d.fits(n.call()), n.Look, d.at)`,
		"gateway", "TestQuestionsDoNotWaitForRoomToSend",
	},
	{
		"a caller who leaves takes the work with him", "gateway/send.go",
		`ctx, cancel := withoutCaller(ctx)`, `ctx, cancel := context.WithCancel(ctx)`,
		"gateway", "TestSimCallersHangUp/^8_",
	},
	{
		"a repeat has no time left to ask ACS", "gateway/claim.go",
		"	switch o := g.ask(ctx", "	ctx, cancel := context.WithTimeout(ctx, g.undoTimeout)\n	defer cancel()\n	for _, wait := range resolveWaits {\n		if err := sleep(ctx, wait); err != nil {\n			return Answer{}, false, err\n		}\n	}\n	switch o := g.ask(ctx",
		"gateway", "TestARepeatSendsWhatItsDeadOwnerDidNot",
	},
	{
		"the record of a doubt is written before its entry", "gateway/apply.go",
		`case "", resolving:`, "case \"\":\n	case resolving:\n		a.state, err = \"\", d.Records.MarkResolving(ctx, rec)",
		"gateway", "TestADoubtThatCannotBeNotedStaysWhatItWas",
	},
	{
		"each poll asks ACS", "gateway/poll.go",
		`if err := g.Records.MarkUnsent(ctx, rec); err != nil {`, `if err := error(nil); err != nil {`,
		"gateway", "TestAnEndThatCannotBeRecordedIsNotResolvingForEver",
	},
	{
		"what is refused in the end leaves no word", "gateway/undo.go",
		"	if s.named && !problem.Is(why, problem.TooManyQueued) {", "	if false {",
		"gateway", "TestARepeatOfWhatIsUnderWay",
	},
	{
		"a batch is sent to its end", "gateway/send.go",
		"notNow := s.late || s.by.Pause != nil", "notNow := s.by.Pause != nil",
		"gateway", "TestAMessageOfABatchIsSentOrWaits",
	},
	{
		"a wake-up message is sent only for what is queued after all", "gateway/queue.go",
		"	defer g.wake(ctx, s.domain, position)\n	joined", "	defer func() {\n		if there, _ := g.Spool.HasEntry(ctx, s.rec.Spooled); there {\n			g.wake(ctx, s.domain, position)\n		}\n	}()\n	joined",
		"gateway", "TestWhatCannotBeKeptDoesNotKeepTheLineFromBeingServed",
	},
	{
		"polls take all questions", "gateway/resolve.go",
		"quota.Options{ReservedForHigh: askReserve, Clock: c}", "quota.Options{Clock: c}",
		"gateway", "TestPollsLeaveHalfOfTheQuestionsToDoubts",
	},
	{
		"all mail is counted in the ledger of custom domains", "mail/domainkind.go",
		"return ManagedDomain", "return CustomDomain",
		"gateway", "TestSimTwoKindsOfDomain",
	},
	{
		"a 429 for the Azure-managed domain closes the ledger of custom domains", "gateway/offer.go",
		"permit.ledger.Backoff(", "g.Sends[0].Backoff(",
		"gateway", "TestOneKindOfDomainHoldsUpNothingOfTheOther",
	},
	{
		"the watchdog looks at no ledger that its process has not seen", "gateway/watchdog.go",
		"len(found[i]) == 0 && !g.Sends.used(domain)", "!g.Sends.used(domain)",
		"gateway", "TestTheWatchdogFindsTheLedgerOfTheManagedDomain",
	},
	{
		"a dispatcher looks again while all pauses", "gateway/due.go",
		"sooner(h.Next, until)", "time.Unix(1, 0)",
		"gateway", "TestAPauseCostsNoLooks",
	},
}

// Each of these bugs is seen by a test. If one is not, the tests have become blind
// to what they are for.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the tests with all bugs in them")
	}
	b := buildPlanted(t)
	for i, p := range plantedBugs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			out, err := b.test(t, i, p)
			switch {
			case err == nil:
				t.Errorf("%s passes with this bug in %s", p.run, p.file)
			case !strings.Contains(out, "--- FAIL"):
				t.Errorf("the tests did not run: %v\n%s", err, out)
			}
		})
	}
}
