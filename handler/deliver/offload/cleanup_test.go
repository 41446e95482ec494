package offload

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// TestCleanUpIsNeitherEarlyNorLate: while a link lives its file opens; no file goes
// before LinkGrace after its end, none is there after the next clean-up.
func TestCleanUpIsNeitherEarlyNorLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSetting()
		var all []*Move
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(80*time.Hour)).Draw(rt, "pause")))
			life := time.Duration(rapid.Int64Range(int64(mail.MinLinkLife), int64(100*time.Hour)).Draw(rt, "life"))
			all = append(all, s.linked(t, life))
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(80*time.Hour)).Draw(rt, "wait")))

			before := len(s.cloud.names(t))
			deleted, err := s.CleanUp(t.Context())
			blobs := s.cloud.names(t)
			if err != nil || deleted != before-len(blobs) {
				rt.Fatalf("deleted %d of %d, %d left: %v", deleted, before, len(blobs), err)
			}
			for _, mv := range all {
				_, _, missing := s.cloud.table.Get(t.Context(), mv.key.Partition, mv.key.Row)
				blobThere, rowThere := slices.Contains(blobs, mv.files[0].blob), missing == nil
				if due := !s.now.Before(mv.expires.Add(LinkGrace)); blobThere == due || rowThere == due {
					rt.Fatalf("at %v, blob %t, row %t; its end: %v", s.now, blobThere, rowThere, mv.expires)
				}
				_, err := s.open(t.Context(), mv.token)
				if opens := err == nil; opens != s.now.Before(mv.expires) {
					rt.Fatalf("at %v, opens: %t; its end: %v", s.now, opens, mv.expires)
				}
				if err != nil && !problem.Is(err, problem.Gone) {
					rt.Fatalf("at %v, after its end at %v: %v", s.now, mv.expires, err)
				}
			}
		}
	})
}

func TestCleanUpLooksAtMoreThanOnePage(t *testing.T) {
	t.Parallel()
	s := newSetting()
	for i := range 2*expire.Page + 1 {
		s.linked(t, time.Duration(1+i%30)*time.Hour)
	}
	later := s.linked(t, 40*time.Hour)
	s.now = noon.Add(30*time.Hour + LinkGrace)
	deleted, err := s.CleanUp(t.Context())
	if left := s.cloud.names(t); err != nil || deleted != 2*expire.Page+1 || !slices.Equal(left, []string{later.files[0].blob}) {
		t.Errorf("deleted %d, left %q: %v", deleted, left, err)
	}
	if n := s.cloud.calls["list"]; n != 4 { // three of links, one of slots
		t.Errorf("%d listings, want 4", n)
	}
}

func TestCleanUpLeavesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newSetting()
	broken := store.Entity{Partition: "20261101", Row: "a", Values: map[string]any{fileValue(1): "{"}}
	if _, err := s.cloud.table.Insert(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	mv := s.linked(t, time.Hour)
	s.now = mv.expires.Add(LinkGrace)
	deleted, err := s.CleanUp(t.Context())
	if rows := s.cloud.rows(t); !problem.Is(err, problem.Unavailable) || deleted != 1 || len(rows) != 1 || rows[0].Row != "a" {
		t.Errorf("deleted %d, rows %v: %v", deleted, rows, err)
	}
}

func TestCleanUpFindsAgainWhatItCouldNotDelete(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"list", "delete row", "delete blob"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			for range 3 {
				s.linked(t, time.Hour)
			}
			s.now = s.now.Add(time.Hour + LinkGrace)
			s.cloud.fault = failing(call, 1, mem.Refused)
			first, err := s.CleanUp(t.Context())
			if !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			again, err := s.CleanUp(t.Context())
			if err != nil || first+again != 3 {
				t.Errorf("deleted %d and %d, want 3 together: %v", first, again, err)
			}
			assertEmpty(t, s.cloud)
		})
	}
}

// TestNothingIsLeftAfterACrash: a process that ends at any call, with that call
// done or not, leaves nothing that a clean-up does not delete in time, and takes no
// upload away that another message has since.
func TestNothingIsLeftAfterACrash(t *testing.T) {
	t.Parallel()
	for _, outcome := range []mem.Outcome{mem.Refused, mem.Lost} {
		for dies := int64(1); ; dies++ {
			s, calls := crashAt(t, dies, outcome)
			s.cloud.fault = nil
			s.now = noon.Add(time.Hour + LinkGrace)
			if _, err := s.CleanUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if blobs, rows := s.cloud.names(t), s.cloud.rows(t); len(blobs)+len(rows) > 0 {
				t.Errorf("dead at call %d, outcome %d: left %q and %v", dies, outcome, blobs, rows)
			}
			if calls < dies {
				break
			}
		}
	}
}

// crashAt lives through a slot, an upload, a message of all kinds of attachments
// and its Discard, and sees no call succeed after the given one.
func crashAt(t *testing.T, dies int64, outcome mem.Outcome) (s *setting, calls int64) {
	t.Helper()
	s = newSetting()
	var made atomic.Int64
	s.cloud.fault = func(string, int) mem.Fault {
		switch call := made.Add(1); {
		case call < dies:
			return mem.Fault{}
		case call == dies:
			return mem.Fault{Outcome: outcome}
		default:
			return mem.Fault{Outcome: mem.Refused}
		}
	}
	slot, err := s.CreateSlot(t.Context(), owner.Caller, DefaultOpenSlots)
	if err != nil {
		return s, made.Load()
	}
	s.cloud.put(t, slot.URL, noise(1, 100))
	m := message(placed(mail.PlacementLink, attached("a.pdf", 5)), mail.Attachment{Name: "u.zip", UploadID: slot.ID}, placed(mail.PlacementLink, attached("b.pdf", 6)))
	mv, err := planIn(s, m, time.Hour, 1<<20)
	if err != nil {
		return s, made.Load()
	}
	if err = mv.Stage(t.Context()); err == nil {
		err = mv.Commit(t.Context())
	}
	_ = errors.Join(err, mv.Discard(t.Context())) // it fails from the crash on
	return s, made.Load()
}
