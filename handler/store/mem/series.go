package mem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// dropTime is how long the name of a dropped table is taken at least. Source: "Delete
// Table" of the Table service REST reference.
const dropTime = 40 * time.Second

// Series is tables that come and go whole, as table.Series is. It is safe for concurrent
// use.
type Series struct {
	now  func() time.Time
	plan Plan

	mu     sync.Mutex
	tables map[string]*Table
}

// NewSeries returns a series without tables whose service has the clock now.
func NewSeries(now func() time.Time, plan Plan) *Series {
	return &Series{now: now, plan: plan, tables: map[string]*Table{}}
}

// passing is what a table of a series has beside its rows, behind the lock of its table.
type passing struct {
	there   bool
	dropped time.Time
}

// make lets the table be there. A table of its own always is.
func (p *passing) make(now time.Time) error {
	if p == nil || p.there {
		return nil
	}
	if now.Before(p.dropped.Add(dropTime)) {
		return fmt.Errorf("create table: %w: it is being deleted", store.ErrUnavailable)
	}
	p.there = true
	return nil
}

// Table is as in store/table.
func (s *Series) Table(suffix string) *Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[suffix]
	if t == nil {
		t = NewTable(s.now, s.plan)
		t.series = &passing{}
		s.tables[suffix] = t
	}
	return t
}

// Create is as in store/table.
func (s *Series) Create(ctx context.Context, suffix string) error {
	t := s.Table(suffix)
	_, err := t.call(ctx, Create, suffix, "", func(*store.Receipt) error { return t.series.make(t.now()) })
	return err
}

// Drop is as in store/table.
func (s *Series) Drop(ctx context.Context, suffix string) error {
	t := s.Table(suffix)
	_, err := t.call(ctx, Drop, suffix, "", func(*store.Receipt) error {
		if t.series.there {
			t.rows, t.series.there, t.series.dropped = sorted[row]{}, false, t.now()
		}
		return nil
	})
	return err
}

// List is as in store/table.
func (s *Series) List(ctx context.Context) (suffixes []string, err error) {
	err = s.plan.run(ctx, List, "tables", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		suffixes = nil
		for _, suffix := range slices.Sorted(maps.Keys(s.tables)) {
			if s.tables[suffix].isThere() {
				suffixes = append(suffixes, suffix)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return suffixes, nil
}

func (t *Table) isThere() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.series.there
}

// Rows is how many rows all tables of the series have.
func (s *Series) Rows() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		n += t.Rows()
	}
	return n
}

// Rows is how many rows the table has.
func (t *Table) Rows() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, run := range t.rows.runs {
		n += len(run)
	}
	return n
}
