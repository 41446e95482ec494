package offload

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func clone(m *mail.Message) *mail.Message {
	c := *m
	c.Attachments = slices.Clone(m.Attachments)
	return &c
}

// planIn is Plan of what an empty intake knows nothing of.
func planIn(s *setting, m *mail.Message, life time.Duration, limit int64) (*Move, error) {
	return s.Plan(context.Background(), m, s.NewIntake(0, limit), owner, life, limit, wireSize)
}

func movedNames(mv *Move) string {
	var names []string
	for _, l := range mv.Links() {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}

func TestPlanAtTheLimitMovesNothing(t *testing.T) {
	t.Parallel()
	m := message(attached("a.pdf", 30_000), inlineImage("b.png", 40_000))
	before := clone(m)
	mv := newSetting().plan(t, m, wireSize(m))
	if got := mv.Links(); got != nil {
		t.Errorf("links %v, want none", got)
	}
	if !reflect.DeepEqual(m, before) {
		t.Error("the message changed")
	}
	if err := mv.Stage(t.Context()); err != nil {
		t.Errorf("Stage of nothing: %v", err)
	}
	if err := mv.Commit(t.Context()); err != nil {
		t.Errorf("Commit of nothing: %v", err)
	}
	if err := mv.Discard(t.Context()); err != nil {
		t.Errorf("Discard of nothing: %v", err)
	}
}

func TestPlanChooses(t *testing.T) {
	t.Parallel()
	small, large, larger := attached("small.pdf", 10_000), attached("large.pdf", 20_000), attached("larger.pdf", 30_000)
	logo, photo := inlineImage("logo.png", 40_000), inlineImage("photo.png", 50_000)
	tests := []struct {
		name        string
		attachments []mail.Attachment
		over        int64 // bytes by which the message is too large
		moved       string
	}{
		{"one byte too large moves the largest", []mail.Attachment{small, larger, large}, 1, "larger.pdf"},
		{"what the largest saves but for its link is not enough for both", []mail.Attachment{small, larger, large}, 40_000, "larger.pdf large.pdf"},
		{"inline images stay while a smaller attachment can move", []mail.Attachment{photo, small, logo}, 5_000, "small.pdf"},
		{"inline images move last, the larger first", []mail.Attachment{logo, photo, small}, 14_000, "photo.png small.pdf"},
		{"all moves if it must", []mail.Attachment{logo, photo, small}, 100_000, "logo.png photo.png small.pdf"},
		{"placement link moves though all fits", []mail.Attachment{larger, placed(mail.PlacementLink, small)}, 0, "small.pdf"},
		{"placement link may be enough", []mail.Attachment{larger, placed(mail.PlacementLink, small)}, 5_000, "small.pdf"},
		{"placement link moves an inline image", []mail.Attachment{small, placed(mail.PlacementLink, logo)}, 0, "logo.png"},
		{"placement inline stays though it is the largest", []mail.Attachment{placed(mail.PlacementInline, larger), small}, 1, "small.pdf"},
		{"placement auto is the default", []mail.Attachment{placed(mail.PlacementAuto, small)}, 1, "small.pdf"},
		{"of equals the first moves", []mail.Attachment{attached("one.pdf", 10_000), attached("two.pdf", 10_000)}, 1, "one.pdf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := message(tt.attachments...)
			original := clone(m)
			limit := wireSize(m) - tt.over
			mv := newSetting().plan(t, m, limit)
			if got := movedNames(mv); got != tt.moved {
				t.Errorf("moved %q, want %q", got, tt.moved)
			}
			if n := wireSize(m); n > limit {
				t.Errorf("size %d, limit %d", n, limit)
			}
			for i, a := range m.Attachments {
				moved := slices.ContainsFunc(mv.Links(), func(l mail.Link) bool { return l.Index == i })
				if moved != (a.Content == nil) {
					t.Errorf("%s: moved %t, content nil %t", a.Name, moved, a.Content == nil)
				}
				if !reflect.DeepEqual(original.Attachments[i].Content, tt.attachments[i].Content) {
					t.Errorf("%s: the caller's content changed", a.Name)
				}
			}
		})
	}
}

func TestPlanCountsTheLinksThemselves(t *testing.T) {
	t.Parallel()
	var many []mail.Attachment
	for range 60 {
		many = append(many, attached("small.pdf", 3_000))
	}
	m := message(many...)
	whole := wireSize(m)
	saved := int64(4_000 + 60 + len("small.pdf")) // by one, before its link is written
	limit := whole - 10*saved
	mv := newSetting().plan(t, m, limit)
	if n := len(mv.Links()); n <= 10 {
		t.Errorf("%d moved, but the links of 10 need room too", n)
	}
	if n := wireSize(m); n > limit || n <= limit-saved {
		t.Errorf("size %d with limit %d: too large, or one moved for nothing", n, limit)
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	fixed := placed(mail.PlacementInline, attached("fixed.pdf", 30_000))
	tests := []struct {
		name        string
		attachments []mail.Attachment
		limit       int64
		kind        problem.Kind
		pointers    []string
	}{
		{"what must stay is too large", []mail.Attachment{attached("a.pdf", 10), fixed}, 20_000,
			problem.InvalidMessage, []string{"/attachments/1/placement"}},
		{"every attachment that must stay is named", []mail.Attachment{fixed, attached("a.pdf", 10), fixed}, 50_000,
			problem.InvalidMessage, []string{"/attachments/0/placement", "/attachments/2/placement"}},
		{"the bodies alone are too large", nil, 100, problem.TooLarge, nil},
		{"the bodies are too large with what must stay", []mail.Attachment{fixed}, 100, problem.TooLarge, nil},
		{"the bodies are too large with the links", []mail.Attachment{attached("a.pdf", 30_000)}, 300, problem.TooLarge, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := message(tt.attachments...)
			before := clone(m)
			mv, err := planIn(newSetting(), m, mail.DefaultLinkLife, tt.limit)
			if mv != nil || !problem.Is(err, tt.kind) {
				t.Fatalf("got %v, %v, want kind %v", mv, err, tt.kind)
			}
			var pointers []string
			for _, f := range problem.Of(err).Violations {
				pointers = append(pointers, f.Pointer)
			}
			if !slices.Equal(pointers, tt.pointers) {
				t.Errorf("pointers %q, want %q", pointers, tt.pointers)
			}
			if !reflect.DeepEqual(m, before) {
				t.Error("the message changed")
			}
		})
	}
}

func TestPlanLinks(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	m := message(attached("kept.pdf", 10), placed(mail.PlacementLink, attached("report.pdf", 1234)))
	got := newSetting().planFor(t, m, year, 1<<20).Links()[0]
	if !strings.HasPrefix(got.URL, "https://mail.example.com/files/20271123-") {
		t.Errorf("URL %s is not one of the gateway", got.URL)
	}
	if want := (mail.Link{Index: 1, Name: "report.pdf", Size: 1234, URL: got.URL, Expires: noon.Add(year)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestPlanProperties: whatever fits when moved is made to fit, nothing moves
// that need not, and nothing is lost.
func TestPlanProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var attachments []mail.Attachment
		for range rapid.IntRange(0, 8).Draw(rt, "count") {
			a := attached("file.pdf", rapid.IntRange(0, 9_000).Draw(rt, "size"))
			a.Placement = rapid.SampledFrom([]mail.Placement{"", "auto", "inline", "link"}).Draw(rt, "placement")
			if rapid.Bool().Draw(rt, "image") {
				a.ContentID = "image"
			}
			attachments = append(attachments, a)
		}
		m := message(attachments...)
		before := clone(m)
		limit := rapid.Int64Range(0, wireSize(m)+1000).Draw(rt, "limit")
		mv, err := planIn(newSetting(), m, mail.DefaultLinkLife, limit)
		if err != nil {
			if mv != nil || !reflect.DeepEqual(m, before) {
				rt.Fatal("refused, and yet something changed")
			}
			return
		}
		if n := wireSize(m); n > limit {
			rt.Fatalf("size %d, limit %d", n, limit)
		}
		links := mv.Links()
		forced := 0
		for i, a := range before.Attachments {
			moved := slices.ContainsFunc(links, func(l mail.Link) bool { return l.Index == i })
			if moved == (m.Attachments[i].Content != nil) {
				rt.Fatalf("attachment %d is in the message and a link, or neither", i)
			}
			if moved && a.Placement == mail.PlacementInline || !moved && a.Placement == mail.PlacementLink {
				rt.Fatalf("attachment %d is not where its placement says", i)
			}
			if a.Placement == mail.PlacementLink {
				forced++
			}
		}
		leastMoved := clone(before)
		newSetting().plan(t, leastMoved, math.MaxInt64)
		if len(links) > forced && wireSize(leastMoved) <= limit {
			rt.Fatal("something moved that need not")
		}
	})
}
