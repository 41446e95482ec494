package spool

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
)

const strayPage = 5000

// FindOrphans calls found for every message without a row, neither in a line nor among the
// dead letters, whose order lies before a moment. It goes on after an error of found, and
// returns the first. It begins where an earlier call has stopped, or without a marker at the
// beginning, and stops shortly before the end of ctx: next is then where to go on.
func (s *Spool) FindOrphans(ctx context.Context, before time.Time, marker string, found func(ctx context.Context, k store.Key) error) (next string, err error) {
	soft, cancel := expire.Early(ctx)
	defer cancel()
	known := rowsInOrder{spool: s}
	dead, err := s.deadRows(ctx)
	if err != nil {
		return "", err
	}
	var first error
	for {
		page, next, err := s.blobs.List(ctx, "", marker, strayPage)
		if err != nil {
			return "", unavailable("list queued messages", err)
		}
		for _, b := range page {
			k, order, ok := parseName(b.Name)
			if !ok || !order.Before(before) || dead[k.Row] {
				continue
			}
			there, err := known.has(ctx, k)
			if err != nil {
				return "", err
			}
			if there {
				continue
			}
			if err := found(ctx, k); err != nil && first == nil {
				first = err
			}
		}
		if marker = next; marker == "" || soft.Err() != nil {
			return marker, first
		}
	}
}

// parseName reads a key from the name of its blob.
func parseName(name string) (k store.Key, order time.Time, ok bool) {
	k.Partition, k.Row, ok = strings.Cut(name, "/")
	text, _, dash := strings.Cut(k.Row, "-")
	us, err := strconv.ParseInt(text, 10, 64)
	return k, time.UnixMicro(us).UTC(), ok && dash && err == nil
}

func (s *Spool) deadRows(ctx context.Context) (map[string]bool, error) {
	rows := map[string]bool{}
	for after := (*DeadLetter)(nil); ; {
		page, err := s.ListDeadLetters(ctx, after, strayPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			rows[page[i].row()] = true
			after = &page[i]
		}
		if len(page) < strayPage {
			return rows, nil
		}
	}
}

// rowsInOrder goes through the rows of all lines, a page at a time, as far as it
// is asked.
type rowsInOrder struct {
	spool *Spool
	page  []Entry
	last  bool
	begun bool
}

// has must be called with keys in ascending order.
func (r *rowsInOrder) has(ctx context.Context, k store.Key) (bool, error) {
	for {
		for len(r.page) > 1 && less(r.page[0].Key, k) {
			r.page = r.page[1:]
		}
		if len(r.page) > 0 && !less(r.page[0].Key, k) {
			return r.page[0].Key == k, nil
		}
		if r.last {
			return false, nil
		}
		// One row before k may be left: the next page begins behind it.
		after := store.Key{}
		switch {
		case len(r.page) > 0:
			after = r.page[0].Key
		case !r.begun: // shortly before k
			after = store.Key{Partition: k.Partition, Row: k.Row[:len(k.Row)-1]}
		}
		r.begun = true
		page, err := r.spool.entries(ctx, after, afterDigits, strayPage)
		if err != nil {
			return false, err
		}
		r.page, r.last = page, len(page) < strayPage
	}
}

func less(a, b store.Key) bool {
	return a.Partition < b.Partition || a.Partition == b.Partition && a.Row < b.Row
}
