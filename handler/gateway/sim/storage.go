package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Site is one kind of call that an instance makes.
type Site struct {
	Where string // records, days, history, lines, dead, ledger, links, files, content, wake-ups, acs
	Op    mem.Op
	State record.State // that a write of a record gives it; empty for other calls
}

// Calls of ACS, as a Plan sees them.
const (
	Offer mem.Op = "offer"
	Ask   mem.Op = "ask"
)

// Fault is what befalls a call.
type Fault int

// The faults. Of ACS, Refuse is an answer 500 without the message being taken,
// and Lose takes it and answers nothing.
const (
	Pass       Fault = iota
	Refuse           // nothing happens
	Lose             // it happens, the answer is lost
	Repeat           // it happens, the answer is lost, and a client below repeats it
	Stall            // it happens 30 s late, and the answer another 30 s
	KillBefore       // the instance dies before it happens
	KillAfter        // the instance dies after it has happened
	Freeze           // it happens, and then the instance stands still until its ownership has passed
)

// Plan decides what befalls a call of an instance. It is called by many
// goroutines at once.
type Plan func(i *Instance, s Site, key string) Fault

const (
	stall  = 30 * time.Second
	freeze = 6 * time.Minute
)

var errKilled = fmt.Errorf("%w: the instance was killed", store.ErrUnavailable)

// call carries out one call of an instance.
func (i *Instance) call(ctx context.Context, s Site, key string, act func() error) error {
	i.w.count(s)
	f := Pass
	if i.w.Plan != nil {
		f = i.w.Plan(i, s, key)
	}
	if f != Pass && s.Where != "acs" {
		i.w.disturb(2 * stall)
	}
	way := i.w.Way
	if i.w.Quick && s.Where != "ledger" {
		way = 0
	}
	if err := i.travel(ctx, way); err != nil {
		return err
	}
	switch f {
	case KillBefore:
		i.Kill()
		return errKilled
	case Refuse:
		if s.Op == Ask {
			i.w.ACS.told(store.ErrUnavailable)
		}
		return fmt.Errorf("%w: refused by plan", store.ErrUnavailable)
	case Stall:
		if err := i.travel(ctx, stall); err != nil {
			return err
		}
	}
	if i.w.away.Load() && s.Where != "acs" {
		return fmt.Errorf("%w: storage is away", store.ErrUnavailable)
	}
	err := act()
	if f == Repeat {
		err = act()
	}
	if err = i.after(ctx, f, way, err); s.Op == Ask {
		i.w.ACS.told(err)
	}
	return err
}

// after is what happens on a call's way back.
func (i *Instance) after(ctx context.Context, f Fault, way time.Duration, err error) error {
	switch f {
	case KillAfter:
		i.Kill()
		return errKilled
	case Lose:
		return fmt.Errorf("%w: answer lost by plan", store.ErrUnavailable)
	case Stall:
		if err := i.travel(ctx, stall); err != nil {
			return err
		}
	case Freeze:
		i.Freeze(freeze)
	}
	if err := i.travel(ctx, way); err != nil {
		return err
	}
	return err
}

// travel takes up to d, and as long as the instance stands still.
func (i *Instance) travel(ctx context.Context, d time.Duration) error {
	if d != stall {
		d = i.w.UpTo(d)
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	for {
		if i.killed.Load() {
			return errKilled
		}
		left := time.Duration(i.frozen.Load() - time.Now().UnixNano())
		if left <= 0 {
			return nil
		}
		time.Sleep(left)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

func (w *World) count(s Site) { add(&w.counts, s) }

func add(counts *sync.Map, key any) {
	n, ok := counts.Load(key)
	if !ok {
		n, _ = counts.LoadOrStore(key, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1) //nolint:forcetypeassert // nothing else is stored
}

// Hottest is how many conditional writes each row of the ledger has had.
func (w *World) Hottest() map[string]int64 {
	all := map[string]int64{}
	w.hot.Range(func(k, n any) bool {
		all[k.(string)] = n.(*atomic.Int64).Load() //nolint:forcetypeassert // as above
		return true
	})
	return all
}

// Operations is how many calls of storage there were, by where.
func (w *World) Operations() map[string]int64 {
	all := map[string]int64{}
	w.counts.Range(func(k, n any) bool {
		all[k.(Site).Where] += n.(*atomic.Int64).Load() //nolint:forcetypeassert // as above
		return true
	})
	return all
}

// Counts are all calls by what they were.
func (w *World) Counts() map[Site]int64 {
	all := map[Site]int64{}
	w.counts.Range(func(k, n any) bool {
		all[k.(Site)] += n.(*atomic.Int64).Load() //nolint:forcetypeassert // as above
		return true
	})
	return all
}

// table is a table as one instance reaches it.
type table struct {
	i    *Instance
	name string
	t    *mem.Table
}

func (t *table) do(ctx context.Context, op mem.Op, k store.Key, act func() (store.Receipt, error)) (store.Receipt, error) {
	return t.as(ctx, Site{Where: t.name, Op: op}, k, act)
}

// write is do for a row, whose state is told if it is a record.
func (t *table) write(ctx context.Context, op mem.Op, e store.Entity, act func() (store.Receipt, error)) (store.Receipt, error) {
	s := Site{Where: t.name, Op: op}
	if t.name == "records" {
		s.State = recordIn(e).State
	}
	return t.as(ctx, s, store.Key{Partition: e.Partition, Row: e.Row}, act)
}

func (t *table) as(ctx context.Context, s Site, k store.Key, act func() (store.Receipt, error)) (r store.Receipt, err error) {
	err = t.i.call(ctx, s, k.Partition+"/"+k.Row, func() (err error) {
		r, err = act()
		return err
	})
	if errors.Is(err, store.ErrUnavailable) {
		return store.Receipt{}, err
	}
	r.Time = r.Time.Add(t.i.date).Truncate(time.Second)
	return r, err
}

func (t *table) Get(ctx context.Context, partition, row string) (e store.Entity, r store.Receipt, err error) {
	r, err = t.do(ctx, mem.Get, store.Key{Partition: partition, Row: row}, func() (r store.Receipt, err error) {
		e, r, err = t.t.Get(ctx, partition, row)
		return r, err
	})
	if err != nil {
		return store.Entity{}, r, err
	}
	return e, r, nil
}

func (t *table) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return t.write(ctx, mem.Insert, e, func() (store.Receipt, error) {
		r, err := t.t.Insert(ctx, e)
		t.i.w.note(t.name, e, err)
		return r, err
	})
}

func (t *table) Replace(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return t.write(ctx, mem.Replace, e, func() (store.Receipt, error) {
		r, err := t.t.Replace(ctx, e)
		if t.name == "ledger" {
			add(&t.i.w.hot, e.Partition)
		}
		t.i.w.note(t.name, e, err)
		return r, err
	})
}

// note remembers the operations whose record has said that they are unknown.
func (w *World) note(table string, e store.Entity, err error) {
	if r := recordIn(e); table == "records" && err == nil && r.State == record.Unknown {
		w.unknown.Store(r.OperationID, true)
	}
}

// recordIn is the record that a row is of; without a state for a row of another kind.
func recordIn(e store.Entity) record.Record {
	text, _ := e.Values["record"].([]byte)
	r, err := record.Restore(text, e.ETag)
	if err != nil {
		return record.Record{}
	}
	return *r
}

func (t *table) Delete(ctx context.Context, partition, row string, etag store.ETag) error {
	_, err := t.do(ctx, mem.Delete, store.Key{Partition: partition, Row: row}, func() (store.Receipt, error) {
		return store.Receipt{}, t.t.Delete(ctx, partition, row, etag)
	})
	return err
}

// Transact is one call, of the kind of its first action.
func (t *table) Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error) {
	op := map[store.Verb]mem.Op{store.InsertRow: mem.Insert, store.ReplaceRow: mem.Replace, store.DeleteRow: mem.Delete}[actions[0].Verb]
	return t.write(ctx, op, actions[0].Entity, func() (store.Receipt, error) { return t.t.Transact(ctx, actions...) })
}

func (t *table) ListRows(ctx context.Context, partition, after, before string, n int) (rows []store.Entity, err error) {
	_, err = t.do(ctx, mem.List, store.Key{Partition: partition, Row: after}, func() (_ store.Receipt, err error) {
		rows, err = t.t.ListRows(ctx, partition, after, before, n)
		return store.Receipt{}, err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (t *table) ListBefore(ctx context.Context, after store.Key, partition string, n int) (rows []store.Entity, err error) {
	_, err = t.do(ctx, mem.List, after, func() (_ store.Receipt, err error) {
		rows, err = t.t.ListBefore(ctx, after, partition, n)
		return store.Receipt{}, err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// days is the tables of a day as one instance reaches them.
type days struct {
	i     *Instance
	where string
	s     *mem.Series
}

func (d days) Create(ctx context.Context, date string) error {
	return d.i.call(ctx, Site{Where: d.where, Op: mem.Create}, date, func() error { return d.s.Create(ctx, date) })
}

func (d days) Drop(ctx context.Context, date string) error {
	return d.i.call(ctx, Site{Where: d.where, Op: mem.Drop}, date, func() error { return d.s.Drop(ctx, date) })
}

func (d days) List(ctx context.Context) (dates []string, err error) {
	err = d.i.call(ctx, Site{Where: d.where, Op: mem.List}, "", func() (err error) {
		dates, err = d.s.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dates, nil
}

// recordRows are the rows of all tables of records.
func (w *World) recordRows(ctx context.Context) []store.Entity {
	tables := []*mem.Table{w.records}
	dates, _ := w.days.List(ctx) // in memory, and there
	for _, date := range dates {
		tables = append(tables, w.days.Table(date))
	}
	var all []store.Entity
	for _, t := range tables {
		rows, _ := t.ListBefore(ctx, store.Key{}, "~", 1<<30)
		all = append(all, rows...)
	}
	return all
}

// record is the row of a record, whichever table it is in.
func (w *World) record(ctx context.Context, operation string) (store.Entity, error) {
	dates, _ := w.days.List(ctx) // in memory, and there
	for _, date := range dates {
		if e, _, err := w.days.Table(date).Get(ctx, operation, "m"); err == nil {
			return e, nil
		}
	}
	e, _, err := w.records.Get(ctx, operation, "m")
	return e, err
}
