package quota

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// shardsMost is what 200 instances need, each of which writes about once a
	// second: 12 writes a second on each row, and 20 with those that lose.
	shardsMost = 16
	// shardRate are the tokens a second that one shard is for. A hundred instances
	// cannot share their writes, and write for nearly every message.
	shardRate = 5
	// shardLeast is the smallest part of the minute's limit that a shard may have:
	// a call to as many recipients as ACS allows must fit into it.
	shardLeast = 64
	// layoutLife is how long a layout lasts at least, lest instances of an old and
	// of a new configuration change it to and fro.
	layoutLife = 10 * time.Minute
	// moves is how often a call follows the ledger to other rows.
	moves = 4
)

// layout says in which rows the ledger is. Generation 0 has the
// row of the ledger's name as its first; that row always leads to the newest
// layout.
type layout struct {
	Generation int     `json:"generation,omitempty"`
	Shards     int     `json:"shards"`
	Homes      int     `json:"homes"` // shards that may have lines: not fewer
	Since      instant `json:"since,omitempty"`
}

// first is the layout of a ledger that has none.
func (l Limits) first() layout {
	n := max(1, min(shardsMost, l.PerHour/3600/shardRate, l.PerMinute/shardLeast))
	return layout{Shards: n, Homes: n}
}

// row is the name of a shard's.
func (y layout) row(name string, shard int) string {
	if y.Generation == 0 && shard == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(y.Generation) + "-" + strconv.Itoa(shard)
}

// part is what shard has of l; the parts sum up to l.
func (y layout) part(l Limits, shard int) Limits {
	of := func(n int) int { return n*(shard+1)/y.Shards - n*shard/y.Shards }
	return Limits{of(l.PerMinute), of(l.PerHour)}
}

// errMoved says that a row is not, or no more, of the layout that was thought.
var errMoved = errors.New("the quota ledger is in other rows")

// rows is a layout, with what this process keeps of its rows.
type rows struct {
	layout
	shards []*shard
}

func (l *Ledger) newRows(y layout) *rows {
	p := &rows{layout: y}
	for i := range y.Shards {
		p.shards = append(p.shards, &shard{number: i, name: y.row(l.name, i), layout: y, hurry: make(chan struct{}, 1)})
	}
	return p
}

// home is the row that serves a shard, which may be one of an older layout.
func (p *rows) home(shard int) *shard { return p.shards[shard%len(p.shards)] }

// known is the layout as this process last knew it, or would make it.
func (l *Ledger) known() *rows {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		return l.newRows(l.limits.first())
	}
	return l.rows
}

// failureLife is how long all share that the rows were not found: otherwise each who waits
// would wait for storage by himself, one after the other.
const failureLife = time.Second

// current is the layout to work in. Of one row, that row itself will tell if it
// is another.
func (l *Ledger) current(ctx context.Context) (*rows, error) {
	select { // not a mutex: storage is asked meanwhile
	case l.finding <- struct{}{}:
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx))
	}
	defer func() { <-l.finding }()
	l.mu.Lock()
	p, lost := l.rows, l.lost
	l.mu.Unlock()
	if p != nil {
		return p, nil
	}
	y := l.limits.first()
	if y.Shards > 1 || lost {
		if l.notFound != nil && l.now().Sub(l.failed) < failureLife {
			return nil, l.notFound
		}
		var err error
		if y, err = l.locate(context.WithoutCancel(ctx), y); err != nil {
			l.notFound, l.failed = unavailable(err), l.now()
			return nil, l.notFound
		}
	}
	p = l.newRows(y)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows, l.lost = p, false
	return p, nil
}

// leave forgets a layout that is not the current one.
func (l *Ledger) leave(p *rows) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == p {
		l.rows, l.lost = nil, true
	}
}

// at lets do have its turn at the row of a shard, wherever that is.
func (l *Ledger) at(ctx context.Context, number int, do func(*page) answer) answer {
	return l.follow(ctx, number, &request{do: do})
}

// patiently is at, as soon as the others who write there allow.
func (l *Ledger) patiently(ctx context.Context, number int, do func(*page) answer) answer {
	return l.follow(ctx, number, &request{do: do, patient: true})
}

func (l *Ledger) follow(ctx context.Context, number int, r *request) answer {
	var a answer
	for range moves {
		p, err := l.current(ctx)
		if err != nil {
			return answer{err: err}
		}
		if a = l.ask(ctx, p.home(number), r); !errors.Is(a.err, errMoved) {
			return a
		}
		l.leave(p)
	}
	return answer{err: unavailable(a.err)}
}

// locate follows the rows to the newest layout, finishes a change that somebody
// began, and begins one if the layout is not what the limits need.
func (l *Ledger) locate(ctx context.Context, wanted layout) (layout, error) {
	ctx, cancel := context.WithTimeout(ctx, servingTime)
	defer cancel()
	y, row := wanted, l.name
	for try := 1; try <= tries; try++ {
		seen, err := l.lookAt(ctx, row, y)
		switch {
		case err != nil:
			return layout{}, err
		case seen.etag == "":
			if err := l.insert(ctx, row, ledger{layout: wanted}); err != nil {
				return layout{}, err
			}
			continue
		}
		next := seen.next
		if next != nil {
			if _, err := l.lookAt(ctx, next.row(l.name, 0), *next); err == nil {
				y, row = *next, next.row(l.name, 0)
				continue
			}
		} else {
			if seen.layout.Shards == wanted.Shards || seen.at.earliest(l.now()) < seen.layout.Since.add(layoutLife) {
				return seen.layout, nil
			}
			next = &layout{seen.layout.Generation + 1, wanted.Shards, wanted.Shards, seen.at.latest(l.now())}
		}
		if y, err = l.move(ctx, seen.layout, *next); err != nil {
			return layout{}, err
		}
		row = y.row(l.name, 0)
	}
	return layout{}, errors.New("quota ledger: its layout does not stay")
}

// lookAt reads a row beside the others' turns.
func (l *Ledger) lookAt(ctx context.Context, row string, y layout) (snapshot, error) {
	seen, err := l.read(ctx, &shard{name: row, layout: y})
	if errors.Is(err, errMoved) && seen.etag != "" {
		return seen, nil
	}
	return seen, err
}

// insert writes a row unless it is there.
func (l *Ledger) insert(ctx context.Context, row string, b ledger) error {
	values, err := b.encode()
	if err != nil {
		return err
	}
	l.stats.writes.Add(1)
	_, err = l.table.Insert(ctx, store.Entity{Partition: partition, Row: row, Values: values})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write quota ledger: %w", err)
	}
	return nil
}
