// Package quota is the ledger of a sending limit that many instances share: it
// says whether a call to ACS may go now or, if not, when. In: the cost of a
// call. Out: a Grant to make the call before a given time, or a problem. The
// ledger is one row of a table, so minute and hour are booked in one
// conditional write.
//
// It does not call ACS, does not wait for room and does not retry a message:
// deliver/acs calls, the caller of Book decides whether to wait. Limits so large
// that their log outgrows LogEntries need another form of ledger.
//
// Server times are Unix milliseconds of the storage service's clock; local
// times serve to measure how long ago something was, nothing else.
//
// # Why no window holds more calls than the limit
//
// Let N be a limit, W its window, D = MaxAge, ε = ClockError, W' = W + D + 2ε.
// Claim: no interval of length W, however it is aligned, holds more than N
// arrivals at ACS.
//
//  1. Of the times in the log, no interval of length W' holds more than N. A
//     booking is logged at x, never earlier than the last one in the log, and
//     only when at most N with it are later than x - W'. The write is
//     conditional, so nothing comes between the count and the booking. Take any
//     interval and its last booking: it was counted together with all others.
//  2. The call arrives no earlier than x - ε. What storage's Date said is a
//     lower bound for its clock from the moment the answer was heard, and x is
//     that, plus the local time since. Date was at most ε ahead, and the write
//     began before the call. If x is instead the time of the last booking, the
//     same holds for that one, which was seen, thus written, before.
//  3. The call arrives no later than x + D + ε. Date, plus the second that it
//     was cut by, plus the local time since that request was sent, is an upper
//     bound for storage's clock, but for ε that Date was behind. A token is
//     burnt when this bound reaches x + D: that is Grant.UseBy.
//  4. So arrivals in [s, s+W) were logged in (s-D-ε, s+W+ε): an interval of
//     length W', and by 1 no more than N of them.
//
// 2ε is one budget: the error of Date on either side, and the way of the request
// from the last look at UseBy to ACS's counter. The local clock may show any
// time, but may not stand still or jump while a token is held.
//
// A booking leaves its window at a whole second, because the clock that decides,
// Date, shows only those. This makes Retry-After exact.
//
// # Cost and failure
//
// Requests that arrive while a write is under way are booked together by the
// next one. What the last write left is used for the next, so a booking costs
// one table operation as long as it fits and nobody else wrote; a refusal is
// only given on a fresh read. There are no refunds: tokens of a caller who left,
// or whose write was answered too late, are spent. What cannot be read or
// written is refused (problem.Unavailable): nothing is granted that is not in
// the log.
//
// Sources: learn.microsoft.com, "Service limits for Azure Communication
// Services", section Email; draft-ietf-httpapi-ratelimit-headers-11.
package quota
