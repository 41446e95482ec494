package offload

import (
	"slices"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A withdrawal is done when its row says so. One that is not done is told, and can be
// done again. It touches no file.
func TestWithdrawalThatStorageInterrupts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fault    fault
		told     bool // that it is not done
		revoked  bool
		changing int // how often the row changes under it
	}{
		{"nothing goes wrong", nil, false, true, 0},
		{"the row cannot be read", refusing("get"), true, false, 0},
		{"the row cannot be written", refusing("replace"), true, false, 0},
		{"the answer to the row is lost", failing("replace", 1, mem.Lost), true, true, 0},
		{"the answer to the row is lost and repeated", failing("replace", 1, mem.Repeated), false, true, 0},
		{"the row changes for ever", nil, true, false, 100},
		{"no file can be deleted", refusing("delete blob"), false, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			mv := commit(t, s.planFor(t, message(
				placed(mail.PlacementLink, attached("a.pdf", 5)), placed(mail.PlacementLink, attached("b.pdf", 6)), placed(mail.PlacementLink, attached("c.pdf", 7)),
			), time.Hour, wholeMiB))
			s.cloud.fault = func(call string, nth int) mem.Fault {
				if call == "replace" && nth <= c.changing {
					s.cloud.touch(t)
				}
				if c.fault != nil {
					return c.fault(call, nth)
				}
				return mem.Fault{}
			}
			err := s.RevokeMessage(t.Context(), mv.Key())
			s.cloud.fault = nil
			if c.told && !problem.Is(err, problem.Unavailable) || !c.told && err != nil {
				t.Errorf("told %v", err)
			}
			s.assertLeft(t, mv, c.revoked)
			if err := s.RevokeMessage(t.Context(), mv.Key()); err != nil {
				t.Errorf("again: %v", err)
			}
			s.assertLeft(t, mv, true)
		})
	}
}

// assertLeft holds what a withdrawal has left of a message with three files.
func (s *setting) assertLeft(t *testing.T, mv *Move, revoked bool) {
	t.Helper()
	if _, got, err := s.Downloads(t.Context(), mv.Key()); err != nil || got != revoked {
		t.Errorf("revoked %t, want %t: %v", got, revoked, err)
	}
	blobs := s.cloud.names(t)
	for n, f := range mv.files {
		if !slices.Contains(blobs, f.blob) {
			t.Errorf("file %d is gone", n)
		}
		_, err := s.Open(t.Context(), mv.token, n+1, "")
		if revoked && !problem.Is(err, problem.Gone) || !revoked && err != nil {
			t.Errorf("opening file %d: %v", n, err)
		}
	}
}

// A row that a later try to send its message took an upload from lists the other
// files still, wherever the upload stood: they go in time.
func TestARowWithoutItsUploadTakesItsOtherFiles(t *testing.T) {
	t.Parallel()
	for at, where := range []string{"first", "between", "last"} {
		t.Run("the upload stood "+where, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			id := s.uploaded(t, 5).ID
			files := []mail.Attachment{placed(mail.PlacementLink, attached("a.pdf", 5)), placed(mail.PlacementLink, attached("b.pdf", 6))}
			m := message(slices.Insert(files, at, mail.Attachment{Name: "u.zip", UploadID: id})...)
			commit(t, s.planFor(t, m, time.Hour, wholeMiB))
			again := commit(t, s.planFor(t, naming(id), 1000*time.Hour, wholeMiB))
			s.now = noon.Add(time.Hour + LinkGrace)
			if n, err := s.CleanUp(t.Context()); n != 2 || err != nil {
				t.Errorf("%d files deleted: %v", n, err)
			}
			if blobs := s.cloud.names(t); !slices.Equal(blobs, []string{again.files[0].blob}) {
				t.Errorf("left is %q, want the upload", blobs)
			}
			if _, err := s.open(t.Context(), again.token); err != nil {
				t.Errorf("the link of the later try: %v", err)
			}
		})
	}
}
