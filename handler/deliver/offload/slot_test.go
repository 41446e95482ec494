package offload

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// uploaded is a slot with so many bytes in it.
func (s *setting) uploaded(t testing.TB, n int) Slot {
	t.Helper()
	slot, err := s.CreateSlot(t.Context(), owner.Caller, DefaultOpenSlots)
	if err != nil {
		t.Fatal(err)
	}
	s.cloud.put(t, slot.URL, noise(9, n))
	return slot
}

func naming(ids ...string) *mail.Message {
	m := message()
	for _, id := range ids {
		m.Attachments = append(m.Attachments, mail.Attachment{Name: "video.mp4", ContentType: "video/mp4", UploadID: id})
	}
	return m
}

// planAs is Plan for another owner.
func (s *setting) planAs(o Owner, m *mail.Message, life time.Duration) (*Move, error) {
	return s.Plan(context.Background(), m, s.NewIntake(0, wholeMiB), o, life, wholeMiB, wireSize)
}

func TestSlot(t *testing.T) {
	t.Parallel()
	s := newSetting()
	slot, err := s.CreateSlot(t.Context(), "shop", DefaultOpenSlots)
	if err != nil {
		t.Fatal(err)
	}
	if slot.Expires != noon.Add(SlotLife-ClockSkew) || slot.MaxBytes != DefaultMaxUploadBytes || !tokenForm.MatchString(slot.ID) {
		t.Errorf("got %+v", slot)
	}
	assertSAS(t, slot.URL, noon, SlotLife, slot.Expires)
	if !strings.HasPrefix(slot.URL, "https://memory.invalid/upload%2F") || !strings.Contains(slot.URL, "sp=cw") {
		t.Errorf("URL %s", slot.URL)
	}
	if row := fmt.Sprint(s.cloud.rows(t)); strings.Contains(row, slot.ID) {
		t.Error("the row holds the id")
	}
	if response := s.cloud.get(t, slot.URL); response.StatusCode != http.StatusForbidden {
		t.Errorf("read: status %d, want 403", response.StatusCode)
	}
}

func TestSlotElsewhere(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) {
		c.DownloadOrigin = &url.URL{Scheme: "http", Host: "127.0.0.1:7071"}
		c.MaxUploadBytes = 77
	})
	slot, err := s.CreateSlot(t.Context(), "shop", DefaultOpenSlots)
	if err != nil || !strings.HasPrefix(slot.URL, "http://127.0.0.1:7071/upload%2F") || slot.MaxBytes != 77 {
		t.Errorf("got %+v, %v", slot, err)
	}
}

func TestSlotWithStorageAway(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"insert", "sign"} {
		s := newSetting()
		s.cloud.fault = refusing(call)
		if slot, err := s.CreateSlot(t.Context(), "shop", DefaultOpenSlots); slot != (Slot{}) || !problem.Is(err, problem.Unavailable) {
			t.Errorf("%s: got %+v, %v", call, slot, err)
		}
	}
}

func TestUploadBecomesALink(t *testing.T) {
	t.Parallel()
	s := newSetting()
	slot := s.uploaded(t, 1000)
	m := naming(slot.ID)
	mv := s.planFor(t, m, 30*24*time.Hour, wholeMiB)
	if m.Attachments[0].Size != 1000 || mv.Links()[0].Size != 1000 || !strings.Contains(m.Content.PlainText, "1.0 kB") {
		t.Errorf("size %d, link %+v", m.Attachments[0].Size, mv.Links()[0])
	}
	commit(t, mv)
	address, err := s.open(t.Context(), mv.token)
	if err != nil {
		t.Fatal(err)
	}
	assertDownload(t, s.cloud.get(t, address), mail.Attachment{Name: "video.mp4", Content: noise(9, 1000)})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, slot.URL, strings.NewReader("other"))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.cloud.container.RoundTrip(request); err != nil || response.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("a later upload: %+v, %v; want status 412", response, err)
	}
}

// A holder of the address may break the seal: what is written then is saved by a
// browser all the same, and never shown.
func TestAnUploadIsSavedWhateverIsWrittenOverIt(t *testing.T) {
	t.Parallel()
	s := newSetting()
	slot := s.uploaded(t, 100)
	mv, err := s.planAs(owner, naming(slot.ID), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, mv)
	blob := mv.files[0].blob
	s.cloud.calmly(func() {
		if err := s.cloud.container.Delete(t.Context(), blob); err != nil {
			t.Fatal(err)
		}
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, slot.URL, strings.NewReader("<script>"))
	request.Header.Set("Content-Type", "text/html")
	if response, err := s.cloud.container.RoundTrip(request); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response, err)
	}
	address, err := s.open(t.Context(), mv.token)
	if err != nil {
		t.Fatal(err)
	}
	got := s.cloud.get(t, address)
	if got.Header.Get("Content-Type") != octetStream || !strings.HasPrefix(got.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("a browser gets %v", got.Header)
	}
}

func TestSlotsOfOneCallerAreBounded(t *testing.T) {
	t.Parallel()
	s := newSetting()
	var last Slot
	for range 3 {
		var err error
		if last, err = s.CreateSlot(t.Context(), "shop", 3); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.CreateSlot(t.Context(), "shop", 3)
	if p := problem.Of(err); p.Kind != problem.TooManyUploads || p.RetryAfter != SlotLife-ClockSkew {
		t.Errorf("a fourth got %v, to be tried again after %s", err, p.RetryAfter)
	}
	if n := len(s.cloud.rows(t)); n != 3 {
		t.Errorf("%d rows", n)
	}
	for _, name := range []string{"shop-2", "sho", "billing"} {
		if _, err := s.CreateSlot(t.Context(), name, 1); err != nil {
			t.Errorf("another caller, %s: %v", name, err)
		}
	}
	s.cloud.put(t, last.URL, noise(1, 10))
	mv, err := s.planAs(Owner{Caller: "shop", Message: "m"}, naming(last.ID), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, mv)
	if _, err := s.CreateSlot(t.Context(), "shop", 3); err != nil {
		t.Errorf("after a message took one: %v", err)
	}
	s.now = s.now.Add(SlotLife)
	if _, err := s.CreateSlot(t.Context(), "shop", 1); err != nil {
		t.Errorf("after all have ended: %v", err)
	}
}

// However many ask at once, no more get in.
func TestSlotsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.Rand = rand.Reader })
	made := make(chan error)
	for range 20 {
		go func() { _, err := s.CreateSlot(context.Background(), "shop", 5); made <- err }()
	}
	n := 0
	for range 20 {
		if err := <-made; err == nil {
			n++
		} else if !problem.Is(err, problem.TooManyUploads) {
			t.Error(err)
		}
	}
	if n > 5 || len(s.cloud.rows(t)) != n {
		t.Errorf("%d slots, %d rows", n, len(s.cloud.rows(t)))
	}
}

func TestAnUploadThatIsTooLargeIsDeleted(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.MaxUploadBytes = 10 })
	slot := s.uploaded(t, 11)
	_, err := s.planAs(owner, naming(slot.ID), time.Hour)
	if !problem.Is(err, problem.InvalidMessage) {
		t.Errorf("got %v", err)
	}
	if blobs, _, err := s.cloud.container.List(t.Context(), "", "", 9); err != nil || len(blobs) != 0 {
		t.Errorf("left: %v, %v", blobs, err)
	}
	s.cloud.put(t, slot.URL, noise(1, 10))
	if _, err := s.planAs(owner, naming(slot.ID), time.Hour); err != nil {
		t.Errorf("a smaller one: %v", err)
	}
}

func TestUploadThatCannotBeHad(t *testing.T) {
	t.Parallel()
	other := Owner{Caller: "billing", Message: "message-2"}
	tests := []struct {
		name    string
		prepare func(t *testing.T, s *setting, slot Slot)
		owner   Owner
		message func(id string) *mail.Message
		pointer string
		says    string
	}{
		{"nothing uploaded", nil, owner, nil, "/attachments/0/uploadId", "not finished"},
		{"no list of blocks", func(t *testing.T, s *setting, slot Slot) {
			s.cloud.put(t, slot.URL+"&comp=block&blockid=MQ==", noise(1, 5))
		}, owner, nil, "/attachments/0/uploadId", "not finished"},
		{"empty", func(t *testing.T, s *setting, slot Slot) { s.cloud.put(t, slot.URL, nil) }, owner, nil, "/attachments/0/uploadId", "is empty"},
		{"too big", func(t *testing.T, s *setting, slot Slot) { s.cloud.put(t, slot.URL, noise(1, 5001)) }, owner, nil, "/attachments/0/uploadId", "5001 bytes, and 5000"},
		{"of another caller", uploadIt, other, nil, "/attachments/0/uploadId", "no such upload"},
		{"never made", nil, owner, func(string) *mail.Message { return naming("20261124-abcdefghijklmnopqrstuvwxyz") }, "/attachments/0/uploadId", "no such upload"},
		{"no id at all", nil, owner, func(string) *mail.Message { return naming("../../x") }, "/attachments/0/uploadId", "no such upload"},
		{"a link's token", uploadIt, owner, func(string) *mail.Message { return naming("20261223-abcdefghijklmnopqrstuvwxyz") }, "/attachments/0/uploadId", "no such upload"},
		{"too late", func(t *testing.T, s *setting, slot Slot) {
			uploadIt(t, s, slot)
			s.now = slot.Expires
		}, owner, nil, "/attachments/0/uploadId", "no such upload"},
		{"of another message", func(t *testing.T, s *setting, slot Slot) {
			uploadIt(t, s, slot)
			mv, err := s.planAs(Owner{owner.Caller, "earlier"}, naming(slot.ID), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			commit(t, mv)
		}, owner, nil, "/attachments/0/uploadId", "Another message"},
		{"named twice", uploadIt, owner, func(id string) *mail.Message { return naming(id, id) }, "/attachments/1/uploadId", "twice"},
		{"in the message", uploadIt, owner, func(id string) *mail.Message {
			m := naming(id)
			m.Attachments[0].Placement = mail.PlacementInline
			return m
		}, "/attachments/0/placement", "cannot be in the message"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting(func(c *Config) { c.MaxUploadBytes = 5000 })
			slot, err := s.CreateSlot(t.Context(), owner.Caller, DefaultOpenSlots)
			if err != nil {
				t.Fatal(err)
			}
			if tt.prepare != nil {
				tt.prepare(t, s, slot)
			}
			m := naming(slot.ID)
			if tt.message != nil {
				m = tt.message(slot.ID)
			}
			before := len(s.cloud.rows(t))
			mv, err := s.planAs(tt.owner, m, time.Hour)
			faults := problem.Of(err).Violations
			if mv != nil || !problem.Is(err, problem.InvalidMessage) || len(faults) != 1 ||
				faults[0].Pointer != tt.pointer || !strings.Contains(faults[0].Detail, tt.says) {
				t.Errorf("got %v, %v", err, faults)
			}
			if after := len(s.cloud.rows(t)); after != before {
				t.Errorf("%d rows, before %d", after, before)
			}
		})
	}
}

func uploadIt(t *testing.T, s *setting, slot Slot) { s.cloud.put(t, slot.URL, noise(9, 100)) }

func TestUploadsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSetting()
	_, err := s.planAs(owner, naming("x", s.uploaded(t, 5).ID, "y"), time.Hour)
	if faults := problem.Of(err).Violations; len(faults) != 2 || faults[1].Pointer != "/attachments/2/uploadId" {
		t.Errorf("got %v, %v", err, faults)
	}
}

func TestUploadWithStorageAway(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"get", "size"} {
		s := newSetting()
		slot := s.uploaded(t, 5)
		s.cloud.fault = refusing(call)
		if _, err := s.planAs(owner, naming(slot.ID), time.Hour); !problem.Is(err, problem.Unavailable) {
			t.Errorf("%s: got %v, want Unavailable", call, err)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	rival := func(s *setting, slot Slot) { // another message is quicker
		mv, err := s.planAs(Owner{owner.Caller, "rival"}, naming(slot.ID), time.Hour)
		if err != nil {
			panic(err)
		}
		if err := mv.Stage(context.Background()); err != nil {
			panic(err)
		}
	}
	tests := []struct {
		name    string
		between func(t *testing.T, s *setting, slot Slot) // Plan and Stage
		fault   fault
		kind    problem.Kind // Internal, the zero one: it is claimed
	}{
		{"at once", nil, nil, 0},
		{"our own first answer was lost", nil, failing("replace", 1, mem.Repeated), 0},
		{"another message was quicker", func(_ *testing.T, s *setting, slot Slot) { rival(s, slot) }, nil, problem.InvalidMessage},
		{"it was uploaded anew", func(t *testing.T, s *setting, slot Slot) { s.cloud.put(t, slot.URL, noise(1, 7)) }, nil, problem.InvalidMessage},
		{"it was swept", func(t *testing.T, s *setting, _ Slot) {
			s.now = noon.Add(SlotLife + SlotGrace)
			if _, err := s.CleanUp(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, nil, problem.InvalidMessage},
		{"storage away for reading", nil, refusing("get"), problem.Unavailable},
		{"storage away for writing", nil, refusing("replace"), problem.Unavailable},
		{"storage away for sealing", nil, refusing("seal"), problem.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			slot := s.uploaded(t, 5)
			mv := s.planFor(t, naming(slot.ID), time.Hour, wholeMiB)
			if tt.between != nil {
				tt.between(t, s, slot)
			}
			s.cloud.mu.Lock()
			s.cloud.fault, s.cloud.calls = tt.fault, map[string]int{}
			s.cloud.mu.Unlock()
			err := mv.Stage(t.Context())
			if tt.kind == 0 {
				if err != nil {
					t.Errorf("got %v, want success", err)
				}
				return
			}
			if !problem.Is(err, tt.kind) {
				t.Errorf("got %v, want kind %v", err, tt.kind)
			}
			if faults := problem.Of(err).Violations; tt.kind == problem.InvalidMessage && (len(faults) != 1 || faults[0].Pointer != "/attachments/0/uploadId") {
				t.Errorf("faults %v", faults)
			}
		})
	}
}

func TestOnlyOneOfTwoMessagesGetsAnUpload(t *testing.T) {
	t.Parallel()
	s := newSetting()
	slot := s.uploaded(t, 5)
	results := make(chan error)
	var moves []*Move // all planned before one of them claims the upload
	for n := range 8 {
		mv, err := s.planAs(Owner{owner.Caller, fmt.Sprint("message-", n)}, naming(slot.ID), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, mv)
	}
	for _, mv := range moves {
		go func() { results <- mv.Stage(context.Background()) }()
	}
	won := 0
	for range 8 {
		switch err := <-results; {
		case err == nil:
			won++
		case !problem.Is(err, problem.InvalidMessage) && !problem.Is(err, problem.Unavailable):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d messages have the upload, want 1", won)
	}
}

func TestDiscardGivesUploadsBack(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"Stage", "Commit"} {
		t.Run("after "+last, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			slot := s.uploaded(t, 5)
			mv := s.planFor(t, naming(slot.ID), time.Hour, wholeMiB)
			if err := mv.Stage(t.Context()); err != nil {
				t.Fatal(err)
			}
			if last == "Commit" {
				if err := mv.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := mv.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			next, err := s.planAs(Owner{owner.Caller, "message-2"}, naming(slot.ID), 10*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			commit(t, next)
			if err := mv.Discard(t.Context()); err != nil {
				t.Errorf("Discard again: %v", err)
			}
			if _, err := s.planAs(owner, naming(slot.ID), time.Hour); !problem.Is(err, problem.InvalidMessage) {
				t.Errorf("the first message has it again: %v", err)
			}
			if _, err := s.open(t.Context(), next.token); err != nil {
				t.Errorf("the next message's link: %v", err)
			}
		})
	}
}

// TestSameMessageTriesAgain: a second try to send a message may have the upload of
// the first, whose row no longer takes it away.
func TestSameMessageTriesAgain(t *testing.T) {
	t.Parallel()
	s := newSetting()
	slot := s.uploaded(t, 5)
	first := commit(t, s.planFor(t, naming(slot.ID), time.Hour, wholeMiB))
	second := commit(t, s.planFor(t, naming(slot.ID), 1000*time.Hour, wholeMiB))
	if _, err := s.open(t.Context(), first.token); !problem.Is(err, problem.Gone) {
		t.Errorf("the first link: got %v, want Gone", err)
	}
	s.now = noon.Add(900 * time.Hour)
	if _, err := s.CleanUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	location, err := s.open(t.Context(), second.token)
	if err != nil {
		t.Fatal(err)
	}
	assertDownload(t, s.cloud.get(t, location), mail.Attachment{Name: "video.mp4", Content: noise(9, 5)})
	s.now = noon.Add(1000*time.Hour + LinkGrace)
	if _, err := s.CleanUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertEmpty(t, s.cloud)
}

// TestUploadsAreSweptInTime: what no message named goes SlotGrace after its slot,
// what one did goes with its link, and neither a clean-up later nor earlier.
func TestUploadsAreSweptInTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSetting()
		type upload struct {
			blob string
			due  time.Time
		}
		var all []upload
		for n := range rapid.IntRange(1, 10).Draw(rt, "steps") {
			slot := s.uploaded(t, 5)
			u := upload{due: slot.Expires.Add(SlotGrace)}
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(SlotLife-ClockSkew-time.Second)).Draw(rt, "pause")))
			life := time.Duration(rapid.Int64Range(int64(time.Hour), int64(60*time.Hour)).Draw(rt, "life"))
			mv, err := s.planAs(Owner{owner.Caller, strconv.Itoa(n)}, naming(slot.ID), life)
			if err != nil {
				rt.Fatal(err)
			}
			u.blob = mv.files[0].blob
			switch rapid.IntRange(0, 3).Draw(rt, "fate") {
			case 0: // nobody names it
			case 1: // its message ends between Stage and Commit
				if err := mv.Stage(t.Context()); err != nil {
					rt.Fatal(err)
				}
			case 2:
				commit(t, mv)
				u.due = mv.expires.Add(LinkGrace)
			case 3: // its message was not sent
				if err := commit(t, mv).Discard(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
			all = append(all, u)
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(60*time.Hour)).Draw(rt, "wait")))
			if _, err := s.CleanUp(t.Context()); err != nil {
				rt.Fatal(err)
			}
			blobs := s.cloud.names(t)
			for _, u := range all {
				if there := slices.Contains(blobs, u.blob); there != s.now.Before(u.due) {
					rt.Fatalf("at %v, there: %t; due at %v", s.now, there, u.due)
				}
			}
		}
		s.now = s.now.Add(100 * time.Hour)
		if _, err := s.CleanUp(t.Context()); err != nil {
			rt.Fatal(err)
		}
		assertEmpty(t, s.cloud)
	})
}

func TestCleanUpOfSlotsWithStorageAway(t *testing.T) {
	t.Parallel()
	s := newSetting()
	commit(t, s.planFor(t, naming(s.uploaded(t, 5).ID), 100*time.Hour, wholeMiB))
	s.now = noon.Add(SlotLife + SlotGrace)
	s.cloud.fault = refusing("get")
	if deleted, err := s.CleanUp(t.Context()); deleted != 0 || !problem.Is(err, problem.Unavailable) {
		t.Errorf("deleted %d, %v", deleted, err)
	}
	if blobs := s.cloud.names(t); len(blobs) != 1 {
		t.Errorf("blobs %q", blobs)
	}
	broken := store.Entity{Partition: slotPartition + "20261101", Row: "a", Values: map[string]any{}}
	if _, err := s.cloud.table.Insert(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	s.cloud.fault = nil
	if deleted, err := s.CleanUp(t.Context()); deleted != 0 || err != nil || len(s.cloud.rows(t)) != 1 {
		t.Errorf("deleted %d, %v, rows %v", deleted, err, s.cloud.rows(t))
	}
}
