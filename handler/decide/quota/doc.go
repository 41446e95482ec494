// Package quota is the ledger of a sending limit that many instances share: it
// says whether a call to ACS may go now or, if not, when; it keeps the lines of
// those who wait, and says who of them goes next. In: calls with their cost, class
// and caller, and what ACS answered. Out: a Grant to make a call before a given
// time, a Place in a line, or a problem. The ledger is one row of a table, or
// several, so minute and hour, and who goes, are decided in one conditional write.
//
// It does not call ACS, does not keep the messages that wait and does not send the
// ticks that wake a pump: deliver/acs, deliver/spool and the gateway do.
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
//  1. Of the times booked, no interval of length W' holds more than N. A
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
// # In several rows
//
// A row holds what was booked as a list of seconds and the tokens of each. A token counts
// from the end of its second, so no earlier than it was booked, and claim 1 holds.
//
// Limits that many instances use at once are split over rows, of which each has
// its part of N and books for itself: the parts sum up to N, and so do the sums
// over any interval.
//
// A lease books tokens for calls that are expected within a second. They are
// grants like others, booked before they are used and burnt at the same UseBy.
//
// When limits change, so may the number of rows: the layout. An old row
// is closed by a conditional write, so a booking is in it, and counted on, or
// fails. What the closed rows hold is dealt out to the new ones, each token to one,
// at its time or later, never earlier; so each sum over an interval is what it was
// or counts longer. Nobody books in a row whose layout is not the one that he
// follows, and nothing is remembered of a closed row. A layout lasts ten minutes at
// least, because instances of two configurations may run at once; each follows
// whatever layout there is, and applies its own limits to it.
//
// # Who goes
//
// By class; within a class first callers below their guaranteed share, then who
// used least of his weight in the last hour, which makes shares max-min fair; nobody
// beyond his cap, which holds for every hour as 13 buckets of 5 min are counted.
// Direct calls do not overtake: if somebody who may go waits in their class or a
// more urgent one, they join. With several rows that is true of each row, and
// processes change rows every few seconds so that all have as much to do.
//
// A caller may have parts, which are its name, a slash and theirs: shop/contact. A part has
// lines, a use and a cap of its own, and no share; what it uses counts for the whole, too,
// whose cap holds for both. Of each caller, and each part, a number of messages may be
// bounded that wait: whoever joins counts them by the row that it writes anyway, and adds
// what the other rows were last seen to hold. What comes back to its line is never refused.
//
// Lines belong to a shard, which is what the rows of the table carry. If there are
// fewer rows than once, lines of shard s are served with the tokens of row s modulo
// their number, and Shards counts them until the layout changes again.
//
// What is counted of lines is a hint, which pumps correct by what they see, and the
// timer by what it finds. What is on its way into the table counts for JoinGrace; each
// has a ticket, and by those that a pump has read it is known to have arrived. What is
// held by a pause or a doubt takes no room and lets others go; a line says when it is
// to be looked at, and then it is, whether there is room or not. A tick that was lost
// is found missing after 20 s, a pump that fell silent after 30 s.
//
// # What ACS says
//
// A 429 closes all rows for as long as ACS asks. Then each row lets one call go, the
// canary. Whoever has it tells what became of it, or that it made no call: then another
// goes. When ACS took it, what may go doubles in equal times up to the whole
// limit after a minute. Nobody could see the foreign use that led to it: a 429 costs
// a quarter of our share of the limits, and each two minutes give back a hundredth.
// A 429 may be about one sender alone. So the canary is another sender's where one
// waits; if it is taken and the first is refused again, the rows stay open and only that
// sender waits, with a probe of its own.
// One message that fails is no outage. When three different ones have failed and none was
// taken between, the rows close for 2 s and a canary, doubled up to a minute.
//
// # What the operator says
//
// A pause stands in every row, as what it forbids does: a booking is a conditional write,
// so none can miss it, and what was booked before is burnt at its UseBy. What waits stays
// in its line, whose counts go on; what is held is looked at as before, so that doubts end.
// A paused row says that it may go in an hour, and again then, so nobody spins: the timer
// looks once a minute. The end of a pause forgets the ticks that are on their way, and
// whoever ends it sends new ones.
//
// # Cost and failure
//
// Requests that arrive while a write is under way are done together by the next
// one. What the last write left is used for the next as long as nobody else seems to
// write, so a booking costs one table operation; a refusal is only given on a fresh
// read. Each write that meets another makes the process write more rarely, up to
// once in three seconds, so that 200 instances stay below 20 writes a second on a
// row; pumps, and what ACS says, do not wait for that. There are no refunds: tokens
// of a caller who left, or whose write was answered too late, are spent. What cannot
// be read or written is refused (problem.Unavailable): nothing is granted that is
// not booked. No error of a write is believed before the row was read: each write
// leaves an id in it, and one whose answer was lost is found by that.
//
// Sources: learn.microsoft.com, "Service limits for Azure Communication
// Services", section Email; draft-ietf-httpapi-ratelimit-headers-11.
package quota
