package offload

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// twoFiles commits a message with one attachment that stays and two files.
func twoFiles(t *testing.T, s *setting) *Move {
	t.Helper()
	m := message(attached("kept.pdf", 3), placed(mail.PlacementLink, attached("a.pdf", 5)), placed(mail.PlacementLink, attached("b.pdf", 6)))
	return commit(t, s.plan(t, m, 1<<20))
}

func TestNumbersOfFiles(t *testing.T) {
	t.Parallel()
	s := newSetting()
	one, two := s.linked(t, time.Hour), twoFiles(t, s)
	tests := []struct {
		name string
		mv   *Move
		n    int
		file int // whose location is given; 0: none
		kind problem.Kind
	}{
		{"the only one", one, 0, 1, 0},
		{"the only one by its number", one, 1, 1, 0},
		{"one too many", one, 2, 0, problem.NotFound},
		{"the page of two", two, 0, 0, 0},
		{"the first of two", two, 1, 1, 0},
		{"the second of two", two, 2, 2, 0},
		{"a third of two", two, 3, 0, problem.NotFound},
		{"less than none", two, -1, 0, problem.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opened, err := s.Open(t.Context(), tt.mv.token, tt.n, "")
			if tt.kind != 0 {
				if !problem.Is(err, tt.kind) {
					t.Errorf("got %v, want kind %v", err, tt.kind)
				}
				return
			}
			if err != nil || (opened.Location == "") != (tt.file == 0) || (opened.Page == nil) != (tt.file != 0) {
				t.Fatalf("location %q, %d bytes of a page, %v", opened.Location, len(opened.Page), err)
			}
			if tt.file > 0 && !strings.Contains(opened.Location, strings.TrimPrefix(tt.mv.files[tt.file-1].blob, movedFolder)) {
				t.Errorf("location %s, want file %d", opened.Location, tt.file)
			}
		})
	}
}

func TestLinksCarryTheirNumbers(t *testing.T) {
	t.Parallel()
	s := newSetting()
	one, two := s.linked(t, time.Hour), twoFiles(t, s)
	base := "https://mail.example.com/files/"
	for got, want := range map[string]string{
		one.Links()[0].URL: base + one.token,
		two.Links()[0].URL: base + two.token + "/1",
		two.Links()[1].URL: base + two.token + "/2",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDownloadsAreCounted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault fault
		want  []int64
	}{
		{"one after another", nil, []int64{1, 3}},
		{"the first count finds the row just made", failing("insert", 2, mem.Repeated), []int64{1, 4}},
		{"a count that is refused is lost", failing("replace", 1, mem.Refused), []int64{1, 2}},
		{"storage takes no counts", refusing("replace"), []int64{0, 1}},
		{"storage is slow", func(call string, _ int) mem.Fault {
			if call == "replace" {
				return mem.Fault{Before: time.Hour}
			}
			return mem.Fault{}
		}, []int64{0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSetting()
				mv := twoFiles(t, s)
				s.cloud.fault = tt.fault
				began := time.Now()
				for _, n := range []int{2, 0, 2, 1, 2} {
					opened, err := s.Offload.OpenLink(t.Context(), mv.token, n, "")
					if err != nil {
						t.Fatal(err)
					}
					opened.Downloaded(t.Context())
					if took := time.Since(began); took != 0 {
						t.Errorf("counting took %v", took)
					}
					synctest.Wait()
				}
				time.Sleep(countTimeout)
				synctest.Wait()
				s.cloud.fault = nil
				downloads, revoked, err := s.Downloads(t.Context(), mv.Key())
				want := []Download{{Index: 1, Count: tt.want[0]}, {Index: 2, Count: tt.want[1]}}
				if err != nil || revoked || !slices.Equal(downloads, want) {
					t.Errorf("got %v, revoked %t, %v; want %v", downloads, revoked, err, want)
				}
			})
		})
	}
}

func TestManyDownloadsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting()
		mv := twoFiles(t, s)
		s.cloud.fault = func(call string, _ int) mem.Fault {
			if call == "insert" || call == "replace" {
				return mem.Fault{Before: time.Second}
			}
			return mem.Fault{}
		}
		for range 3 * maxCounts {
			opened, err := s.Offload.OpenLink(t.Context(), mv.token, 1, "")
			if err != nil {
				t.Fatal(err)
			}
			opened.Downloaded(t.Context())
		}
		synctest.Wait()
		if n := len(s.counts); n != maxCounts {
			t.Errorf("%d counts under way, want %d", n, maxCounts)
		}
		time.Sleep(countTimeout)
		synctest.Wait()
		if n := len(s.counts); n != 0 {
			t.Errorf("%d counts are still under way", n)
		}
	})
}

func TestRevokeMessage(t *testing.T) {
	t.Parallel()
	s := newSetting()
	mv := twoFiles(t, s)
	for range 2 {
		if err := s.RevokeMessage(t.Context(), mv.Key()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		if _, err := s.Open(t.Context(), mv.token, n, ""); !problem.Is(err, problem.Gone) {
			t.Errorf("file %d: got %v, want Gone", n, err)
		}
	}
	if _, revoked, err := s.Downloads(t.Context(), mv.Key()); err != nil || !revoked {
		t.Errorf("revoked %t, %v", revoked, err)
	}
	if blobs := len(s.cloud.names(t)); blobs != 2 {
		t.Errorf("%d blobs, want 2: they go on their day", blobs)
	}
}

func TestKeysOfNothing(t *testing.T) {
	t.Parallel()
	s := newSetting()
	for name, tt := range map[string]struct {
		key  Key
		kind problem.Kind
	}{
		"of a message without links": {Key{}, problem.NotFound},
		"never made":                 {Key{Partition: "20261223", Row: "x"}, problem.NotFound},
		"swept":                      {Key{Partition: "20261121", Row: "x"}, problem.Gone},
	} {
		_, _, err := s.Downloads(t.Context(), tt.key)
		if !problem.Is(err, tt.kind) {
			t.Errorf("%s: Downloads: got %v, want kind %v", name, err, tt.kind)
		}
		if err := s.RevokeMessage(t.Context(), tt.key); !problem.Is(err, tt.kind) {
			t.Errorf("%s: RevokeMessage: got %v, want kind %v", name, err, tt.kind)
		}
	}
}
