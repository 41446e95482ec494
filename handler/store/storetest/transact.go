package storetest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

// transaction starts on a table that was never used.
func transaction(t *testing.T, rows Rows) {
	big := row("big", 1)
	for n := range 15 {
		big.Values[fmt.Sprintf("v%d", n)] = []byte(strings.Repeat("\x00\xff", 32<<10))
	}
	_, err := rows.Transact(t.Context(), store.Insert(row("a", 1)), store.Insert(row("b", 1)), store.Insert(big))
	wantErr(t, "inserts into a table that is not there", err, nil)
	a, _, err := rows.Get(t.Context(), "p", "a")
	wantErr(t, "get", err, nil)
	changed := row("a", 2)
	changed.ETag = a.ETag
	_, err = rows.Transact(t.Context(),
		store.Replace(changed), store.Replace(row("b", 2)), store.Insert(row("c", 2)), store.Delete("p", "big", ""))
	wantErr(t, "all three verbs", err, nil)
	wantRows(t, rows, "a=2 b=2 c=2")
	found, _, err := rows.Get(t.Context(), "p", "a")
	wantErr(t, "get", err, nil)
	if found.ETag == a.ETag {
		t.Error("a row that a transaction replaced has its ETag still")
	}
	all := make([]store.Action, 100)
	for n := range all {
		all[n] = store.Insert(row(fmt.Sprintf("many-%02d", n), 3))
	}
	_, err = rows.Transact(t.Context(), all...)
	wantErr(t, "100 actions", err, nil)
	for n, a := range all {
		all[n] = store.Delete("p", a.Entity.Row, "")
	}
	_, err = rows.Transact(t.Context(), all...)
	wantErr(t, "100 deletes", err, nil)
	wantRows(t, rows, "a=2 b=2 c=2")
}

func failedTransaction(t *testing.T, rows Rows) {
	_, err := rows.Transact(t.Context(), store.Delete("p", "a", ""))
	wantErr(t, "in a table that is not there", err, store.ErrMissing)
	stale := insert(t, rows, row("a", 1))
	old := row("a", 9)
	old.ETag = stale
	_, err = rows.Replace(t.Context(), row("a", 1))
	wantErr(t, "replace", err, nil)
	insert(t, rows, row("b", 1))
	good := []store.Action{store.Insert(row("c", 9)), store.Replace(row("b", 9))}
	for name, c := range map[string]struct {
		bad  store.Action
		want error
	}{
		"insert of a row that is there":   {store.Insert(row("a", 9)), store.ErrExists},
		"replace of a row that is not":    {store.Replace(row("d", 9)), store.ErrMissing},
		"replace of an older version":     {store.Replace(old), store.ErrChanged},
		"delete of a row that is not":     {store.Delete("p", "d", ""), store.ErrMissing},
		"delete of an older version":      {store.Delete("p", "a", stale), store.ErrChanged},
		"delete of a version, row is not": {store.Delete("p", "d", stale), store.ErrMissing},
	} {
		for at := range len(good) + 1 {
			actions := append(append(append([]store.Action{}, good[:at]...), c.bad), good[at:]...)
			receipt, err := rows.Transact(t.Context(), actions...)
			wantErr(t, fmt.Sprintf("%s, action %d", name, at), err, c.want)
			if receipt.Time.IsZero() {
				t.Errorf("%s: no time", name)
			}
			wantRows(t, rows, "a=1 b=1")
		}
	}
	_, err = rows.Transact(t.Context(), store.Delete("p", "d", ""), store.Insert(row("b", 9)), store.Replace(old))
	wantErr(t, "three that fail", err, store.ErrMissing)
}

func refusedTransaction(t *testing.T, rows Rows) {
	insert(t, rows, row("r", 1))
	elsewhere := row("s", 1)
	elsewhere.Partition = "q"
	many := make([]store.Action, 101)
	for n := range many {
		many[n] = store.Insert(row(strconv.Itoa(n), 1))
	}
	var large []store.Action
	for n := range 4 {
		e := row(strconv.Itoa(n), 1)
		for v := range 13 {
			e.Values[fmt.Sprintf("v%d", v)] = make([]byte, 64<<10)
		}
		large = append(large, store.Insert(e))
	}
	for name, actions := range map[string][]store.Action{
		"no action":                nil,
		"101 actions":              many,
		"two partitions":           {store.Insert(row("s", 1)), store.Insert(elsewhere)},
		"a row twice":              {store.Delete("p", "r", ""), store.Insert(row("r", 2))},
		"a value that rows do not": {store.Insert(store.Entity{Partition: "p", Row: "s", Values: map[string]any{"v": 1}})},
		"a key that rows do not":   {store.Delete("p", "a/b", "")},
		"more than 4 MiB":          large,
	} {
		_, err := rows.Transact(t.Context(), actions...)
		wantRefused(t, name, err)
	}
	wantRows(t, rows, "r=1")
}

// transactionsMeet: each moves a token from one row to another, so that the rows hold as
// many as before at any time.
func transactionsMeet(t *testing.T, rows Rows) {
	insert(t, rows, row("a", 0))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				found, err := rows.List(t.Context(), "p")
				if err != nil || len(found) != 1 {
					t.Errorf("rows %v, error %v; want one", found, err)
					return
				}
				name := map[string]string{"a": "b", "b": "a"}[found[0].Row]
				// It may have been moved meanwhile.
				_, _ = rows.Transact(t.Context(), store.Delete("p", found[0].Row, found[0].ETag), store.Insert(row(name, 0)))
			}
		})
	}
	group.Wait()
}

func wantRows(t *testing.T, rows Rows, want string) {
	t.Helper()
	found, err := rows.List(t.Context(), "p")
	wantErr(t, "list", err, nil)
	got := make([]string, 0, len(found))
	for _, e := range found {
		got = append(got, fmt.Sprintf("%s=%v", e.Row, e.Values["n"]))
	}
	if strings.Join(got, " ") != want {
		t.Fatalf("rows %q, want %q", got, want)
	}
}
