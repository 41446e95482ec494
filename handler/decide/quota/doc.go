// Package quota is the ledger of a sending limit that many instances share. It says
// whether a call to ACS may go now or, if not, when. It counts who waits in which line,
// and says whose message goes next.
//
// In: calls with their cost, class and caller, and what ACS answered. Out: a Grant to make
// a call before a given time, a Position in a line, or a problem.
//
// It does not call ACS (deliver/acs does), does not keep queued messages (deliver/spool),
// and sends no wake-up messages (gateway).
//
// Read ledger.go, then reserve.go. Every decision is a function of window, which knows
// no storage: ledger functions apply it to a row, and package row makes one conditional
// write of it. So minute, hour, and whose turn it is are decided at once.
//
// Times that leave the package are storage's, except Grant.UseBy, which is of the clock
// given to New. Local times measure how long ago something was, nothing else.
//
// There are no refunds: tokens of a caller who left, or whose write was answered too late,
// are spent. What cannot be read or written is refused (problem.Unavailable): nothing is
// granted that is not reserved.
//
// docs/decisions/quota.md has the proof that no window holds more calls than its limit,
// and the rules of who goes next, of back-offs and of pauses.
//
// Sources: learn.microsoft.com, "Service limits for Azure Communication
// Services", section Email; draft-ietf-httpapi-ratelimit-headers-11.
package quota
