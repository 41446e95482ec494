package window

import (
	"cmp"
	"slices"

	"github.com/posthorn/posthorn/handler/problem"
)

// State is all that a row says of its limit. The zero value has nothing reserved, nobody
// waiting, and ACS in health.
type State struct {
	Usage   Usage
	Health  Health
	Queues  []Queue // the row's own shard's first
	Callers CallerUsage
	Pause   *problem.Pause // not nil: the operator lets nothing go
}

// Clone is a copy that a Draft may change.
func (s State) Clone() State {
	s.Queues = slices.Clone(s.Queues)
	for i := range s.Queues {
		s.Queues[i] = s.Queues[i].clone()
	}
	s.Callers, s.Usage, s.Health.Senders = s.Callers.clone(), s.Usage.clone(), slices.Clone(s.Health.Senders)
	return s
}

// Check refuses what no Draft can have left: a misread reservation would let too many calls
// through.
func (s State) Check() error {
	err := s.Usage.check()
	for _, u := range s.Callers {
		err = cmp.Or(err, u.check())
	}
	return err
}

// Merge is what several rows say together. Of ACS it is the worst; a pause of one is a
// pause of all.
func Merge(rows []State) State {
	all := State{Callers: CallerUsage{}}
	usages := make([]Usage, len(rows))
	for i, s := range rows {
		usages[i] = s.Usage
		all.Health = all.Health.merge(s.Health)
		all.Callers.merge(s.Callers)
		if all.Pause == nil {
			all.Pause = s.Pause
		}
		for _, q := range s.Clone().Queues {
			if q.dropEmptyLines(); len(q.Lines) > 0 {
				all.Queues = append(all.Queues, Queue{Shard: q.Shard, Lines: q.Lines, LastTicket: q.LastTicket})
			}
		}
	}
	all.Usage = mergeUsages(usages...)
	slices.SortStableFunc(all.Queues, func(a, b Queue) int { return cmp.Compare(a.Shard, b.Shard) })
	return all
}

// Part is what one of several rows has of s. All together count what s counts.
func (s State) Part(row, rows int) State {
	p := State{Usage: s.Usage.part(row, rows), Health: s.Health, Callers: s.Callers.part(row, rows), Pause: s.Pause}
	for _, q := range s.Queues {
		if q.Shard%rows == row {
			p.Queues = append(p.Queues, q)
		}
	}
	return p
}
