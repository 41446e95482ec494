package offload

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// TestSweepIsNeitherEarlyNorLate: while a link lives its file opens; a day after
// its end a sweep has deleted both blob and row.
func TestSweepIsNeitherEarlyNorLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSetting()
		var all []file
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(80*time.Hour)).Draw(rt, "pause")))
			life := time.Duration(rapid.Int64Range(int64(mail.MinLinkLife), int64(100*time.Hour)).Draw(rt, "life"))
			all = append(all, s.linked(t, life))
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(80*time.Hour)).Draw(rt, "wait")))

			before := len(s.cloud.names(t))
			deleted, err := s.Sweep(t.Context())
			blobs := s.cloud.names(t)
			if err != nil || deleted != before-len(blobs) {
				rt.Fatalf("deleted %d of %d, %d left: %v", deleted, before, len(blobs), err)
			}
			for _, f := range all {
				expires := f.link.Expires
				k, _ := keyOf(f.token)
				_, _, missing := s.cloud.table.Get(t.Context(), k.partition, k.row)
				blobThere, rowThere := slices.Contains(blobs, f.blob), missing == nil
				switch {
				case s.now.Before(expires) && !(blobThere && rowThere):
					rt.Fatalf("at %v, deleted before its end at %v", s.now, expires)
				case !s.now.Before(expires.Add(24*time.Hour)) && (blobThere || rowThere):
					rt.Fatalf("at %v, still there a day after its end at %v", s.now, expires)
				}
				_, err := s.Open(t.Context(), f.token)
				if opens := err == nil; opens != s.now.Before(expires) {
					rt.Fatalf("at %v, opens: %t; its end: %v", s.now, opens, expires)
				}
				if err != nil && !problem.Is(err, problem.Gone) {
					rt.Fatalf("at %v, after its end at %v: %v", s.now, expires, err)
				}
			}
		}
	})
}

func TestSweepLooksAtMoreThanOnePage(t *testing.T) {
	t.Parallel()
	s := newSetting()
	for i := range 2*SweepPage + 1 {
		s.cloud.put(t, fmt.Sprintf("2026-11-%02d/%026d", 1+i%3, i))
	}
	s.cloud.put(t, "2026-11-24/tomorrow")
	deleted, err := s.Sweep(t.Context())
	if left := s.cloud.names(t); err != nil || deleted != 2*SweepPage+1 || !slices.Equal(left, []string{"2026-11-24/tomorrow"}) {
		t.Errorf("deleted %d, left %q: %v", deleted, left, err)
	}
	if n := s.cloud.calls["list blob"]; n != 3 {
		t.Errorf("%d listings, want 3", n)
	}
}

func TestSweepLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	s := newSetting()
	foreign := []string{"1/x", "2026-11-01", "2026-13-01/x", "20261101/x", "spool/2026-11-01"}
	for _, name := range foreign {
		s.cloud.put(t, name)
	}
	s.cloud.put(t, "2026-11-01/x")
	deleted, err := s.Sweep(t.Context())
	if left := s.cloud.names(t); err != nil || deleted != 1 || !slices.Equal(left, foreign) {
		t.Errorf("deleted %d, left %q: %v", deleted, left, err)
	}
}

func TestSweepFindsAgainWhatItCouldNotDelete(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"list blob", "list row", "delete row", "delete blob"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			for range 3 {
				s.linked(t, time.Hour)
			}
			s.now = s.now.Add(25 * time.Hour)
			s.cloud.fault = failing(call, 1, mem.Refused)
			first, err := s.Sweep(t.Context())
			if !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if len(s.cloud.rows(t)) > 0 && len(s.cloud.names(t)) == 0 {
				t.Error("rows are left that no blob leads to")
			}
			again, err := s.Sweep(t.Context())
			if err != nil || first+again != 3 {
				t.Errorf("deleted %d and %d, want 3 together: %v", first, again, err)
			}
			assertEmpty(t, s.cloud)
		})
	}
}
