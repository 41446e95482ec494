package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/store"
)

// TablesAreAlike runs the same random calls on two kinds of tables and wants the
// same answers and the same rows in the end. It keeps the one in memory honest.
func TablesAreAlike(t *testing.T, one, other func() Rows) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := &actor{t: t, rows: one()}, &actor{t: t, rows: other()}
		for range rapid.IntRange(1, 12).Draw(r, "calls") {
			c := drawCall(r)
			if answerA, answerB := a.do(c), b.do(c); answerA != answerB {
				r.Fatalf("%+v: %s and %s", c, answerA, answerB)
			}
		}
		if rowsA, rowsB := a.list(), b.list(); !slices.EqualFunc(rowsA, rowsB, sameRow) {
			r.Fatalf("rows %v and %v", rowsA, rowsB)
		}
	})
}

// call is one call. Keys are few, so that calls meet.
type call struct {
	op   string
	row  string
	n    int64
	etag int // the write that it is of: -1 is none, else modulo their number
}

func drawCall(r *rapid.T) call {
	return call{
		op:   rapid.SampledFrom([]string{"insert", "insert", "replace", "replace", "delete", "get", "move", "both"}).Draw(r, "op"),
		row:  rapid.SampledFrom([]string{"a", "b"}).Draw(r, "row"),
		n:    rapid.Int64().Draw(r, "n"),
		etag: rapid.IntRange(-1, 5).Draw(r, "etag"),
	}
}

type actor struct {
	t     *testing.T
	rows  Rows
	etags []store.ETag // of all writes
}

func (a *actor) do(c call) (answer string) {
	e := row(c.row, c.n)
	if c.etag >= 0 && len(a.etags) > 0 {
		e.ETag = a.etags[c.etag%len(a.etags)]
	}
	var receipt store.Receipt
	var err error
	switch c.op {
	case "insert":
		e.ETag = ""
		receipt, err = a.rows.Insert(a.t.Context(), e)
	case "replace":
		receipt, err = a.rows.Replace(a.t.Context(), e)
	case "delete":
		return kind(a.rows.Delete(a.t.Context(), e.Partition, e.Row, e.ETag))
	case "move": // from the other row
		other := map[string]string{"a": "b", "b": "a"}[c.row]
		_, err = a.rows.Transact(a.t.Context(), store.Delete("p", other, e.ETag), store.Insert(row(c.row, c.n)))
		return kind(err)
	case "both":
		_, err = a.rows.Transact(a.t.Context(), store.Replace(e), store.Insert(row("c", c.n)))
		return kind(err)
	case "get":
		e, _, err = a.rows.Get(a.t.Context(), e.Partition, e.Row)
		return fmt.Sprint(kind(err), e.Values)
	}
	if err == nil {
		a.etags = append(a.etags, receipt.ETag)
	}
	return kind(err)
}

func (a *actor) list() []store.Entity {
	found, err := a.rows.List(a.t.Context(), "p")
	wantErr(a.t, "list", err, nil)
	return found
}

// sameRow leaves ETags aside, which have no common form.
func sameRow(a, b store.Entity) bool {
	return a.Partition == b.Partition && a.Row == b.Row && reflect.DeepEqual(a.Values, b.Values)
}

func kind(err error) string {
	for _, k := range []error{store.ErrExists, store.ErrMissing, store.ErrChanged, store.ErrUnavailable} {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return fmt.Sprint(err)
}
