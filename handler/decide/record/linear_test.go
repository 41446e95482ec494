package record_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// act is one call of a Store in a history, as porcupine sees it.
type act struct {
	op          string // claim, finish, refuse, release
	key         int
	fingerprint int
	client      int
}

// held is what a record is in the model.
type held struct {
	phase       int // 0: none, 1: claimed, 2: ended
	fingerprint int
	owner       int
}

// claims is what a record promises, one step at a time.
var claims = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(act).key
			byKey[key] = append(byKey[key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return held{} },
	Step: func(state, input, output any) (bool, any) {
		s, in := state.(held), input.(act)
		switch in.op + " " + output.(string) {
		case "claim claimed":
			return s.phase == 0, held{1, in.fingerprint, in.client}
		case "claim in-progress":
			return s.phase == 1 && s.fingerprint == in.fingerprint, s
		case "claim key-reused":
			return s.phase > 0 && s.fingerprint != in.fingerprint, s
		case "claim replay":
			return s.phase == 2 && s.fingerprint == in.fingerprint, s
		case "claim unavailable": // and here nothing arrives late
			return true, s
		case "finish done":
			return s.phase == 1 && s.owner == in.client, held{2, s.fingerprint, s.owner}
		case "release done", "refuse done":
			return s.phase == 1 && s.owner == in.client, held{}
		}
		return false, s
	},
	Equal: func(a, b any) bool { return a == b },
}

// Twenty thousand calls by many clients of several processes, with answers lost
// on the way: there is an order in which each did what it said at one moment
// between its call and its answer.
func TestClaimsAreLinearizable(t *testing.T) {
	t.Parallel()
	const (
		calls   = 20_000
		clients = 40
		keys    = 150
	)
	var history []porcupine.Operation
	synctest.Test(t, func(t *testing.T) { history = claimHistory(t, calls/clients, clients, keys) })
	if len(history) < calls {
		t.Fatalf("%d calls, want %d", len(history), calls)
	}
	outcomes := map[string]int{}
	for _, o := range history {
		outcomes[o.Input.(act).op+" "+o.Output.(string)]++
	}
	t.Log(outcomes)
	if !porcupine.CheckOperations(claims, history) {
		t.Error("the history is not linearizable")
	}
}

func claimHistory(t *testing.T, calls, clients, keys int) []porcupine.Operation {
	t.Helper()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(7, 7))
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	way := func() time.Duration { return time.Duration(draw(20)) * time.Millisecond }
	table := mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
		f := mem.Fault{Before: way(), After: way()}
		if (op == mem.Insert || op == mem.Replace) && draw(20) == 0 {
			f.Outcome = []mem.Outcome{mem.Lost, mem.Repeated}[draw(2)]
		}
		return f
	})
	var ids atomic.Int64
	newID := func() string { return strconv.FormatInt(ids.Add(1), 10) }
	tables := record.Tables{Lasting: table}
	stores := []*record.Store{record.New(tables, time.Now, newID), record.New(tables, time.Now, newID), record.New(tables, time.Now, newID)}

	var history []porcupine.Operation
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			store := stores[client%len(stores)]
			note := func(a act, call func() string) string {
				begun := time.Now().UnixNano()
				out := call()
				ended := time.Now().UnixNano()
				mu.Lock()
				defer mu.Unlock()
				history = append(history, porcupine.Operation{ClientId: client, Input: a, Call: begun, Output: out, Return: ended})
				return out
			}
			for range calls {
				a := act{"claim", draw(keys), draw(2), client}
				var rec *record.Record
				if note(a, func() (out string) { rec, out = claimOnce(t, store, a); return out }) != "claimed" {
					continue
				}
				time.Sleep(way())
				a.op = "release"
				if n := draw(10); n == 0 {
					a.op = "finish"
				} else if n < 5 {
					a.op = "refuse"
				}
				note(a, func() string { return end(t, store, rec, a.op) })
			}
		})
	}
	all.Wait()
	return history
}

func claimOnce(t *testing.T, b *record.Store, a act) (*record.Record, string) {
	t.Helper()
	rec, replay, err := b.Claim(t.Context(), claim(strconv.Itoa(a.key), strconv.Itoa(a.fingerprint)))
	switch {
	case err != nil:
		return nil, problem.Of(err).Kind.Slug()
	case replay && rec.UnderWay():
		return nil, "in-progress"
	case replay:
		return nil, "replay"
	}
	return rec, "claimed"
}

func end(t *testing.T, b *record.Store, r *record.Record, op string) string {
	t.Helper()
	var err error
	switch op {
	case "finish":
		err = b.Finish(t.Context(), r, record.Accepted, nil)
	case "refuse":
		err = b.Refuse(t.Context(), r, &record.Failure{Kind: "k"})
	default:
		err = b.Release(t.Context(), r)
	}
	if err != nil && op == "refuse" {
		return "done" // and another has claimed it before the lost answer could be looked up
	} else if err != nil {
		return err.Error()
	}
	return "done"
}
