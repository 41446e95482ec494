package table

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/store"
)

func TestEncodedRowDecodesToItself(t *testing.T) {
	t.Parallel()
	moment := rapid.Custom(func(r *rapid.T) time.Time {
		first, last := time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		seconds := rapid.Int64Range(first.Unix(), last.Unix()).Draw(r, "seconds")
		return time.Unix(seconds, rapid.Int64Range(0, 9_999_999).Draw(r, "ticks")*100).UTC()
	})
	value := rapid.OneOf(
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int64().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), moment.AsAny(),
	)
	name := rapid.StringMatching(`v[A-Za-z0-9_]{0,20}`)
	key := rapid.StringMatching(`[a-zA-Z0-9 ü+%&=@:.,;$!*()-]{1,40}`)
	rapid.Check(t, func(r *rapid.T) {
		want := store.Entity{Partition: key.Draw(r, "partition"), Row: key.Draw(r, "row"), Values: rapid.MapOf(name, value).Draw(r, "values")}
		body, err := encode(want)
		if err != nil {
			r.Fatal(err)
		}
		got, err := decode(body)
		if err != nil {
			r.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			r.Errorf("%#v, want %#v", got, want)
		}
	})
}
