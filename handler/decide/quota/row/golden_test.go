package row

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestTheRowInStorageIsRead(t *testing.T) {
	t.Parallel()
	at := window.InstantOf(time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC))
	usage := window.Usage{Newest: at + 2000, Reservations: []window.Reservation{{At: at, Tokens: 3}, {At: at + 2000, Tokens: 1}}}
	want := content{
		State: window.State{
			Usage: usage,
			Health: window.Health{
				BackoffUntil: at + 60_000, Probing: true, ProbeAt: at + 61_000, ProbeUntil: at + 90_000, Ramp: true, RampFrom: at + 62_000, RampUsed: 2,
				Repeats: 1, Fails: 2, Lost: 250, LostAt: at, Refused: 7, Passed: true,
			},
			Callers: window.CallerUsage{"shop": usage, "shop/contact": usage},
			Pause:   &problem.Pause{Since: time.Date(2026, time.November, 30, 11, 0, 0, 0, time.UTC), Reason: "a move", Refuse: true},
		},
		attempts: "a1 a2", layout: Layout{Generation: 1, Shards: 2, Homes: 3, Since: at}, next: &Layout{Generation: 2, Shards: 1, Homes: 3, Since: at + 1000},
	}
	if err := json.Unmarshal([]byte(`[{"shard":1,"lines":[{"k":1,"c":"shop","l":true,"n":2,"w":3,"d":1,"j":2,"i":1,"h":1,"e":1,"o":3,"s":10,"x":20,"y":30,"a":2}],`+
		`"dispatcher":"d","leaseEnd":1,"wakeUpAt":2,"joinedSince":true,"arriving":[{"t":5,"k":1,"c":"shop","l":true,"a":1,"d":2,"h":true,"m":true}],"lastTicket":5}]`), &want.Queues); err != nil {
		t.Fatal(err)
	}
	values, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	e := storetest.GoldenRow(t, "testdata/ledger.json", store.Entity{Partition: "send-1-0", Row: ledgerRow, Values: values})
	got, err := decode(e)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, error %v; want %+v", got, err, want)
	}
}
