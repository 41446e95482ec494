package keyring

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("storage is away")

// testCache is a list whose reading a test decides on.
type testCache struct {
	*cache[int64]
	reads atomic.Int64
	away  atomic.Bool
	takes atomic.Int64 // how long a read takes
}

// newTestCache lists the number of the read under "n".
func newTestCache() *testCache {
	d := &testCache{}
	d.cache = newCache(time.Now, func(ctx context.Context) (map[string]int64, error) {
		n := d.reads.Add(1)
		select {
		case <-time.After(time.Duration(d.takes.Load())):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d.away.Load() {
			return nil, errAway
		}
		return map[string]int64{"n": n}, nil
	})
	return d
}

func (d *testCache) letIn(ctx context.Context) (map[string]int64, error) { return d.known(ctx) }
func (d *testCache) anew(ctx context.Context) (map[string]int64, error) {
	return d.since(ctx, d.moment())
}

// told is what one question was answered, and after what time.
func told(ask func(context.Context) (map[string]int64, error)) (n int64, took time.Duration, err error) {
	begin := time.Now()
	known, err := ask(context.Background())
	return known["n"], time.Since(begin), err
}

func TestHowFreshAListIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		age  time.Duration // of the list
		away bool
		ask  func(*testCache, context.Context) (map[string]int64, error)
		want int64 // 0: errAway
		took time.Duration
	}{
		{"young", CacheLife - 1, false, (*testCache).fresh, 1, 0},
		{"old", CacheLife, false, (*testCache).fresh, 2, 0},
		{"old, to let in", CacheLife, false, (*testCache).letIn, 2, 0},
		{"old, and storage away", CacheLife, true, (*testCache).fresh, 0, 0},
		{"old, and storage away, to let in", Grace - 1, true, (*testCache).letIn, 1, 0},
		{"too old, and storage away", Grace, true, (*testCache).letIn, 0, 0},
		{"anew", time.Minute, false, (*testCache).anew, 2, 0},
		{"anew, right after a read", 0, false, (*testCache).anew, 2, time.Second},
		{"young, and storage away", time.Second, true, (*testCache).letIn, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newTestCache()
				if n, _, err := told(d.fresh); n != 1 || err != nil {
					t.Fatalf("at first: %d, %v", n, err)
				}
				time.Sleep(c.age)
				d.away.Store(c.away)
				n, took, err := told(func(ctx context.Context) (map[string]int64, error) { return c.ask(d, ctx) })
				if n != c.want || took != c.took || (err != nil) != (c.want == 0) || err != nil && !errors.Is(err, errAway) {
					t.Errorf("%d, %v after %v; want %d after %v", n, err, took, c.want, c.took)
				}
			})
		})
	}
}

// Who asks all the time never waits: the list is read anew beside, once at a time, and is
// never older than CacheLife.
func TestAListIsRenewedBesideThoseWhoUseIt(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"storage is there": false, "storage is away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newTestCache()
				if _, _, err := told(d.fresh); err != nil {
					t.Fatal(err)
				}
				d.takes.Store(int64(2 * time.Second))
				d.away.Store(away)
				for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(100 * time.Millisecond) {
					d.mu.Lock()
					last := d.asked
					d.mu.Unlock()
					_, took, err := told(d.fresh)
					switch age := time.Since(last); {
					case err == nil && (took > 0 || age >= CacheLife):
						t.Fatalf("after %v, a list of %v ago", took, age)
					case (err != nil) != (away && age >= CacheLife):
						t.Fatalf("%v with a list of %v ago", err, age)
					}
				}
				// One read each 13 s and 2 s, or one after the other once it is time.
				if n := d.reads.Load(); !away && n != 5 || away && n > 25 {
					t.Errorf("%d reads in a minute", n)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// However many ask while storage is away, it is asked once a second, and nobody waits for
// the others.
func TestManyWhoAskShareOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestCache()
		d.takes.Store(int64(time.Hour)) // each read ends with its time
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				if _, took, err := told(d.known); err == nil || took > 5*time.Second {
					t.Errorf("the %dth: %v after %v", i, err, took)
				}
			})
		}
		all.Wait()
		if n := d.reads.Load(); n != 1 {
			t.Errorf("%d reads", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(time.Second)
		if _, err := d.known(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who leaves: %v", err)
		}
		time.Sleep(time.Minute)
	})
}

// While storage hangs, who is known is let in at once, and what is read then counts.
func TestTheLastListHoldsWithoutAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestCache()
		_, _, _ = told(d.known)
		time.Sleep(CacheLife)
		d.takes.Store(int64(time.Hour))
		if n, took, err := told(d.known); n != 1 || err != nil || took != 5*time.Second {
			t.Errorf("the first: %d, %v after %v", n, err, took)
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if n, took, err := told(d.known); n != 1 || err != nil || took != 0 {
				t.Fatalf("later: %d, %v after %v", n, err, took)
			}
		}
		d.takes.Store(0)
		time.Sleep(7 * time.Second) // what hangs, ends
		_, _, _ = told(d.known)
		time.Sleep(time.Second)
		if n, took, err := told(d.known); n < 3 || err != nil || took != 0 {
			t.Errorf("storage is back: %d, %v after %v", n, err, took)
		}
	})
}

// All who ask within a second share a failure; nobody waits for the next read to fail
// too, and the first who asks later has the list read.
func TestAFailureIsSharedForASecond(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		before     bool // a list was read, too long ago to let in by
		ask        func(*testCache, context.Context) (map[string]int64, error)
		reads      int64
		firstTakes time.Duration
	}{
		{"with no list", false, (*testCache).letIn, 1, 5 * time.Second},
		{"with no list, fresh", false, (*testCache).fresh, 1, 5 * time.Second},
		{"with a list that is too old", true, (*testCache).letIn, 2, 5 * time.Second},
		{"anew", true, (*testCache).anew, 2, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newTestCache()
				if c.before {
					_, _, _ = told(d.known)
					time.Sleep(Grace)
				}
				d.takes.Store(int64(time.Hour))
				ask := func(ctx context.Context) (map[string]int64, error) { return c.ask(d, ctx) }
				if _, took, err := told(ask); err == nil || took != c.firstTakes {
					t.Errorf("the first: %v after %v", err, took)
				}
				for range 9 {
					time.Sleep(100 * time.Millisecond)
					if _, took, err := told(ask); err == nil || took != 0 || d.reads.Load() != c.reads {
						t.Fatalf("within the second: %v after %v, %d reads", err, took, d.reads.Load())
					}
				}
				d.takes.Store(0)
				time.Sleep(100 * time.Millisecond)
				if n, took, err := told(ask); n != c.reads+1 || took != 0 || err != nil {
					t.Errorf("after the second: %d, %v after %v", n, err, took)
				}
			})
		})
	}
}
