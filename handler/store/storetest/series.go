package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

// Tables are those of a series. Users of a series declare the part that they need.
type Tables interface {
	Create(ctx context.Context, suffix string) error
	Drop(ctx context.Context, suffix string) error
	List(ctx context.Context) (suffixes []string, err error)
}

// Series checks tables that come and go. open gives a fresh series, and what opens a
// table of it.
func Series(t *testing.T, open func(*testing.T) (Tables, func(suffix string) Rows)) {
	for name, check := range map[string]func(*testing.T, Tables, func(string) Rows){
		"a table that was never made is empty, and stays away": passingUnmade,
		"an insert makes its table":                            passingInsert,
		"a transaction of inserts makes its table":             passingTransact,
		"a table that is made twice keeps its rows":            passingTwice,
		"a dropped table is gone with its rows":                passingDrop,
		"tables are listed in order":                           passingList,
		"a cancelled call of tables is unavailable":            passingCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tables, rows := open(t)
			check(t, tables, rows)
		})
	}
}

func wantTables(t *testing.T, tables Tables, want ...string) {
	t.Helper()
	got, err := tables.List(t.Context())
	wantErr(t, "list", err, nil)
	if !slices.Equal(got, want) {
		t.Errorf("the tables are %q, want %q", got, want)
	}
}

func wantNoRows(t *testing.T, rows Rows) {
	t.Helper()
	_, receipt, err := rows.Get(t.Context(), "p", "r")
	wantErr(t, "get", err, store.ErrMissing)
	if receipt.Time.IsZero() {
		t.Error("get of nothing tells no time")
	}
	e := row("r", 1)
	_, err = rows.Replace(t.Context(), e)
	wantErr(t, "replace", err, store.ErrMissing)
	wantErr(t, "delete", rows.Delete(t.Context(), "p", "r", ""), store.ErrMissing)
	found, err := rows.List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	more, err := rows.ListBefore(t.Context(), store.Key{}, "q", 9)
	wantErr(t, "list before", err, nil)
	if len(found)+len(more) != 0 {
		t.Errorf("rows = %v and %v, want none", found, more)
	}
}

func passingUnmade(t *testing.T, tables Tables, rows func(string) Rows) {
	wantNoRows(t, rows("1"))
	wantErr(t, "drop", tables.Drop(t.Context(), "1"), nil)
	wantTables(t, tables)
}

func passingInsert(t *testing.T, tables Tables, rows func(string) Rows) {
	etag := insert(t, rows("1"), row("r", 7))
	wantRow(t, rows("1"), 7, etag)
	wantNoRows(t, rows("2"))
	wantTables(t, tables, "1")
}

func passingTransact(t *testing.T, tables Tables, rows func(string) Rows) {
	_, err := rows("1").Transact(t.Context(), store.Delete("p", "r", ""), store.Insert(row("s", 8)))
	wantErr(t, "a transaction that begins with a delete", err, store.ErrMissing)
	wantTables(t, tables)
	_, err = rows("1").Transact(t.Context(), store.Insert(row("r", 7)), store.Insert(row("s", 8)))
	wantErr(t, "a transaction of inserts", err, nil)
	found, err := rows("1").List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	if len(found) != 2 {
		t.Errorf("%d rows, want 2", len(found))
	}
	wantTables(t, tables, "1")
}

func passingTwice(t *testing.T, tables Tables, rows func(string) Rows) {
	wantErr(t, "create", tables.Create(t.Context(), "1"), nil)
	etag := insert(t, rows("1"), row("r", 7))
	wantErr(t, "create again", tables.Create(t.Context(), "1"), nil)
	wantRow(t, rows("1"), 7, etag)
}

func passingDrop(t *testing.T, tables Tables, rows func(string) Rows) {
	insert(t, rows("1"), row("r", 7))
	etag := insert(t, rows("2"), row("r", 8))
	wantErr(t, "drop", tables.Drop(t.Context(), "1"), nil)
	wantErr(t, "drop again", tables.Drop(t.Context(), "1"), nil)
	wantNoRows(t, rows("1"))
	wantRow(t, rows("2"), 8, etag)
	wantTables(t, tables, "2")
	// The service refuses the name for a while; Azurite does not.
	_, err := rows("1").Insert(t.Context(), row("s", 9))
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("insert into a dropped table: %v", err)
	}
	_, _, err = rows("1").Get(t.Context(), "p", "r")
	wantErr(t, "get of an old row", err, store.ErrMissing)
}

func passingList(t *testing.T, tables Tables, _ func(string) Rows) {
	for _, suffix := range []string{"20261130", "20261129", "20270101"} {
		wantErr(t, "create", tables.Create(t.Context(), suffix), nil)
	}
	wantTables(t, tables, "20261129", "20261130", "20270101")
}

func passingCancelled(t *testing.T, tables Tables, _ func(string) Rows) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCancelled(t, "create", tables.Create(ctx, "1"))
	wantCancelled(t, "drop", tables.Drop(ctx, "1"))
	_, err := tables.List(ctx)
	wantCancelled(t, "list", err)
	wantTables(t, tables)
}
