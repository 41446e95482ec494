package row

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
)

const (
	// shardsMost is what 200 instances need, if each writes about once a
	// second: 12 writes a second on each row, and 20 with those that lose.
	shardsMost = 16
	// shardRate are the tokens a second that one shard is for. A hundred instances
	// cannot share their writes, and write for nearly every message.
	shardRate = 5
	// shardLeast is the smallest part of the minute's limit that a shard may have:
	// a call to as many recipients as ACS allows must fit into it.
	shardLeast = 64
	// moves is how often a call follows the ledger to other rows.
	moves = 4
)

var (
	// errMoved says that a row is not, or no more, of the layout that was thought.
	errMoved = errors.New("the quota ledger is in other rows")
	// errMoves says that it is in others again and again.
	errMoves = errors.New("quota ledger: its layout does not stay")
)

// Layout says in which rows the ledger is, one a shard. Generation 0 has the row of the
// ledger's name as its first; that row always leads to the newest layout.
type Layout struct {
	Generation int            `json:"generation,omitempty"`
	Shards     int            `json:"shards"`
	Homes      int            `json:"homes"` // shards that may have lines: not fewer
	Since      window.Instant `json:"since,omitempty"`
}

// layoutFor is the layout of a ledger that has none.
func layoutFor(l window.Limits) Layout {
	n := max(1, min(shardsMost, l.PerHour/3600/shardRate, l.PerMinute/shardLeast))
	return Layout{Shards: n, Homes: n}
}

// row is the name of a shard's.
func (y Layout) row(name string, shard int) string {
	if y.Generation == 0 && shard == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(y.Generation) + "-" + strconv.Itoa(shard)
}

// part is what shard has of l; the parts sum up to l.
func (y Layout) part(l window.Limits, shard int) window.Limits {
	of := func(n int) int { return n*(shard+1)/y.Shards - n*shard/y.Shards }
	return window.Limits{PerMinute: of(l.PerMinute), PerHour: of(l.PerHour)}
}

// rowSet is a layout, with what this process keeps of its rows.
type rowSet struct {
	Layout
	rows []*row
}

// row is one row, and who waits in this process for its next write.
type row struct {
	number int
	name   string
	layout Layout

	mu      sync.Mutex
	waiting []*request    // in order of arrival
	writing bool          // whether a goroutine writes for those
	urgent  chan struct{} // of 1: somebody came who does not wait for the pace
	seen    *snapshot     // the last one; nil before
}

func (w *row) last() *snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func (r *Rows) newSet(y Layout) *rowSet {
	set := &rowSet{Layout: y}
	for i := range y.Shards {
		set.rows = append(set.rows, &row{number: i, name: y.row(r.name, i), layout: y, urgent: make(chan struct{}, 1)})
	}
	return set
}

// home is the row that serves a shard, which may be one of an older layout.
func (s *rowSet) home(shard int) *row { return s.rows[shard%len(s.rows)] }

// Layout is the one that this process last knew, or would make.
func (r *Rows) Layout() Layout { return r.known().Layout }

func (r *Rows) known() *rowSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		return r.newSet(layoutFor(r.terms.Limits))
	}
	return r.set
}

// Current is the layout to work in. Errors are Apply's.
func (r *Rows) Current(ctx context.Context) (Layout, error) {
	set, err := r.current(ctx)
	if err != nil {
		return Layout{}, err
	}
	return set.Layout, nil
}

// failureLife is how long all share that the rows were not found: otherwise each who waits
// would wait for storage by himself, one after the other.
const failureLife = time.Second

// current is the set to work in. A single row needs no search: reading it tells if it has
// been replaced.
func (r *Rows) current(ctx context.Context) (*rowSet, error) {
	select { // not a mutex: storage is asked meanwhile
	case r.finding <- struct{}{}:
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx))
	}
	defer func() { <-r.finding }()
	r.mu.Lock()
	set, lost := r.set, r.lost
	r.mu.Unlock()
	if set != nil {
		return set, nil
	}
	y := layoutFor(r.terms.Limits)
	if y.Shards > 1 || lost {
		if r.notFound != nil && r.now().Sub(r.failed) < failureLife {
			return nil, r.notFound
		}
		var err error
		if y, err = r.locate(context.WithoutCancel(ctx), y); err != nil {
			r.notFound, r.failed = unavailable(err), r.now()
			return nil, r.notFound
		}
	}
	set = r.newSet(y)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set, r.lost = set, false
	return set, nil
}

// forget leaves a set that is not the current one.
func (r *Rows) forget(set *rowSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == set {
		r.set, r.lost = nil, true
	}
}

// Reconsider lets the next call look for a layout, and change it, if it is not the one that
// the limits need: a change may have been too early when it was last thought of.
func (r *Rows) Reconsider() {
	if set := r.known(); set.Shards != layoutFor(r.terms.Limits).Shards {
		r.forget(set)
	}
}

// locate follows the rows to the newest layout, finishes a change that somebody
// began, and begins one if the layout is not what the limits need.
func (r *Rows) locate(ctx context.Context, wanted Layout) (Layout, error) {
	ctx, cancel := context.WithTimeout(ctx, writingTime)
	defer cancel()
	y, name := wanted, r.name
	for try := 1; try <= tries; try++ {
		seen, err := r.lookAt(ctx, name, y)
		switch {
		case err != nil:
			return Layout{}, err
		case seen.etag == "":
			if err := r.insert(ctx, name, content{layout: wanted}); err != nil {
				return Layout{}, err
			}
			continue
		}
		next := seen.next
		if next != nil {
			if _, err := r.lookAt(ctx, next.row(r.name, 0), *next); err == nil {
				y, name = *next, next.row(r.name, 0)
				continue
			}
		} else {
			if seen.layout.Shards == wanted.Shards || seen.at.Earliest(r.now()) < seen.layout.Since.Add(window.LayoutLife) {
				return seen.layout, nil
			}
			next = &Layout{seen.layout.Generation + 1, wanted.Shards, wanted.Shards, seen.at.Latest(r.now())}
		}
		if y, err = r.move(ctx, seen.layout, *next); err != nil {
			return Layout{}, err
		}
		name = y.row(r.name, 0)
	}
	return Layout{}, errMoves
}

// lookAt reads a row beside the changes of others.
func (r *Rows) lookAt(ctx context.Context, name string, y Layout) (snapshot, error) {
	seen, err := r.read(ctx, &row{name: name, layout: y})
	if errors.Is(err, errMoved) && seen.etag != "" {
		return seen, nil
	}
	return seen, err
}
