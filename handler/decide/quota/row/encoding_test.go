package row

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/store"
)

// propertyBytes is the most that a property of a table's row may have. Source: "Understanding
// the Table service data model", section Property types.
const propertyBytes = 64 << 10

// The fullest row that there can be fits into storage, and is read as it was written.
func TestTheFullestRowFits(t *testing.T) {
	t.Parallel()
	begin := window.InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	name := func(i int) string { return fmt.Sprintf("%0*d", window.CallerBytes, i) }
	c := content{layout: Layout{Shards: 1, Homes: 1}, attempts: attempts(strings.Repeat("x ", keptAttempts-1) + "x")}
	for second := range window.Instant(3610) {
		at := begin + second*1000
		c.Usage.Reservations = append(c.Usage.Reservations, window.Reservation{At: at, Tokens: 1000})
		c.Usage.Newest = at
	}
	c.Callers = window.CallerUsage{}
	for i := range window.CallersKept {
		u := window.Usage{Newest: begin + 65*60*1000}
		for step := range window.Instant(14) {
			u.Reservations = append(u.Reservations, window.Reservation{At: begin + step*300_000, Tokens: 10_000})
		}
		c.Callers[name(i)] = u
	}
	values, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	for property, v := range values {
		if text, ok := v.([]byte); ok && len(text) > propertyBytes {
			t.Errorf("%s has %d bytes", property, len(text))
		}
	}
	got, err := decode(store.Entity{Values: values})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Error("it is not read as it was written")
	}
}
