package quota_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// fate is what becomes of one call of a table.
type fate int

const (
	served    fate = iota
	dropped        // not done, ErrUnavailable
	lost           // done, but the answer is ErrUnavailable
	repeated       // done, and repeated below us: ErrExists or ErrChanged by our own write
	overtaken      // somebody else writes first: ErrChanged
	late           // ErrUnavailable at once, done 100 ms later if the ETag still holds
	broken         // not done, an error that store does not know
	timeless       // done, but the answer says no time
)

// tableRow is one tableRow with ETags, in a world whose clock is synctest's.
type tableRow struct {
	mu           sync.Mutex
	entity       store.Entity // Values nil: it is not there
	version      int
	gets, writes int // that reached storage
	reserved     int // tokens ever logged, those that were dropped since included

	others  map[string]*tableRow // beside the one of the ledger's name
	further bool                 // whether it is one of those
}

// named is the row of a name.
func (r *tableRow) named(name string) *tableRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "send" {
		return r
	}
	if r.others == nil {
		r.others = map[string]*tableRow{}
	}
	if r.others[name] == nil {
		r.others[name] = &tableRow{further: true}
	}
	return r.others[name]
}

// all are the rows.
func (r *tableRow) all() []*tableRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(slices.Collect(maps.Values(r.others)), r)
}

// instanceTable is the table as one instance reaches it. Its functions may be nil.
type instanceTable struct {
	*tableRow
	skew func() time.Duration  // error of the front end's clock, for one answer
	way  func() time.Duration  // of a request, and of its answer
	fate func(write bool) fate // of a call
}

func (f *instanceTable) Get(ctx context.Context, name, _ string) (store.Entity, store.Receipt, error) {
	if err := f.travel(ctx); err != nil {
		return store.Entity{}, store.Receipt{}, err
	}
	next := f.next(false)
	if err := next.instead(); err != nil {
		return store.Entity{}, store.Receipt{}, err
	}
	e, receipt := f.named(name).get(f.skewed())
	if next == timeless {
		receipt.Time = time.Time{}
	}
	if err := f.travel(ctx); err != nil {
		return store.Entity{}, store.Receipt{}, err
	}
	if e.Values == nil {
		return store.Entity{}, receipt, store.ErrMissing
	}
	return e, receipt, nil
}

func (f *instanceTable) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return f.put(ctx, e, store.ErrExists)
}

func (f *instanceTable) Replace(ctx context.Context, e store.Entity) (store.Receipt, error) {
	if e.ETag == "" {
		return store.Receipt{}, errBroken
	}
	return f.put(ctx, e, store.ErrChanged)
}

var errBroken = errors.New("the table is of another shape")

func (f *instanceTable) put(ctx context.Context, e store.Entity, conflict error) (store.Receipt, error) {
	if err := f.travel(ctx); err != nil {
		return store.Receipt{}, err
	}
	next := f.next(true)
	if next == late {
		time.AfterFunc(100*time.Millisecond, func() { f.named(e.Partition).set(e, f.skewed()) })
	}
	if err := next.instead(); err != nil {
		return store.Receipt{}, err
	}
	if next == overtaken {
		f.named(e.Partition).rewrite()
	}
	receipt, ok := f.named(e.Partition).set(e, f.skewed())
	if err := f.travel(ctx); err != nil {
		return store.Receipt{}, err
	}
	switch {
	case next == lost:
		return store.Receipt{}, store.ErrUnavailable
	case next == timeless:
		return store.Receipt{ETag: receipt.ETag}, nil
	case next == repeated || !ok:
		return receipt, conflict
	}
	return receipt, nil
}

// instead is the answer to a call that is not done.
func (f fate) instead() error {
	if f == dropped || f == late {
		return store.ErrUnavailable
	}
	if f == broken {
		return errBroken
	}
	return nil
}

func (f *instanceTable) next(write bool) fate {
	if f.fate == nil {
		return served
	}
	return f.fate(write)
}

func (f *instanceTable) travel(ctx context.Context) error {
	if f.way == nil {
		return nil
	}
	select {
	case <-time.After(f.way()):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// skewed is the error of the front end's clock for one answer.
func (f *instanceTable) skewed() time.Duration {
	if f.skew == nil {
		return 0
	}
	return f.skew()
}

func (r *tableRow) receipt(skew time.Duration) store.Receipt {
	return store.Receipt{ETag: r.entity.ETag, Time: time.Now().Add(skew).Truncate(time.Second)}
}

func (r *tableRow) get(skew time.Duration) (store.Entity, store.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gets++
	e := r.entity
	e.Values = maps.Clone(e.Values)
	return e, r.receipt(skew)
}

func (r *tableRow) set(e store.Entity, skew time.Duration) (store.Receipt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	if e.ETag != r.entity.ETag {
		return r.receipt(skew), false
	}
	r.reserved += added(reservations(r.entity), reservations(e))
	r.version++
	r.entity = e
	r.entity.Values = maps.Clone(e.Values)
	r.entity.ETag = store.ETag(strconv.Itoa(r.version))
	return r.receipt(skew), true
}

// rewrite is a write by somebody else that reserves nothing.
func (r *tableRow) rewrite() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.further && r.entity.Values == nil {
		return // nobody writes such a row as it was before there were any
	}
	if r.entity.Values == nil {
		r.entity.Values = emptyRow()
	}
	r.version++
	r.entity.ETag = store.ETag(strconv.Itoa(r.version))
}

// emptyRow is what a ledger writes that has reserved nothing.
func emptyRow() map[string]any {
	values := map[string]any{"format": int64(4), "attempts": "", "layout": []byte(`{"shards":1,"homes":1}`)}
	for _, name := range []string{"usage", "health", "callers", "queues", "next", "pause"} {
		values[name] = []byte("null")
	}
	return values
}

// added counts what a row has that the one before had not: it loses only its oldest
// reservations.
func added(before, after []reserved) (n int) {
	for _, r := range after {
		n += r.tokens
	}
	for _, r := range before {
		if len(after) > 0 && r.second >= after[0].second {
			n -= r.tokens
		}
	}
	return n
}

// reserved is how many tokens were reserved until the end of a second.
type reserved struct {
	second int64
	tokens int
}

// reservations are what a row has, read as the format says.
func reservations(e store.Entity) (all []reserved) {
	text := usageOf(e)
	number := func() int64 {
		v, n := binary.Uvarint(text)
		text = text[n:]
		return int64(v)
	}
	if len(text) > 0 {
		number() // the time of the newest
	}
	for second := int64(0); len(text) > 0; {
		second += number()
		all = append(all, reserved{second, int(number())})
	}
	return all
}

// newest is the time of the newest reservation.
func newest(e store.Entity) time.Time {
	ms, _ := binary.Uvarint(usageOf(e))
	return time.UnixMilli(int64(ms))
}

// usageOf is what a row says was reserved: a JSON string of Base64 without padding.
func usageOf(e store.Entity) []byte {
	text, _ := e.Values["usage"].([]byte)
	all, _ := base64.RawStdEncoding.DecodeString(strings.Trim(string(text), `"`))
	return all
}
