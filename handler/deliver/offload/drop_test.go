package offload

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// What was staged for a message that came to nothing is gone, and so is every trace of it.
func TestWhatWasStagedInVainIsDropped(t *testing.T) {
	t.Parallel()
	large := func() io.Reader { return bytes.NewReader(noise(1, 2*BlockBytes+5)) }
	stream := func(t *testing.T, s *setting, r io.Reader) (*Intake, error) {
		in := s.NewIntake(noLength, wholeMiB)
		return in, in.Attachment(t.Context(), 0, placed(mail.PlacementLink, mail.Attachment{}), r)
	}
	plan := func(t *testing.T, s *setting, in *Intake) *Move {
		m := message(placed(mail.PlacementLink, mail.Attachment{Name: "a.bin", HasContent: true}))
		in.Fill(m)
		mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
		if err != nil {
			t.Fatal(err)
		}
		return mv
	}
	for name, live := range map[string]func(t *testing.T, s *setting) *Intake{
		"the body was cut": func(t *testing.T, s *setting) *Intake {
			in, err := stream(t, s, io.MultiReader(large(), iotest.ErrReader(errors.New("cut"))))
			if err == nil {
				t.Error("no error")
			}
			return in
		},
		"the message was refused": func(t *testing.T, s *setting) *Intake {
			in, _ := stream(t, s, large())
			return in
		},
		"the message was planned, and had no quota": func(t *testing.T, s *setting) *Intake {
			in, _ := stream(t, s, large())
			_ = plan(t, s, in).Discard(t.Context())
			return in
		},
		"the row could not be written": func(t *testing.T, s *setting) *Intake {
			in, _ := stream(t, s, large())
			mv := plan(t, s, in)
			synctest.Wait() // for what is being staged, which reads the fault
			s.cloud.fault = failing("insert", 1, mem.Refused)
			if errors.Join(mv.Stage(t.Context()), mv.Commit(t.Context())) == nil {
				t.Error("no error")
			}
			return in
		},
		"what was kept was staged, and the message not sent": func(t *testing.T, s *setting) *Intake {
			in := s.NewIntake(0, wholeMiB)
			m := message(placed(mail.PlacementLink, attached("a.bin", 100)))
			mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
			if err != nil {
				t.Fatal(err)
			}
			_ = mv.Stage(t.Context())
			_ = mv.Discard(t.Context())
			return in
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSetting()
				live(t, s).Close()
				synctest.Wait()
				if staged, names := s.cloud.container.Staged(), s.cloud.names(t); len(staged)+len(names) > 0 {
					t.Errorf("staged %v, blobs %v", staged, names)
				}
			})
		})
	}
}

// A blob that a row lists is nobody's to drop, and storage that is away is not asked.
func TestWhatIsNotDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting()
		in := s.NewIntake(noLength, wholeMiB)
		if err := in.Attachment(t.Context(), 0, placed(mail.PlacementLink, mail.Attachment{}), bytes.NewReader(noise(1, BlockBytes+5))); err != nil {
			t.Fatal(err)
		}
		m := message(placed(mail.PlacementLink, mail.Attachment{Name: "a.bin", HasContent: true}))
		in.Fill(m)
		mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, mv)
		in.Close()
		synctest.Wait()
		if len(s.cloud.names(t)) != 1 || s.cloud.calls["commit"] != 1 {
			t.Errorf("blobs %v, %d commits", s.cloud.names(t), s.cloud.calls["commit"])
		}
		s.cloud.fault = refusing("stage")
		in = s.NewIntake(noLength, wholeMiB)
		_ = in.Attachment(t.Context(), 0, placed(mail.PlacementLink, mail.Attachment{}), bytes.NewReader(noise(1, 4*BlockBytes)))
		synctest.Wait() // the blocks are sent beside it
		in.Close()
		synctest.Wait()
		if s.cloud.calls["commit"] != 1 {
			t.Errorf("%d commits", s.cloud.calls["commit"])
		}
	})
}
