package offload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// bare is what is known of an attachment while its content is read.
func bare(a mail.Attachment) mail.Attachment {
	a.Content, a.Size = nil, 0
	return a
}

// takeIn reads the attachments of m through an intake, as m would arrive.
func takeIn(t testing.TB, in *Intake, m *mail.Message, chunk func(io.Reader) io.Reader) error {
	t.Helper()
	for i, a := range m.Attachments {
		if err := in.Attachment(context.Background(), i, bare(a), chunk(bytes.NewReader(a.Content))); err != nil {
			return err
		}
		m.Attachments[i] = bare(a)
	}
	in.Fill(m)
	return nil
}

func whole(r io.Reader) io.Reader { return r }

const (
	wholeMiB = 1 << 20
	noLength = -1
)

func TestIntakeChooses(t *testing.T) {
	t.Parallel()
	const limit, room = wholeMiB, wholeMiB / 4 * 3
	fixed := func(n int) mail.Attachment { return placed(mail.PlacementInline, attached("fixed", n)) }
	tests := []struct {
		name        string
		bodyBytes   int64
		attachments []mail.Attachment
		streamed    string
	}{
		{"all that fits is kept", noLength, []mail.Attachment{attached("a", room-1), attached("b", 1), attached("c", 0)}, ""},
		{"one byte more moves the largest", noLength, []mail.Attachment{attached("a", room-1), attached("b", 2)}, "a"},
		{"one byte more of the largest itself", noLength, []mail.Attachment{attached("a", 1), attached("b", room)}, "b"},
		{"the largest stands in the middle", noLength, []mail.Attachment{attached("a", 300_000), attached("b", 400_000), attached("c", 200_000)}, "b"},
		{"what is being read counts with what is read", noLength, []mail.Attachment{attached("a", 400_000), attached("b", 500_000)}, "a"},
		{"then the next largest", noLength, []mail.Attachment{attached("a", 400_000), attached("b", 800_000)}, "a b"},
		{"of equals the first", noLength, []mail.Attachment{attached("a", 300_000), attached("b", 300_000), attached("c", 300_000)}, "a"},
		{"inline images go last", noLength, []mail.Attachment{inlineImage("i", 500_000), attached("a", 100_000), attached("b", 300_000)}, "b"},
		{"an image that is being read stays", noLength, []mail.Attachment{attached("a", 100_000), inlineImage("i", 700_000)}, "a"},
		{"inline images go when nothing else is left", noLength, []mail.Attachment{inlineImage("i", 300_000), inlineImage("j", 500_000)}, "j"},
		{"what must be inline stays", noLength, []mail.Attachment{fixed(500_000), attached("a", 300_000)}, "a"},
		{"what must be inline drives the rest out", noLength, []mail.Attachment{attached("a", 300_000), inlineImage("i", 200_000), fixed(600_000)}, "a i"},
		{"and fills the room to the byte", noLength, []mail.Attachment{fixed(room), attached("a", 1), attached("b", 0)}, "a"},
		{"a link goes at once", noLength, []mail.Attachment{placed(mail.PlacementLink, attached("a", 5)), attached("b", 5)}, "a"},
		{"an empty link too", noLength, []mail.Attachment{placed(mail.PlacementLink, attached("a", 0))}, "a"},
		{"nothing goes of a body that fits", limit, []mail.Attachment{placed(mail.PlacementLink, attached("a", 5)), attached("b", room-5)}, ""},
		{"a body that says too little is kept while it fits", 400, []mail.Attachment{attached("a", 200), attached("b", 150)}, ""},
		{"and no longer", 400, []mail.Attachment{attached("a", room), attached("b", 1)}, "a"},
		{"little more than fits may fit", limit + limit/4, []mail.Attachment{attached("a", room)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, p := pooled()
			m := message(slices.Clone(tt.attachments)...)
			in := s.NewIntake(tt.bodyBytes, limit)
			if err := takeIn(t, in, m, whole); err != nil {
				t.Fatal(err)
			}
			assertTakenIn(t, m, tt.attachments)
			if got := streamedNames(in, m); got != tt.streamed {
				t.Errorf("streamed %q, want %q", got, tt.streamed)
			}
			mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, 100*wholeMiB, wireSize)
			if err != nil {
				t.Fatal(err)
			}
			commit(t, mv)
			in.Close()
			p.assertReturned(t)
			for n, l := range mv.Links() {
				opened, err := s.Open(t.Context(), mv.token, n+1, "")
				if err != nil {
					t.Fatal(err)
				}
				assertDownload(t, s.cloud.get(t, opened.Location), tt.attachments[l.Index])
			}
		})
	}
}

func streamedNames(in *Intake, m *mail.Message) string {
	var names []string
	for i, a := range m.Attachments {
		if in.streamed(i) != nil {
			names = append(names, a.Name)
		}
	}
	return strings.Join(names, " ")
}

// assertTakenIn holds what Fill gave to a message against what was sent.
func assertTakenIn(t testing.TB, m *mail.Message, want []mail.Attachment) {
	t.Helper()
	for i, a := range m.Attachments {
		if a.Size != want[i].Size || a.SHA256 != sha256.Sum256(want[i].Content) {
			t.Errorf("%s: size %d, want %d, or another hash", a.Name, a.Size, want[i].Size)
		}
		if a.Content != nil && !bytes.Equal(a.Content, want[i].Content) {
			t.Errorf("%s: another content", a.Name)
		}
	}
}

func TestIntakeRefusesWhatMustBeInlineAndCannot(t *testing.T) {
	t.Parallel()
	s, p := pooled()
	fixed := placed(mail.PlacementInline, attached("fixed", 500_000))
	in := s.NewIntake(noLength, wholeMiB)
	defer p.assertReturned(t)
	defer in.Close()
	err := takeIn(t, in, message(fixed, attached("a", 5), fixed), whole)
	if !problem.Is(err, problem.InvalidMessage) {
		t.Fatalf("got %v, want InvalidMessage", err)
	}
	var pointers []string
	for _, f := range problem.Of(err).Violations {
		pointers = append(pointers, f.Pointer)
	}
	if want := []string{"/attachments/0/placement", "/attachments/2/placement"}; !slices.Equal(pointers, want) {
		t.Errorf("pointers %q, want %q", pointers, want)
	}
}

// TestIntakeOfABodyThatCannotFit: little is kept, unless it must be, and then
// there is one block less.
func TestIntakeOfABodyThatCannotFit(t *testing.T) {
	t.Parallel()
	const limit = mail.MaxACSRequestBytes
	large := attached("large", 3*BlockBytes+1)
	for _, tt := range []struct {
		name        string
		attachments []mail.Attachment
		streamed    string
		blocks      int // out at once
	}{
		{"one that is large", []mail.Attachment{large}, "large", 3},
		{"small ones are kept", []mail.Attachment{attached("a", 1000), large, attached("b", KeepBytes-1000)}, "large", 2},
		{"not more than is kept of such a body", []mail.Attachment{attached("a", 1000), attached("b", KeepBytes)}, "b", 1},
		{"an image of the HTML is kept", []mail.Attachment{inlineImage("image", KeepBytes+1<<20), large}, "large", 2},
		{"what must be inline is kept", []mail.Attachment{attached("a", 1000), placed(mail.PlacementInline, attached("fixed", limit/4*3-3000)), large}, "large", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, p := pooled()
			m := message(slices.Clone(tt.attachments)...)
			in := s.NewIntake(100_000_000, limit)
			if err := takeIn(t, in, m, whole); err != nil {
				t.Fatal(err)
			}
			assertTakenIn(t, m, tt.attachments)
			if got := streamedNames(in, m); got != tt.streamed {
				t.Errorf("streamed %q, want %q", got, tt.streamed)
			}
			if err := in.drain(t.Context()); err != nil {
				t.Error(err)
			}
			in.Close()
			if p.most > tt.blocks {
				t.Errorf("%d blocks at once, want %d", p.most, tt.blocks)
			}
			p.assertReturned(t)
		})
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	const limit = mail.MaxACSRequestBytes
	for _, tt := range []struct {
		name             string
		bodyBytes, limit int64
		least, most      int64
	}{
		{"no body", 0, limit, 0, 0},
		{"a small body that fits", 1000, limit, 750, 753},
		{"the largest that fits", limit, limit, limit / 4 * 3, limit / 4 * 3},
		{"one that may fit", limit + 1, limit, 12 << 20, 12 << 20},
		{"one of no known length", noLength, limit, 12 << 20, 12 << 20},
		{"one that cannot fit", 100_000_000, limit, 12 << 20, 12 << 20},
		{"a larger limit", 100_000_000, 30 << 20, 22 << 20, 27 << 20},
	} {
		if got := Memory(tt.bodyBytes, tt.limit); got < tt.least || got > tt.most {
			t.Errorf("%s: %d, want %d to %d", tt.name, got, tt.least, tt.most)
		}
	}
}

// TestIntakeProperties: whatever comes, in whatever pieces, arrives as it was, and
// never is more held than Memory says.
func TestIntakeProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		const limit = 40_000
		s, p := pooled()
		var attachments []mail.Attachment
		for range rapid.IntRange(0, 8).Draw(rt, "count") {
			a := attached("file", rapid.IntRange(0, 12_000).Draw(rt, "size"))
			a.Placement = rapid.SampledFrom([]mail.Placement{"", "", "inline", "link"}).Draw(rt, "placement")
			if rapid.Bool().Draw(rt, "image") {
				a.ContentID = "image"
			}
			attachments = append(attachments, a)
		}
		honest := int64(0)
		for _, a := range attachments {
			honest += (a.Size + 2) / 3 * 4
		}
		bodyBytes := rapid.SampledFrom([]int64{noLength, honest, honest + 100, 200_000}).Draw(rt, "length")
		chunk := rapid.SampledFrom([]func(io.Reader) io.Reader{whole, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader}).Draw(rt, "pieces")
		m := message(slices.Clone(attachments)...)
		in := s.NewIntake(bodyBytes, limit)
		defer in.Close()
		p.kept = func() int { return cap(in.held) }
		err := takeIn(t, in, m, chunk)
		p.mu.Lock()
		p.look()
		held := int64(p.mostBytes)
		p.mu.Unlock()
		if held > Memory(bodyBytes, limit) {
			rt.Fatalf("%d bytes were held, %d are allowed", held, Memory(bodyBytes, limit))
		}
		if err != nil {
			if !problem.Is(err, problem.InvalidMessage) {
				rt.Fatal(err)
			}
			return
		}
		assertTakenIn(t, m, attachments)
		for i, a := range m.Attachments {
			if streamed := in.streamed(i) != nil; streamed == (a.Content != nil) || streamed && a.Placement == mail.PlacementInline {
				rt.Fatalf("attachment %d, placement %q: streamed %t, content nil %t", i, a.Placement, streamed, a.Content == nil)
			}
		}
	})
}

func TestIntakeOfWhatBreaksOff(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	for _, after := range []int{0, 1, 100, BlockBytes, BlockBytes + 1, 3*BlockBytes - 1} {
		t.Run(fmt.Sprintf("after %d bytes", after), func(t *testing.T) {
			t.Parallel()
			s, p := pooled()
			in := s.NewIntake(noLength, wholeMiB)
			if err := in.Attachment(t.Context(), 1, mail.Attachment{}, strings.NewReader("whole")); err != nil {
				t.Fatal(err)
			}
			err := in.Attachment(t.Context(), 0, mail.Attachment{}, io.MultiReader(bytes.NewReader(noise(1, after)), iotest.ErrReader(broken)))
			if err != broken { //nolint:errorlint // it must come back as it is, not wrapped
				t.Errorf("got %v, want the reader's error as it is", err)
			}
			m := &mail.Message{Attachments: make([]mail.Attachment, 2)}
			in.Fill(m)
			if m.Attachments[0].Content != nil || m.Attachments[0].Size != 0 || string(m.Attachments[1].Content) != "whole" {
				t.Errorf("of the half there is %d, of the whole %q", m.Attachments[0].Size, m.Attachments[1].Content)
			}
			in.Close()
			in.Close()
			p.assertReturned(t)
			assertEmpty(t, s.cloud)
		})
	}
}

// TestPlanOfWhatCouldNotBeStored: what broke in the background is told by Stage.
func TestPlanOfWhatCouldNotBeStored(t *testing.T) {
	t.Parallel()
	s, p := pooled()
	s.cloud.fault = refusing("stage")
	in := s.NewIntake(noLength, wholeMiB)
	m := message(placed(mail.PlacementLink, attached("a", 5)))
	if err := takeIn(t, in, m, whole); err != nil {
		t.Fatal(err)
	}
	mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := mv.Stage(t.Context()); !problem.Is(err, problem.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
	in.Close()
	p.assertReturned(t)
	assertEmpty(t, s.cloud)
}

func TestPlacementLearntTooLate(t *testing.T) {
	t.Parallel()
	s, _ := pooled()
	in := s.NewIntake(noLength, wholeMiB)
	defer in.Close()
	m := message(attached("small", 5), attached("large", wholeMiB))
	if err := takeIn(t, in, m, whole); err != nil {
		t.Fatal(err)
	}
	m.Attachments[0].Placement, m.Attachments[1].Placement = mail.PlacementInline, mail.PlacementInline
	_, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
	if faults := problem.Of(err).Violations; !problem.Is(err, problem.InvalidMessage) || len(faults) != 1 ||
		faults[0].Pointer != "/attachments/1/placement" || !strings.Contains(faults[0].Detail, "before contentInBase64") {
		t.Errorf("got %v, %v", err, faults)
	}
}
