// Package storetest is the contract of storage: what every table, container and
// queue must do, in memory, on Azurite and on Azure alike.
//
// Each function takes what opens a fresh, empty and not yet created store. It checks
// what storage promises to its users, errors and what they leave behind included.
// Faults on demand are store/mem's own and are tested there; what Azurite does not
// hold, such as the limit of a whole row, is tested where we hold it ourselves.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// Rows is a whole table. Users of tables declare the part that they need.
type Rows interface {
	Insert(context.Context, store.Entity) (store.Receipt, error)
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Replace(context.Context, store.Entity) (store.Receipt, error)
	Delete(ctx context.Context, partition, row string, etag store.ETag) error
	Transact(context.Context, ...store.Action) (store.Receipt, error)
	List(ctx context.Context, partition string) ([]store.Entity, error)
	ListRows(ctx context.Context, partition, after, before string, n int) ([]store.Entity, error)
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Table checks a table.
func Table(t *testing.T, open func(*testing.T) Rows) {
	for name, check := range map[string]func(*testing.T, Rows){
		"a table that was never used is empty":             neverUsed,
		"a row comes back with all types of values":        roundTrip,
		"insert leaves a row that is there as it is":       insertTwice,
		"replace removes what is not given":                replaceWhole,
		"replace and delete need the current ETag":         conditions,
		"replace and delete without an ETag take any":      noConditions,
		"a row that was deleted is missing, not changed":   conditionOnMissing,
		"an ETag never comes back":                         freshETags,
		"list gives one partition in the order of rows":    list,
		"list rows gives a range of a partition":           listRows,
		"list before a partition gives a range of keys":    listBefore,
		"a transaction does all of its actions":            transaction,
		"a transaction that fails does none":               failedTransaction,
		"a transaction is refused before a call":           refusedTransaction,
		"readers of a transaction see all of it or none":   transactionsMeet,
		"every answer tells the time":                      clock,
		"concurrent increments are never lost":             increments,
		"a cancelled call is unavailable and changes none": cancelledRow,
		"what a row cannot hold is refused before a call":  refusedRows,
		"a row is not shared with its writer":              notShared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t))
		})
	}
}

func row(name string, n int64) store.Entity {
	return store.Entity{Partition: "p", Row: name, Values: map[string]any{"n": n}}
}

func neverUsed(t *testing.T, rows Rows) {
	_, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, store.ErrMissing)
	_, err = rows.Replace(t.Context(), row("r", 1))
	wantErr(t, "replace", err, store.ErrMissing)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", ""), store.ErrMissing)
	found, err := rows.List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	if len(found) != 0 {
		t.Errorf("list = %v, want nothing", found)
	}
}

func roundTrip(t *testing.T, rows Rows) {
	zone := time.FixedZone("", 2*3600)
	e := store.Entity{Partition: "p ü+%&=@:.,;$!*()", Row: "r ü+%&=@:.,;$!*()", Values: map[string]any{
		"text": "grüße \u2028 \"quoted\" 'single' \\ <html> \U0001F4EF", "empty": "", "number": "12", "long": strings.Repeat("ü", 32<<10),
		"yes": true, "no": false,
		"zero": int64(0), "most": int64(1<<63 - 1), "least": int64(-1 << 63), "small": int64(12),
		"bytes": []byte{0, 1, 0xff}, "none": []byte{}, "many": make([]byte, 64<<10),
		"time": time.Date(2026, 11, 23, 14, 5, 6, 123456789, zone), "whole": time.Date(2026, 11, 23, 14, 5, 6, 0, time.UTC),
		"first": time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC),
	}}
	want := map[string]any{}
	for name, v := range e.Values {
		want[name] = v
	}
	want["time"] = time.Date(2026, 11, 23, 12, 5, 6, 123456700, time.UTC)
	receipt, err := rows.Insert(t.Context(), e)
	wantErr(t, "insert", err, nil)
	got, _, err := rows.Get(t.Context(), e.Partition, e.Row)
	wantErr(t, "get", err, nil)
	if got.Partition != e.Partition || got.Row != e.Row || got.ETag != receipt.ETag || got.ETag == "" {
		t.Errorf("get = %q %q %q, want %q %q %q", got.Partition, got.Row, got.ETag, e.Partition, e.Row, receipt.ETag)
	}
	for name, v := range want {
		if !reflect.DeepEqual(got.Values[name], v) {
			t.Errorf("%s = %.80v (%T), want %.80v (%T)", name, got.Values[name], got.Values[name], v, v)
		}
	}
	if len(got.Values) != len(want) {
		t.Errorf("%d values, want %d", len(got.Values), len(want))
	}
}

func insertTwice(t *testing.T, rows Rows) {
	first := insert(t, rows, row("r", 1))
	_, err := rows.Insert(t.Context(), row("r", 2))
	wantErr(t, "second insert", err, store.ErrExists)
	wantRow(t, rows, 1, first)
}

func replaceWhole(t *testing.T, rows Rows) {
	e := row("r", 1)
	e.Values["old"] = "value"
	insert(t, rows, e)
	_, err := rows.Replace(t.Context(), row("r", 2))
	wantErr(t, "replace", err, nil)
	got, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, nil)
	if want := row("r", 2).Values; !reflect.DeepEqual(got.Values, want) {
		t.Errorf("values = %v, want %v", got.Values, want)
	}
}

func conditions(t *testing.T, rows Rows) {
	stale := insert(t, rows, row("r", 1))
	e := row("r", 2)
	e.ETag = stale
	receipt, err := rows.Replace(t.Context(), e)
	wantErr(t, "replace with the current ETag", err, nil)
	if receipt.ETag == stale || receipt.ETag == "" {
		t.Errorf("ETag after replace = %q, before %q", receipt.ETag, stale)
	}
	e.Values["n"] = int64(3)
	_, err = rows.Replace(t.Context(), e)
	wantErr(t, "replace with a stale ETag", err, store.ErrChanged)
	wantErr(t, "delete with a stale ETag", rows.Delete(t.Context(), "p", "r", stale), store.ErrChanged)
	wantRow(t, rows, 2, receipt.ETag)
	wantErr(t, "delete with the current ETag", rows.Delete(t.Context(), "p", "r", receipt.ETag), nil)
	_, _, err = rows.Get(t.Context(), "p", "r")
	wantErr(t, "get after delete", err, store.ErrMissing)
}

func noConditions(t *testing.T, rows Rows) {
	insert(t, rows, row("r", 1))
	receipt, err := rows.Replace(t.Context(), row("r", 2))
	wantErr(t, "replace", err, nil)
	wantRow(t, rows, 2, receipt.ETag)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", ""), nil)
	wantErr(t, "second delete", rows.Delete(t.Context(), "p", "r", ""), store.ErrMissing)
}

func conditionOnMissing(t *testing.T, rows Rows) {
	e := row("r", 1)
	e.ETag = insert(t, rows, e)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", e.ETag), nil)
	_, err := rows.Replace(t.Context(), e)
	wantErr(t, "replace", err, store.ErrMissing)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", e.ETag), store.ErrMissing)
}

func freshETags(t *testing.T, rows Rows) {
	e := row("r", 1)
	first := insert(t, rows, e)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", ""), nil)
	if second := insert(t, rows, e); second == first {
		t.Errorf("the same row has its ETag %q back", second)
	}
	e.ETag = first
	_, err := rows.Replace(t.Context(), e)
	wantErr(t, "replace with the ETag of the row before", err, store.ErrChanged)
}

func clock(t *testing.T, rows Rows) {
	var last time.Time
	check := func(what string, r store.Receipt, err, want error) {
		t.Helper()
		wantErr(t, what, err, want)
		if r.Time.IsZero() || r.Time.Nanosecond() != 0 || r.Time.Location() != time.UTC || r.Time.Before(last) {
			t.Errorf("%s: time %v after %v, want whole seconds in UTC that do not go back", what, r.Time, last)
		}
		last = r.Time
	}
	_, r, err := rows.Get(t.Context(), "p", "r")
	check("get of nothing", r, err, store.ErrMissing)
	r, err = rows.Replace(t.Context(), row("r", 1))
	check("replace of nothing", r, err, store.ErrMissing)
	r, err = rows.Insert(t.Context(), row("r", 1))
	check("insert", r, err, nil)
	stale := row("r", 2)
	stale.ETag = r.ETag
	r, err = rows.Insert(t.Context(), row("r", 1))
	check("second insert", r, err, store.ErrExists)
	r, err = rows.Replace(t.Context(), stale)
	check("replace", r, err, nil)
	r, err = rows.Replace(t.Context(), stale)
	check("replace with a stale ETag", r, err, store.ErrChanged)
	_, r, err = rows.Get(t.Context(), "p", "r")
	check("get", r, err, nil)
	r, err = rows.Transact(t.Context(), store.Insert(row("s", 1)), store.Delete("p", "r", ""))
	check("transaction", r, err, nil)
	r, err = rows.Transact(t.Context(), store.Insert(row("t", 1)), store.Delete("p", "r", ""))
	check("transaction that fails", r, err, store.ErrMissing)
}

func increments(t *testing.T, rows Rows) {
	insert(t, rows, row("r", 0))
	var won atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 10 {
				e, _, err := rows.Get(t.Context(), "p", "r")
				if err != nil {
					t.Error(err)
					return
				}
				n, ok := e.Values["n"].(int64)
				if !ok {
					t.Errorf("n = %v", e.Values["n"])
					return
				}
				e.Values["n"] = n + 1
				switch _, err := rows.Replace(t.Context(), e); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrChanged):
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	e, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, nil)
	if e.Values["n"] != won.Load() || won.Load() == 0 {
		t.Errorf("row says %v, %d writers were told that they won", e.Values["n"], won.Load())
	}
}

func cancelledRow(t *testing.T, rows Rows) {
	insert(t, rows, row("r", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rows.Insert(ctx, row("other", 1))
	wantCancelled(t, "insert", err)
	_, _, err = rows.Get(ctx, "p", "r")
	wantCancelled(t, "get", err)
	receipt, err := rows.Replace(ctx, row("r", 2))
	wantCancelled(t, "replace", err)
	if receipt != (store.Receipt{}) {
		t.Errorf("receipt of a call without an answer: %+v", receipt)
	}
	wantCancelled(t, "delete", rows.Delete(ctx, "p", "r", ""))
	_, err = rows.Transact(ctx, store.Insert(row("other", 1)), store.Delete("p", "r", ""))
	wantCancelled(t, "transaction", err)
	_, err = rows.List(ctx, "p")
	wantCancelled(t, "list", err)
	_, err = rows.ListBefore(ctx, store.Key{}, "q", 1)
	wantCancelled(t, "list before", err)
	found, err := rows.List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	if len(found) != 1 || found[0].Values["n"] != int64(1) {
		t.Errorf("rows = %v, want the first alone", found)
	}
}

func refusedRows(t *testing.T, rows Rows) {
	with := func(name string, v any) store.Entity {
		return store.Entity{Partition: "p", Row: "r", Values: map[string]any{name: v}}
	}
	for name, e := range map[string]store.Entity{
		"no partition":            {Row: "r"},
		"no row":                  {Partition: "p"},
		"slash in a key":          {Partition: "p", Row: "a/b"},
		"quote in a key":          {Partition: "o'brien", Row: "r"},
		"line feed in a key":      {Partition: "p", Row: "a\nb"},
		"string too long":         with("v", strings.Repeat("ü", 32<<10+1)),
		"bytes too long":          with("v", make([]byte, 64<<10+1)),
		"int":                     with("v", 1),
		"nil":                     with("v", nil),
		"zero time":               with("v", time.Time{}),
		"broken UTF-8":            with("v", "\xff"),
		"name kept by the system": with("RowKey", "v"),
	} {
		_, err := rows.Insert(t.Context(), e)
		wantRefused(t, "insert: "+name, err)
		_, err = rows.Replace(t.Context(), e)
		wantRefused(t, "replace: "+name, err)
	}
	_, _, err := rows.Get(t.Context(), "p", "a/b")
	wantRefused(t, "get", err)
	wantRefused(t, "delete", rows.Delete(t.Context(), "o'brien", "r", ""))
	_, err = rows.List(t.Context(), "x' or 'a' eq 'a")
	wantRefused(t, "list", err)
	_, err = rows.ListBefore(t.Context(), store.Key{}, "x' or 'a' eq 'a", 1)
	wantRefused(t, "list before", err)
}

func notShared(t *testing.T, rows Rows) {
	bytes := []byte("before")
	e := store.Entity{Partition: "p", Row: "r", Values: map[string]any{"v": bytes}}
	insert(t, rows, e)
	copy(bytes, "after!")
	e.Values["new"] = true
	got, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, nil)
	want := map[string]any{"v": []byte("before")}
	if !reflect.DeepEqual(got.Values, want) {
		t.Errorf("values = %v, want %v", got.Values, want)
	}
	if v, ok := got.Values["v"].([]byte); ok {
		copy(v, "after!")
	}
	again, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "second get", err, nil)
	if !reflect.DeepEqual(again.Values, want) {
		t.Errorf("values = %v, want %v", again.Values, want)
	}
}

func insert(t *testing.T, rows Rows, e store.Entity) store.ETag {
	t.Helper()
	receipt, err := rows.Insert(t.Context(), e)
	if err != nil {
		t.Fatalf("insert: %v", err)
	}
	return receipt.ETag
}

func wantRow(t *testing.T, rows Rows, n int64, etag store.ETag) {
	t.Helper()
	got, _, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, nil)
	if got.Values["n"] != n || got.ETag != etag {
		t.Errorf("row has n = %v and ETag %q, want %d and %q", got.Values["n"], got.ETag, n, etag)
	}
}
