package wiring

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/posthorn/posthorn/handler/settings"
)

// hanging is storage that takes some time to answer, or never does.
type hanging struct {
	hangs atomic.Bool
	slow  atomic.Int64 // ns
	tries atomic.Int64
}

func (s *hanging) Do(req *http.Request) (*http.Response, error) {
	s.tries.Add(1)
	var answered <-chan time.Time
	if !s.hangs.Load() {
		answered = time.After(time.Duration(s.slow.Load()))
	}
	select {
	case <-answered:
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: req, Header: http.Header{}}, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// asking is a pipeline as the clients of tables have one, over s.
func asking(t *testing.T, s *hanging) func(t testing.TB) (time.Duration, error) {
	t.Helper()
	o, err := storageOptions(settings.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	o.Transport = s
	o.PerRetryPolicies = append(o.PerRetryPolicies, &breaker{now: time.Now})
	p := runtime.NewPipeline("test", "v1", runtime.PipelineOptions{}, &azcore.ClientOptions{Transport: o.Transport, Retry: o.Retry, PerRetryPolicies: o.PerRetryPolicies})
	return func(t testing.TB) (time.Duration, error) {
		req, err := runtime.NewRequest(t.Context(), http.MethodGet, "https://account.table.core.windows.net/rows")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = p.Do(req)
		return time.Since(begun), err
	}
}

func TestCallersHearSoonThatStorageHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &hanging{}
		ask := asking(t, s)
		if _, err := ask(t); err != nil {
			t.Fatal(err)
		}
		s.hangs.Store(true)
		if took, err := ask(t); err == nil || took > answerTime+2*time.Second {
			t.Errorf("the first: %v after %v", err, took)
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if took, err := ask(t); err == nil || took > briefTime {
					t.Errorf("%v after %v", err, took)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		s.hangs.Store(false)
		if took, err := ask(t); err != nil || took > 0 {
			t.Errorf("once it is back: %v after %v", err, took)
		}
	})
}

func TestStorageThatIsBackIsFoundEvenIfItIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &hanging{}
		ask := asking(t, s)
		s.hangs.Store(true)
		if _, err := ask(t); err == nil {
			t.Fatal("there was an answer")
		}
		s.hangs.Store(false)
		s.slow.Store(int64(2 * time.Second)) // longer than a brief try
		time.Sleep(probePause)
		if took, err := ask(t); err != nil {
			t.Errorf("the probe: %v after %v", err, took)
		}
		for range 3 {
			if took, err := ask(t); err != nil || took != 2*time.Second {
				t.Errorf("after the probe: %v after %v", err, took)
			}
		}
	})
}

// A crowd of callers does not keep a slow storage busy: a few tries go at a time, and
// one of them finds storage once it is quick again.
func TestACrowdDoesNotKeepStorageBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &hanging{}
		ask := asking(t, s)
		s.hangs.Store(true)
		if _, err := ask(t); err == nil {
			t.Fatal("there was an answer")
		}
		before := s.tries.Load()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if took, err := ask(t); err == nil || took > briefTime {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		if n := s.tries.Load() - before; n != mostBrief {
			t.Errorf("%d of a crowd got through, want %d", n, mostBrief)
		}
		s.hangs.Store(false)
		for range 2 * mostBrief {
			if took, err := ask(t); err != nil || took > 0 {
				t.Errorf("once it is back: %v after %v", err, took)
			}
		}
	})
}

// Storage under a thousand requests keeps some of them waiting for long; it is there.
func TestOneSlowAnswerAmongOthersDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &breaker{now: time.Now}
		_, slow := b.begin()
		time.Sleep(time.Second)
		_, other := b.begin()
		other(answer)
		time.Sleep(answerTime)
		slow(silence)
		if limit, _ := b.begin(); limit != answerTime {
			t.Errorf("the next try has %v", limit)
		}
	})
}

func TestCallerThatLeavesDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	b := &breaker{now: time.Now}
	_, done := b.begin()
	done(unknown)
	if limit, _ := b.begin(); limit != answerTime {
		t.Errorf("the next try has %v", limit)
	}
}
