// Package window is the arithmetic of a sending limit: what is reserved, when a call fits,
// when the nth will go, how shares divide the limit, who is next, and what ACS's answers
// and the operator's pause change. In: a State, the time, and what somebody asks. Out: an
// answer, and the State after it. All are values: there is no storage, lock or clock here.
//
// It does not write the State anywhere (row does), and does not know that limits are split
// over several rows, except in Merge and State.Part.
//
// A State is read from a row. A Draft is a copy of it on which calls are planned, at one
// time; its methods are the ledger's decisions:
//
//	Usage ───────┐
//	CallerUsage ─┤                ┌─> Reserve, Prefetch      draft.go
//	Health ──────┼─> Draft ───────┼─> Join, Return, Leave    join.go
//	Queue ───────┤   fits, grant  ├─> Open, Take, Rest       dispatch.go, next.go
//	pause ───────┘                ├─> BackOff, Fail, Succeed answers.go
//	                              └─> Overview, View         overview.go, view.go
//
// Instants are Unix milliseconds of storage's clock. A share or cap is in percent, the share
// of foreign use in 1,000.
package window
