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
	for name, adjust := range map[string]func(*Config){"gateway": linksToGateway, "sas": sasInMail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetting(adjust)
			m := threeFiles()
			want := clone(m).Attachments
			mv := s.plan(t, m, 1<<20)
			err := mv.Stage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			assertEmpty(t, s.cloud)
			if err := mv.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows := 3
			if s.config.SASInMail {
				rows = 0
			}
			if b, r := len(s.cloud.names(t)), len(s.cloud.rows(t)); b != 3 || r != rows {
				t.Errorf("%d blobs, %d rows, want 3 and %d", b, r, rows)
			}
			for i, f := range mv.files {
				address := f.link.URL
				if f.token != "" {
					if address, err = s.Open(t.Context(), f.token); err != nil {
						t.Fatal(err)
					}
				}
				assertDownload(t, s.cloud.get(t, address), want[i])
			}
			if err := mv.Discard(t.Context()); err != nil {
				t.Errorf("Discard: %v", err)
			}
			assertEmpty(t, s.cloud)
			if err := mv.Discard(t.Context()); err != nil {
				t.Errorf("Discard again: %v", err)
			}
		})
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
	f := s.linked(t, mail.DefaultLinkLife)
	for _, e := range s.cloud.rows(t) {
		_, bits, _ := strings.Cut(f.token, "-")
		if strings.Contains(fmt.Sprint(e), bits) {
			t.Error("the row holds the token")
		}
		want := map[string]any{
			"blob": f.blob, "name": "report.pdf", "size": int64(10), "contentType": "application/pdf",
			"expires": noon.Add(mail.DefaultLinkLife), "revoked": false,
		}
		if !reflect.DeepEqual(e.Values, want) {
			t.Errorf("values %v, want %v", e.Values, want)
		}
		if e.Partition != "20261223" || len(e.Row) != 64 {
			t.Errorf("key %s/%s", e.Partition, e.Row)
		}
	}
}

func TestStageFails(t *testing.T) {
	t.Parallel()
	for nth := 1; nth <= 4; nth++ { // three blocks and one
		t.Run(fmt.Sprintf("at block %d", nth), func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			mv := s.plan(t, threeFiles(), 1<<20)
			s.cloud.fault = failing("stage", nth, mem.Refused)
			if err := mv.Stage(t.Context()); !problem.Is(err, problem.Unavailable) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			assertEmpty(t, s.cloud)
			if n := s.cloud.calls["stage"]; n != nth {
				t.Errorf("%d calls, want %d", n, nth)
			}
		})
	}
}

func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"commit", "insert"} {
		for nth := 1; nth <= 3; nth++ {
			for what, outcome := range map[string]mem.Outcome{"refused": mem.Refused, "lost": mem.Lost} {
				t.Run(fmt.Sprintf("%s %d %s", call, nth, what), func(t *testing.T) {
					t.Parallel()
					s := newSetting()
					mv := s.plan(t, threeFiles(), 1<<20)
					if err := mv.Stage(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.cloud.fault = failing(call, nth, outcome)
					if err := mv.Commit(t.Context()); !problem.Is(err, problem.Unavailable) {
						t.Errorf("got %v, want Unavailable", err)
					}
					assertEmpty(t, s.cloud)
				})
			}
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
	if b, r := len(s.cloud.names(t)), len(s.cloud.rows(t)); b != 3 || r != 3 {
		t.Errorf("%d blobs, %d rows, want 3 of each", b, r)
	}
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
	assertEmpty(t, s.cloud)
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
			if left := len(s.cloud.names(t)) + len(s.cloud.rows(t)); left != 1 {
				t.Errorf("%d things left, want the one that could not be deleted", left)
			}
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
		_, err := s.Plan(t.Context(), threeFiles(), mail.DefaultLinkLife, 1<<20, wireSize)
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
		for _, f := range s.plan(t, message(a, a, a), 1<<20).files {
			_, blobBits, _ := strings.Cut(f.blob, "/")
			_, tokenBits, _ := strings.Cut(f.token, "-")
			if len(blobBits) != 26 || len(tokenBits) != 26 {
				t.Fatalf("%q, %q: not 128 bits", f.blob, f.token)
			}
			names = append(names, blobBits, tokenBits)
		}
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != 600 {
		t.Errorf("%d different, want 600", n)
	}
}
