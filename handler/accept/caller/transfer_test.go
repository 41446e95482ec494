package caller_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// said are results in a line each.
func said(results []keyring.Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, strings.TrimSpace(r.Name+" "+string(r.Outcome)+" "+r.Note))
	}
	return all
}

func (o *office) imports(t *testing.T, entries []caller.Caller, options keyring.Options) []string {
	t.Helper()
	results, err := o.Import(t.Context(), entries, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	return said(results)
}

// A deployment whose callers are taken over lets in whom the first one let in, with the
// same keys, if it has the same master secret; and no key that was dead before.
func TestCallersMoveWithTheirKeys(t *testing.T) {
	t.Parallel()
	from := newOffice()
	dead := from.add(t, "shop", caller.Policy{Senders: []string{"*@example.com"}, HMAC: true}).Key
	for range 2 {
		if _, err := from.Rotate(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	live, err := from.Rotate(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	revoked := from.add(t, "gone", caller.Policy{}).Key
	if err := from.End(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := from.Pause(t.Context(), "shop", "Moving.", true); err != nil {
		t.Fatal(err)
	}
	entries, err := from.Export(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	to := newOffice()
	want := []string{"gone created It was revoked; its keys stay dead.", "shop created"}
	if got := to.imports(t, entries, keyring.Options{DryRun: true}); !slices.Equal(got, want) {
		t.Errorf("it would be %q", got)
	}
	if list, err := to.All(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a dry run made %v, %v", list, err)
	}
	if got := to.imports(t, entries, keyring.Options{}); !slices.Equal(got, want) {
		t.Errorf("it is %q", got)
	}
	if got := to.imports(t, entries, keyring.Options{}); !slices.Equal(got, []string{"gone unchanged", "shop unchanged"}) {
		t.Errorf("again: %q", got)
	}
	again := to.add(t, "gone", caller.Policy{}).Key // its second generation
	for key, alive := range map[string]bool{dead: false, live.Key: true, revoked: false, again: true} {
		proof, err := to.Authenticate(t.Context(), withHeader("X-Api-Key", key))
		if alive != (err == nil) {
			t.Errorf("%s: %v", key, err)
		}
		if key == live.Key && (proof.Caller.Pause == nil || proof.Caller.Pause.Reason != "Moving." || !proof.Caller.Policy.HMAC) {
			t.Errorf("it came as %+v", proof.Caller)
		}
	}
}

// manyTimes are more than a row has room for.
func manyTimes() map[int64]time.Time {
	made := map[int64]time.Time{}
	for g := range int64(5000) {
		made[g] = time.Unix(g, 0).UTC()
	}
	return made
}

// What is there is never overwritten without a word, its keys never at all; and what cannot
// be a caller is refused, with the others taken over all the same.
func TestWhatIsTakenOver(t *testing.T) {
	t.Parallel()
	const app = "aaaaaaaa-1111-4111-8111-111111111111"
	shop := func(edit ...func(*caller.Caller)) caller.Caller {
		e := caller.Caller{Holder: keyring.Holder{Name: "shop", Generations: []int64{1}, Last: 1}, Policy: caller.Policy{Senders: []string{"*@example.com"}}}
		for _, f := range edit {
			f(&e)
		}
		return e
	}
	other := shop(func(e *caller.Caller) { e.Policy.Cap = 10 })
	for _, c := range []struct {
		name    string
		entry   caller.Caller
		replace bool
		want    string
		cap     int // of the shop afterwards
	}{
		{"the same", shop(), false, "shop unchanged", 0},
		{"the same with empty lists", shop(func(e *caller.Caller) { e.Policy.EntraApps = []string{} }), false, "shop unchanged", 0},
		{"other keys", shop(func(e *caller.Caller) { e.Generations, e.Last = []int64{4}, 4 }), true, "shop unchanged Its keys here are others.", 0},
		{"another policy", other, false, "shop refused It is here with another policy or template. Replace that with --replace.", 0},
		{"another policy, replaced", other, true, "shop changed Its policy or template is another. Its keys stay.", 10},
		{"revoked there", shop(func(e *caller.Caller) { e.Generations = nil }), true, `shop refused It was revoked where it comes from, and lives here. If it is to end, run "posthorn callers revoke shop".`, 0},
		{"revoked here", shop(func(e *caller.Caller) { e.Name = "gone" }), true, `gone refused It was revoked here. Make it anew with "posthorn callers add gone".`, 0},
		{"revoked in both", caller.Caller{Holder: keyring.Holder{Name: "gone", Last: 1}}, false, "gone unchanged", 0},
		{"revoked in both, later there", caller.Caller{Holder: keyring.Holder{Name: "gone", Last: 7}}, false, "gone changed It was revoked; more of its keys stay dead.", 0},
		{"a name with capitals", caller.Caller{Holder: keyring.Holder{Name: "Shop", Last: 1}}, false, `Shop refused "Shop" is no name for a caller`, 0},
		{"no name", caller.Caller{Holder: keyring.Holder{Last: 1}}, false, `refused "" is no name`, 0},
		{"a path for a name", caller.Caller{Holder: keyring.Holder{Name: "a/b", Last: 1}}, false, `a/b refused "a/b" is no name`, 0},
		{"no address", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1}, Last: 1}, Policy: caller.Policy{Senders: []string{"nobody"}}}, false, `new refused The sender "nobody" is no address`, 0},
		{"a key of the future", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{2}, Last: 1}}, false, "new refused Its generations must be", 0},
		{"three keys", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1, 2, 3}, Last: 3}}, false, "new refused Its generations must be", 0},
		{"a key twice", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1, 1}, Last: 3}}, false, "new refused Its generations must be", 0},
		{"no last", caller.Caller{Holder: keyring.Holder{Name: "new"}}, false, "new refused Its generations must be", 0},
		{"an endless last", caller.Caller{Holder: keyring.Holder{Name: "new", Last: 1 << 40}}, false, "new refused Its generations must be", 0},
		{"somebody else's identity", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1}, Last: 1}, Policy: caller.Policy{EntraApps: []string{app}}}, false, `new refused Tokens of ` + app + ` stand for the caller "known" already.`, 0},
		{"times of keys that are not there", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1}, Last: 1, Made: manyTimes()}}, false, "new created", 0},
		{"a reason of two lines", caller.Caller{Holder: keyring.Holder{Name: "new", Generations: []int64{1}, Last: 1, Pause: &problem.Pause{Reason: "a\nb"}}}, false, "new refused The reason of a pause", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice()
			key := o.add(t, "shop", caller.Policy{Senders: []string{"*@example.com"}}).Key
			o.add(t, "known", caller.Policy{EntraApps: []string{app}})
			o.add(t, "gone", caller.Policy{})
			if err := o.End(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
			behind := caller.Caller{Holder: keyring.Holder{Name: "behind", Generations: []int64{1}, Last: 1}}
			got := o.imports(t, []caller.Caller{c.entry, behind}, keyring.Options{Replace: c.replace})
			if len(got) != 2 || !strings.HasPrefix(got[0], c.want) || got[1] != "behind created" {
				t.Errorf("got %q", got)
			}
			proof, err := o.Authenticate(t.Context(), withHeader("X-Api-Key", key))
			if err != nil || proof.Caller.Policy.Cap != c.cap {
				t.Errorf("the shop: %+v, %v", proof.Caller.Policy, err)
			}
		})
	}
}

// Two entries of a document with one identity are as wrong as one whose identity is taken.
func TestTwoEntriesWithOneIdentity(t *testing.T) {
	t.Parallel()
	app := []string{"aaaaaaaa-1111-4111-8111-111111111111"}
	entries := []caller.Caller{
		{Holder: keyring.Holder{Name: "a", Generations: []int64{1}, Last: 1}, Policy: caller.Policy{EntraApps: app}},
		{Holder: keyring.Holder{Name: "b", Generations: []int64{1}, Last: 1}, Policy: caller.Policy{EntraObjects: app}},
	}
	for _, dry := range []bool{true, false} {
		got := newOffice().imports(t, entries, keyring.Options{DryRun: dry})
		if got[0] != "a created" || !strings.HasPrefix(got[1], "b refused Tokens of ") {
			t.Errorf("got %q", got)
		}
	}
}

func TestAnImportWithoutStorage(t *testing.T) {
	t.Parallel()
	for _, op := range []mem.Op{mem.List, mem.Insert} {
		o := newOffice()
		o.away = op
		if results, err := o.Import(t.Context(), []caller.Caller{{Holder: keyring.Holder{Name: "a", Last: 1}}}, keyring.Options{}, nil); !problem.Is(err, problem.Unavailable) || len(results) != 0 {
			t.Errorf("%s: %v, %v", op, results, err)
		}
	}
}
