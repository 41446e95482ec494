package offload

import (
	"slices"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A withdrawal is done when its row says so and, where the mail itself holds SAS
// URLs, when the files are gone. One that is not done is told, leaves no link
// without its file, and can be done again.
func TestWithdrawalThatStorageInterrupts(t *testing.T) {
	t.Parallel()
	type told string
	const never, always, files told = "", "always", "where files are to be deleted" // that it is not done
	for _, c := range []struct {
		name     string
		fault    fault
		told     told
		revoked  bool
		deleted  []int // of three files, at once, where nothing else ends them
		changing int   // how often the row changes under it
	}{
		{"nothing goes wrong", nil, never, true, []int{0, 1, 2}, 0},
		{"the row cannot be read", refusing("get"), always, false, nil, 0},
		{"the row cannot be written", refusing("replace"), always, false, nil, 0},
		{"the answer to the row is lost", failing("replace", 1, mem.Lost), always, true, nil, 0},
		{"the answer to the row is lost and repeated", failing("replace", 1, mem.Repeated), never, true, []int{0, 1, 2}, 0},
		{"the row changes for ever", nil, always, false, nil, 100},
		{"no file can be deleted", refusing("delete blob"), files, true, nil, 0},
		{"the first file cannot be deleted", failing("delete blob", 1, mem.Refused), files, true, []int{1, 2}, 0},
		{"the second file cannot be deleted", failing("delete blob", 2, mem.Refused), files, true, []int{0, 2}, 0},
		{"the last file cannot be deleted", failing("delete blob", 3, mem.Refused), files, true, []int{0, 1}, 0},
		{"the answer to the first file is lost", failing("delete blob", 1, mem.Lost), files, true, []int{0, 1, 2}, 0},
	} {
		for how, adjust := range map[string]func(*Config){"links to the gateway": linksToGateway, "SAS URLs in the mail": sasInMail} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				t.Parallel()
				s := newSetting(adjust)
				mustTell, deleted := c.told != never, c.deleted
				if !s.config.SASInMail { // then no file is touched, and none can fail
					mustTell, deleted = c.told == always, nil
				}
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
				if mustTell && !problem.Is(err, problem.Unavailable) || !mustTell && err != nil {
					t.Errorf("told %v", err)
				}
				s.assertLeft(t, mv, c.revoked, deleted)
				if err := s.RevokeMessage(t.Context(), mv.Key()); err != nil {
					t.Errorf("again: %v", err)
				}
				if s.config.SASInMail {
					deleted = []int{0, 1, 2}
				}
				s.assertLeft(t, mv, true, deleted)
			})
		}
	}
}

// assertLeft holds what a withdrawal has left of a message with three files.
func (s *setting) assertLeft(t *testing.T, mv *Move, revoked bool, deleted []int) {
	t.Helper()
	if _, got, err := s.Downloads(t.Context(), mv.Key()); err != nil || got != revoked {
		t.Errorf("revoked %t, want %t: %v", got, revoked, err)
	}
	blobs := s.cloud.names(t)
	for n, f := range mv.files {
		if there := slices.Contains(blobs, f.blob); there == slices.Contains(deleted, n) {
			t.Errorf("file %d is there: %t", n, there)
		}
		_, err := s.Open(t.Context(), mv.token, n+1, "")
		if revoked && !problem.Is(err, problem.Gone) || !revoked && err != nil {
			t.Errorf("opening file %d: %v", n, err)
		}
	}
}

// A row that a later try to send its message took an upload from lists the other
// files still, wherever the upload stood: they go in time, and with a withdrawal.
func TestARowWithoutItsUploadTakesItsOtherFiles(t *testing.T) {
	t.Parallel()
	for at, where := range []string{"first", "between", "last"} {
		for what, end := range map[string]func(*testing.T, *setting, *Move){
			"sweep": func(t *testing.T, s *setting, _ *Move) {
				s.now = noon.Add(time.Hour + LinkGrace)
				if n, err := s.CleanUp(t.Context()); n != 2 || err != nil {
					t.Errorf("%d files deleted: %v", n, err)
				}
			},
			"withdrawal": func(t *testing.T, s *setting, first *Move) {
				if err := s.RevokeMessage(t.Context(), first.Key()); err != nil {
					t.Error(err)
				}
			},
		} {
			t.Run("the upload stood "+where+", "+what, func(t *testing.T) {
				t.Parallel()
				s := newSetting(sasInMail)
				id := s.uploaded(t, 5).ID
				with := func(upload mail.Attachment) *mail.Message {
					all := []mail.Attachment{placed(mail.PlacementLink, attached("a.pdf", 5)), placed(mail.PlacementLink, attached("b.pdf", 6))}
					return message(slices.Insert(all, at, upload)...)
				}
				first := commit(t, s.planFor(t, with(mail.Attachment{Name: "u.zip", UploadID: id}), time.Hour, wholeMiB))
				again := commit(t, s.planFor(t, naming(id), 1000*time.Hour, wholeMiB))
				end(t, s, first)
				if blobs := s.cloud.names(t); !slices.Equal(blobs, []string{again.files[0].blob}) {
					t.Errorf("left is %q, want the upload", blobs)
				}
				if _, err := s.open(t.Context(), again.token); err != nil {
					t.Errorf("the link of the later try: %v", err)
				}
			})
		}
	}
}
