package mem_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// on is a plan for one kind of call.
func on(op mem.Op, f mem.Fault) mem.Plan {
	return func(o mem.Op, _ string) mem.Fault {
		if o == op {
			return f
		}
		return mem.Fault{}
	}
}

func TestFaultsOfAnInsert(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  mem.Fault
		want   error
		ends   error
		stored bool
		took   time.Duration
	}{
		"none":                       {mem.Fault{}, nil, nil, true, 0},
		"refused":                    {mem.Fault{Outcome: mem.Refused}, store.ErrUnavailable, nil, false, 0},
		"lost":                       {mem.Fault{Outcome: mem.Lost}, store.ErrUnavailable, nil, true, 0},
		"repeated":                   {mem.Fault{Outcome: mem.Repeated}, store.ErrExists, nil, true, 0},
		"slow":                       {mem.Fault{Before: time.Second, After: time.Second}, nil, nil, true, 2 * time.Second},
		"slow, then refused":         {mem.Fault{Outcome: mem.Refused, Before: time.Second}, store.ErrUnavailable, nil, false, time.Second},
		"too slow to happen":         {mem.Fault{Before: time.Minute}, store.ErrUnavailable, context.DeadlineExceeded, false, 10 * time.Second},
		"too slow to be heard of":    {mem.Fault{After: time.Minute}, store.ErrUnavailable, context.DeadlineExceeded, true, 10 * time.Second},
		"repeated, and too slow too": {mem.Fault{Outcome: mem.Repeated, After: time.Minute}, store.ErrUnavailable, context.DeadlineExceeded, true, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				table := mem.NewTable(time.Now, on(mem.Insert, c.fault))
				start := time.Now()
				receipt, err := table.Insert(ctx, store.Entity{Partition: "p", Row: "r"})
				if !errors.Is(err, c.want) || c.ends != nil && !errors.Is(err, c.ends) || time.Since(start) != c.took {
					t.Errorf("error %v after %v, want %v after %v", err, time.Since(start), c.want, c.took)
				}
				if known := receipt.Time != (time.Time{}); known == errors.Is(err, store.ErrUnavailable) {
					t.Errorf("receipt %+v with error %v", receipt, err)
				}
				_, _, err = table.Get(t.Context(), "p", "r")
				if stored := err == nil; stored != c.stored {
					t.Errorf("get: %v, want stored %t", err, c.stored)
				}
			})
		})
	}
}

func TestFaultReachesEveryCall(t *testing.T) {
	t.Parallel()
	var seen []string
	refuse := func(op mem.Op, key string) mem.Fault {
		seen = append(seen, string(op)+" "+key)
		return mem.Fault{Outcome: mem.Refused}
	}
	ctx, now := t.Context(), time.Now()
	table, container, queue := mem.NewTable(time.Now, refuse), mem.NewContainer(time.Now, refuse), mem.NewQueue(time.Now, refuse)
	_, insert := table.Insert(ctx, store.Entity{Partition: "p", Row: "r"})
	_, _, get := table.Get(ctx, "p", "r")
	_, replace := table.Replace(ctx, store.Entity{Partition: "p", Row: "r"})
	_, transact := table.Transact(ctx, store.Delete("p", "r", ""), store.Delete("p", "s", ""))
	_, list := table.List(ctx, "p")
	_, _, blobs := container.List(ctx, "prefix", "", 1)
	_, before := table.ListBefore(ctx, store.Key{Partition: "a", Row: "r"}, "p", 1)
	_, size := container.Size(ctx, "b")
	_, read := container.Read(ctx, "b")
	_, seal := container.Seal(ctx, "b", store.BlobHeaders{})
	_, write := container.SignWrite(ctx, "b", now, now.Add(time.Minute))
	_, sign := container.SignRead(ctx, "b", store.BlobHeaders{}, now, now.Add(time.Minute))
	_, receive := queue.Receive(ctx, 1, time.Minute)
	errs := []error{
		insert, get, replace, transact, table.Delete(ctx, "p", "r", ""), list, before, size, seal, write,
		container.Put(ctx, "b", nil), read,
		container.Stage(ctx, "b", 0, []byte{1}, nil), container.Commit(ctx, "b", 1, store.BlobHeaders{}), container.Delete(ctx, "b"), blobs, sign,
		queue.Send(ctx, "text", 0), receive, queue.Delete(ctx, "id", "pop"),
	}
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("call %d: error %v", i, err)
		}
	}
	want := map[string]bool{
		"put b": true, "read b": true,
		"list a/r": true, "size b": true, "seal b": true,
		"insert p/r": true, "get p/r": true, "replace p/r": true, "transact p/r": true, "list p/": true, "list prefix": true, "sign b": true, "receive ": true,
		"delete p/r": true, "stage b": true, "commit b": true, "delete b": true, "send ": true, "delete id": true,
	}
	for _, call := range seen {
		if _, known := want[call]; !known {
			t.Errorf("unexpected call %q", call)
		}
		want[call] = false
	}
	for call, unseen := range want {
		if unseen {
			t.Errorf("call without a plan: %s", call)
		}
	}
}

func TestReceiptTellsTheServicesClock(t *testing.T) {
	t.Parallel()
	service := time.Date(2031, time.May, 6, 7, 8, 9, 999_999_999, time.FixedZone("", 3600))
	table := mem.NewTable(func() time.Time { return service }, nil)
	_, receipt, err := table.Get(t.Context(), "p", "r")
	if want := time.Date(2031, time.May, 6, 6, 8, 9, 0, time.UTC); !errors.Is(err, store.ErrMissing) || receipt.Time != want {
		t.Errorf("time %v, error %v; want %v", receipt.Time, err, want)
	}
}

func TestSignedURLEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := mem.NewContainer(time.Now, nil)
		if err := c.Commit(t.Context(), "b", 0, store.BlobHeaders{}); err != nil {
			t.Fatal(err)
		}
		signed, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, time.Now().Add(time.Minute), time.Now().Add(2*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{403, 200, 403} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, signed, nil)
			if err != nil {
				t.Fatal(err)
			}
			if response, err := c.RoundTrip(request); err != nil || response.StatusCode != want {
				t.Errorf("status %d, error %v, want %d", response.StatusCode, err, want)
			}
			time.Sleep(time.Minute)
		}
	})
}
