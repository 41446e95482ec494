package offload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// threeFiles makes a message whose three attachments move: of several blocks
// and a bit, of exactly one block, of nothing.
func threeFiles() *mail.Message {
	return message(
		placed(mail.PlacementLink, attached("Übersicht.pdf", 2*BlockBytes+1)),
		placed(mail.PlacementLink, attached("page.html", BlockBytes)),
		placed(mail.PlacementLink, attached("empty.txt", 0)),
	)
}

func TestCommitMakesIdenticalFiles(t *testing.T) {
	t.Parallel()
	s := newSetting()
	m := threeFiles()
	want := clone(m).Attachments
	mv := s.plan(t, m, 1<<20)
	if err := mv.Stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertEmpty(t, s.cloud)
	if err := mv.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, r := len(s.cloud.names(t)), len(s.cloud.rows(t)); b != 3 || r != 1 {
		t.Errorf("%d blobs, %d rows, want 3 and 1", b, r)
	}
	for i := range mv.Links() {
		opened, err := s.Open(t.Context(), mv.token, i+1, "")
		if err != nil {
			t.Fatal(err)
		}
		assertDownload(t, s.cloud.get(t, opened.Location), want[i])
	}
	if err := mv.Discard(t.Context()); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if n := len(s.cloud.names(t)); n != 0 {
		t.Errorf("%d blobs left", n)
	}
	if _, err := s.Open(t.Context(), mv.token, 1, ""); !problem.Is(err, problem.NotFound) {
		t.Errorf("after Discard: got %v, want NotFound", err)
	}
	if err := mv.Discard(t.Context()); err != nil {
		t.Errorf("Discard again: %v", err)
	}
}

// assertDownload holds an answer against the attachment that it should be.
func assertDownload(t *testing.T, r *http.Response, want mail.Attachment) {
	t.Helper()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || !bytes.Equal(got, want.Content) {
		t.Errorf("%s: status %d, %d bytes, or not the same: %v", want.Name, r.StatusCode, len(got), err)
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || params["filename"] != want.Name {
		t.Errorf("%s: disposition %q", want.Name, r.Header.Get("Content-Disposition"))
	}
	if got := r.Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Errorf("%s: content type %q", want.Name, got)
	}
}

func TestRowTellsNoToken(t *testing.T) {
	t.Parallel()
	s := newSetting()
	m := message(attached("kept.pdf", 3), placed(mail.PlacementLink, attached("report.pdf", 10)), placed(mail.PlacementLink, attached("b.pdf", 11)))
	m.Language = "de"
	mv := commit(t, s.plan(t, m, 1<<20))
	row := s.cloud.rows(t)[0]
	_, bits, _ := strings.Cut(mv.token, "-")
	if strings.Contains(fmt.Sprint(row), bits) {
		t.Error("the row holds the token")
	}
	want := map[string]any{
		"expires": noon.Add(mail.DefaultLinkLife), "caller": "shop", "message": "message-1", "language": "de",
		"revoked": false,
		"file1":   `{"index":1,"name":"report.pdf","size":10,"blob":"` + mv.files[0].blob + `"}`,
		"file2":   `{"index":2,"name":"b.pdf","size":11,"blob":"` + mv.files[1].blob + `"}`,
	}
	if !reflect.DeepEqual(row.Values, want) {
		t.Errorf("values %v, want %v", row.Values, want)
	}
	if row.Partition != "20261223" || len(row.Row) != 64 || mv.Key() != (Key{Partition: row.Partition, Row: row.Row}) {
		t.Errorf("key %s/%s, Key %v", row.Partition, row.Row, mv.Key())
	}
}

func TestRowOfTheMostThatAMessageHas(t *testing.T) {
	t.Parallel()
	s := newSetting()
	m := message()
	name := strings.Repeat(`"`, mail.MaxAttachmentNameBytes)
	for range mail.MaxAttachments {
		m.Attachments = append(m.Attachments, placed(mail.PlacementLink, attached(name, 1)))
	}
	mv := commit(t, s.plan(t, m, 1<<20))
	downloads, _, err := s.Downloads(t.Context(), mv.Key())
	if err != nil || len(downloads) != mail.MaxAttachments {
		t.Errorf("%d files, %v", len(downloads), err)
	}
}

func TestStageFails(t *testing.T) {
	t.Parallel()
	for nth := 1; nth <= 4; nth++ { // three blocks and one
		t.Run(fmt.Sprintf("at block %d", nth), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSetting()
				mv := s.plan(t, threeFiles(), 1<<20)
				s.cloud.fault = func(call string, n int) mem.Fault {
					if call == "stage" && n != nth {
						return mem.Fault{Before: time.Second} // what fails does so at once
					}
					return failing("stage", nth, mem.Refused)(call, n)
				}
				if err := mv.Stage(t.Context()); !problem.Is(err, problem.Unavailable) || !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got %v, want Unavailable", err)
				}
				assertEmpty(t, s.cloud)
				if n := s.cloud.calls["stage"]; n > nth+BlocksHeld-1 {
					t.Errorf("%d calls, though the %d. failed", n, nth)
				}
			})
		})
	}
}

func TestStageForACallerWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting()
		mv := s.plan(t, threeFiles(), 1<<20)
		s.cloud.fault = func(string, int) mem.Fault { return mem.Fault{Before: time.Hour} }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := mv.Stage(ctx); !problem.Is(err, problem.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want Unavailable", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("after %v, want a second", took)
		}
	})
}

// TestCommitFails: nothing readable is left, and what may yet appear has a row by
// which it is swept.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		call    string
		calls   int
		outcome mem.Outcome
		rows    int // left until their day
	}{
		{"insert", 1, mem.Refused, 0},
		{"insert", 1, mem.Lost, 0},
		{"commit", 3, mem.Refused, 1},
		{"commit", 3, mem.Lost, 1},
	} {
		for nth := 1; nth <= tt.calls; nth++ {
			t.Run(fmt.Sprintf("%s %d, outcome %d", tt.call, nth, tt.outcome), func(t *testing.T) {
				t.Parallel()
				s := newSetting()
				mv := s.plan(t, threeFiles(), 1<<20)
				if err := mv.Stage(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.cloud.fault = failing(tt.call, nth, tt.outcome)
				if err := mv.Commit(t.Context()); !problem.Is(err, problem.Unavailable) {
					t.Errorf("got %v, want Unavailable", err)
				}
				if blobs, rows := len(s.cloud.names(t)), len(s.cloud.rows(t)); blobs != 0 || rows != tt.rows {
					t.Errorf("%d blobs and %d rows are left, want 0 and %d", blobs, rows, tt.rows)
				}
				s.now = s.now.Add(mail.DefaultLinkLife + LinkGrace)
				if _, err := s.CleanUp(t.Context()); err != nil {
					t.Error(err)
				}
				assertEmpty(t, s.cloud)
			})
		}
	}
}

func TestCommitMeetsItsOwnFirstTry(t *testing.T) {
	t.Parallel()
	s := newSetting()
	mv := s.plan(t, threeFiles(), 1<<20)
	if err := mv.Stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.cloud.fault = func(call string, _ int) mem.Fault {
		if call == "commit" || call == "insert" {
			return mem.Fault{Outcome: mem.Repeated}
		}
		return mem.Fault{}
	}
	if err := mv.Commit(t.Context()); err != nil {
		t.Errorf("got %v, want success", err)
	}
	if b, r := len(s.cloud.names(t)), len(s.cloud.rows(t)); b != 3 || r != 1 {
		t.Errorf("%d blobs, %d rows, want 3 and 1", b, r)
	}
}

// The row may be written while it is decided whether the message goes. It is undone with the
// rest, and written by Commit if nobody did.
func TestARowBeforeTheDecision(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		outcome     mem.Outcome // of the row's first write
		goes        bool
		inserts     int
		rows, blobs int // left
	}{
		{"the message goes", mem.Done, true, 1, 1, 3},
		{"the message is refused", mem.Done, false, 1, 0, 0},
		{"the row's answer is lost, and the message goes", mem.Lost, true, 2, 1, 3},
		{"the row's answer is lost, and the message is refused", mem.Lost, false, 1, 0, 0},
		{"the row is not written, and the message goes", mem.Refused, true, 2, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			mv := s.plan(t, threeFiles(), 1<<20)
			if err := mv.Stage(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.cloud.fault = failing("insert", 1, c.outcome)
			if err := mv.WriteRow(t.Context()); problem.Is(err, problem.Unavailable) != (c.outcome != mem.Done) {
				t.Errorf("the row: %v", err)
			}
			if c.goes {
				if err := mv.Commit(t.Context()); err != nil {
					t.Error(err)
				}
			} else if err := mv.Discard(t.Context()); err != nil {
				t.Error(err)
			}
			if n := s.cloud.calls["insert"]; n != c.inserts {
				t.Errorf("%d inserts, want %d", n, c.inserts)
			}
			if rows, blobs := len(s.cloud.rows(t)), len(s.cloud.names(t)); rows != c.rows || blobs != c.blobs {
				t.Errorf("%d rows and %d blobs left, want %d and %d", rows, blobs, c.rows, c.blobs)
			}
		})
	}
}

func TestFilesAreCommittedBesideEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting()
		m := message()
		for range commitsAtOnce + 1 {
			m.Attachments = append(m.Attachments, placed(mail.PlacementLink, attached("a", 1)))
		}
		mv := s.plan(t, m, 1<<20)
		if err := mv.Stage(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.cloud.fault = func(call string, _ int) mem.Fault {
			if call == "commit" {
				return mem.Fault{Before: time.Second}
			}
			return mem.Fault{}
		}
		begun := time.Now()
		if err := mv.Commit(t.Context()); err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%d files in %v, %v", len(m.Attachments), time.Since(begun), err)
		}
	})
}

func TestCommitForACallerWhoLeaves(t *testing.T) {
	t.Parallel()
	s := newSetting()
	mv := s.plan(t, threeFiles(), 1<<20)
	if err := mv.Stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	s.cloud.fault = func(call string, n int) mem.Fault {
		if call == "commit" && n == 2 {
			leave()
		}
		return mem.Fault{}
	}
	if err := mv.Commit(ctx); !problem.Is(err, problem.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
	if blobs := s.cloud.names(t); len(blobs) != 0 {
		t.Errorf("blobs %q are left", blobs)
	}
}

func TestDiscardGoesOn(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"delete row", "delete blob"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			mv := s.plan(t, threeFiles(), 1<<20)
			if err := errors.Join(mv.Stage(t.Context()), mv.Commit(t.Context())); err != nil {
				t.Fatal(err)
			}
			s.cloud.fault = failing(call, 1, mem.Refused)
			if err := mv.Discard(t.Context()); !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			blobs, rows := len(s.cloud.names(t)), len(s.cloud.rows(t))
			if rows != 1 || blobs > 1 {
				t.Errorf("%d blobs and %d rows left, want what could not be deleted and the row that leads to it", blobs, rows)
			}
			s.cloud.fault = nil
			if err := mv.Discard(t.Context()); err != nil {
				t.Error(err)
			}
			assertEmpty(t, s.cloud)
		})
	}
}

func TestDiscardGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting()
		mv := s.plan(t, threeFiles(), 1<<20)
		if err := errors.Join(mv.Stage(t.Context()), mv.Commit(t.Context())); err != nil {
			t.Fatal(err)
		}
		s.cloud.fault = func(string, int) mem.Fault { return mem.Fault{Before: time.Hour} }
		began := time.Now()
		if err := mv.Discard(t.Context()); !problem.Is(err, problem.Unavailable) {
			t.Errorf("got %v, want Unavailable", err)
		}
		if took := time.Since(began); took != UndoTimeout {
			t.Errorf("after %v, want %v", took, UndoTimeout)
		}
	})
}

func TestNoRandomness(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, randomBytes} {
		s := newSetting(func(c *Config) { c.Rand = strings.NewReader(strings.Repeat("r", bytes)) })
		_, err := planIn(s, threeFiles(), mail.DefaultLinkLife, 1<<20)
		if !problem.Is(err, problem.Internal) {
			t.Errorf("with %d bytes: got %v, want Internal", bytes, err)
		}
	}
}

func TestNamesNeverRepeat(t *testing.T) {
	t.Parallel()
	s := newSetting()
	a := placed(mail.PlacementLink, attached("same.pdf", 5))
	var names []string
	for range 100 {
		mv := s.plan(t, message(a, a, a), 1<<20)
		_, tokenBits, _ := strings.Cut(mv.token, "-")
		names = append(names, tokenBits)
		for _, f := range mv.files {
			names = append(names, strings.TrimPrefix(f.blob, movedFolder))
		}
	}
	for _, name := range names {
		if len(name) != 26 {
			t.Fatalf("%q: not 128 bits", name)
		}
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != 400 {
		t.Errorf("%d different, want 400", n)
	}
}
