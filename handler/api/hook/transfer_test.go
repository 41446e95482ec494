package hook

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func anybody(Hook) error { return nil }

func imports(t *testing.T, r *Registry, entries []Hook, o keyring.Options, allowed func(Hook) error) []string {
	t.Helper()
	results, err := r.Import(t.Context(), entries, o, allowed)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, result := range results {
		all = append(all, strings.TrimSpace(result.Name+" "+string(result.Outcome)+" "+result.Note))
	}
	return all
}

// signed is a delivery as GitHub signs it.
func signed(secret string) Delivery {
	return Delivery{Body: []byte(`{}`), Pieces: [][]byte{[]byte(`{}`)}, At: noon, Header: http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum(secret, `{}`))}}}
}

// Hooks come with their keys, templates and policies. A secret that a sender dictates stays
// behind, and nothing proves itself to its hook until it is set.
func TestHooksMoveWithoutSecrets(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return noon }
	const dictated = "the-secret-of-the-sender"
	from, to := newRegistry(now), newRegistry(now)
	mine, err := from.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Template: Template{Subject: "<S>", Text: "T"}, Policy: Policy{
		Caller: "ops", Sender: "alerts@example.com", To: []string{"team@example.com"},
	}}, "")
	if err != nil {
		t.Fatal(err)
	}
	added(t, from, "repo", "github", "", dictated)
	added(t, from, "gone", "generic", "", "")
	if err := from.End(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	entries, err := from.Export(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	const todo = `Set its sender's secret with "posthorn hooks rotate repo --secret-file FILE".`
	first := []string{"gone created It was removed; its keys stay dead.", "mine created", "repo created " + todo}
	if got := imports(t, to, entries, keyring.Options{DryRun: true}, anybody); !slices.Equal(got, first) {
		t.Errorf("it would be %q", got)
	}
	if got := imports(t, to, entries, keyring.Options{}, anybody); !slices.Equal(got, first) {
		t.Errorf("it is %q", got)
	}
	if got := imports(t, to, entries, keyring.Options{}, anybody); !slices.Equal(got, []string{"gone unchanged", "mine unchanged", "repo unchanged " + todo}) {
		t.Errorf("again: %q", got)
	}
	there, err := to.Read(t.Context(), "mine")
	if err != nil || to.Key(there) != from.Key(mine) || there.Template != mine.Template {
		t.Errorf("%+v, %v", there, err)
	}
	repo, err := to.Read(t.Context(), "repo")
	if err != nil || to.Secret(repo) != "" {
		t.Errorf("%+v, %v", repo, err)
	}
	for _, secret := range []string{dictated, to.Key(repo), ""} {
		if _, err := to.Prove(t.Context(), repo, signed(secret)); !problem.Is(err, problem.Unavailable) {
			t.Errorf("signed with %q: %v", secret, err)
		}
	}
	if repo, err = to.SetSecret(t.Context(), "repo", dictated); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Prove(t.Context(), repo, signed(dictated)); err != nil {
		t.Errorf("with its secret: %v", err)
	}
	if got := imports(t, to, entries, keyring.Options{Replace: true}, anybody); !slices.Equal(got, []string{"gone unchanged", "mine unchanged", "repo unchanged"}) {
		t.Errorf("in the end: %q", got)
	}
}

func TestWhichHooksAreTakenOver(t *testing.T) {
	t.Parallel()
	entry := func(edit ...func(*Hook)) Hook {
		e := Hook{Holder: keyring.Holder{Name: "mine", Generations: []int64{1}, Last: 1}, Policy: Policy{
			Caller: "ops", Sender: "alerts@example.com", To: []string{"team@example.com"}, Builtin: "github", Check: CheckGitHub,
		}}
		for _, f := range edit {
			f(&e)
		}
		return e
	}
	named := func(name string) func(*Hook) { return func(e *Hook) { e.Name = name } }
	to := func(address string) func(*Hook) { return func(e *Hook) { e.Policy.To = []string{address} } }
	for _, c := range []struct {
		name    string
		entry   Hook
		replace bool
		want    string
	}{
		{"the same", entry(), false, "mine unchanged"},
		{"other recipients", entry(to("b@example.com")), false, "mine refused It is here with another policy"},
		{"other recipients, replaced", entry(to("b@example.com")), true, "mine changed Its policy or template"},
		{"a template, replaced", entry(func(e *Hook) { e.Template = Template{Subject: "S", Text: "T"} }), true, "mine changed Its policy or template"},
		{"a dictated secret, replaced", entry(func(e *Hook) { e.Dictated = true }), true, "mine changed Set its sender's secret"},
		{"removed there", entry(func(e *Hook) { e.Generations = nil }), true, "mine refused It was removed where it comes from"},
		{"removed here", entry(named("gone")), true, "gone refused It was removed here"},
		{"a name that is none", entry(named("my_hook")), false, `my_hook refused "my_hook" is no name`},
		{"no such built-in", entry(named("new"), func(e *Hook) { e.Policy.Builtin = "fax" }), false, `new refused There is no built-in "fax"`},
		{"a template that is none", entry(named("new"), func(e *Hook) { e.Template = Template{Subject: "{{"} }), false, "new refused "},
		{"a secret where none can be", entry(named("new"), func(e *Hook) { e.Policy.Builtin, e.Policy.Check, e.Dictated = "generic", CheckKey, true }), false, "new refused A hook that is checked by key has no secret"},
		{"of nobody", entry(named("new"), func(e *Hook) { e.Policy.Caller = "nobody" }), false, "new refused There is no caller nobody."},
		{"times of keys that are not there", entry(named("new"), func(e *Hook) {
			e.Made = map[int64]time.Time{}
			for g := range int64(5000) {
				e.Made[g] = noon
			}
		}), false, "new created"},
		{"keys that cannot be", entry(named("new"), func(e *Hook) { e.Last = 0 }), false, "new refused Its generations must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(func() time.Time { return noon })
			h := added(t, r, "mine", "github", "", "")
			added(t, r, "gone", "generic", "", "")
			if err := r.End(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
			got := imports(t, r, []Hook{c.entry, entry(named("behind"))}, keyring.Options{Replace: c.replace}, func(h Hook) error {
				if h.Policy.Caller == "nobody" {
					return problem.New(problem.NotFound, "There is no caller nobody.")
				}
				return nil
			})
			if len(got) != 2 || !strings.HasPrefix(got[0], c.want) || got[1] != "behind created" {
				t.Errorf("got %q", got)
			}
			if there, err := r.Read(t.Context(), "mine"); err != nil || r.Key(there) != r.Key(h) {
				t.Errorf("its key: %v", err)
			}
		})
	}
}

func TestAnImportOfHooksWithoutStorage(t *testing.T) {
	t.Parallel()
	for _, op := range []mem.Op{mem.List, mem.Insert} {
		r := NewRegistry(mem.NewTable(time.Now, func(got mem.Op, _ string) mem.Fault {
			if got == op {
				return mem.Fault{Outcome: mem.Refused}
			}
			return mem.Fault{}
		}), masters, rand.Reader, time.Now)
		if results, err := r.Import(t.Context(), []Hook{{Holder: keyring.Holder{Name: "a", Last: 1}}}, keyring.Options{}, anybody); !problem.Is(err, problem.Unavailable) || len(results) != 0 {
			t.Errorf("%s: %v, %v", op, results, err)
		}
	}
}

func TestASecretThatCannotBeSet(t *testing.T) {
	t.Parallel()
	r := newRegistry(time.Now)
	added(t, r, "mine", "generic", "", "")
	added(t, r, "repo", "github", "", "")
	for _, c := range []struct {
		name, hook, secret string
		kind               problem.Kind
	}{
		{"of nobody", "nobody", "long-enough-a-secret", problem.NotFound},
		{"empty", "repo", "", problem.InvalidRequest},
		{"short", "repo", "short", problem.InvalidRequest},
		{"where a key opens", "mine", "long-enough-a-secret", problem.InvalidRequest},
	} {
		if _, err := r.SetSecret(t.Context(), c.hook, c.secret); !problem.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A delivery is noted under the key that has proved it, and under none where there is none.
func TestTheUseOfAHookIsNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(time.Now)
		r.NoteUses(slog.New(slog.DiscardHandler))
		one := added(t, r, "one", "github", "", "")
		two := added(t, r, "two", "github", "", "")
		old := r.Key(two)
		two, err := r.Rotate(t.Context(), "two")
		if err != nil {
			t.Fatal(err)
		}
		theirs := added(t, r, "theirs", "github", "", "the-secret-of-the-sender")
		for range 3 {
			r.Used(t.Context(), one, signed(r.Key(one)))
			r.Used(t.Context(), two, signed(old))
			r.Used(t.Context(), theirs, signed("the-secret-of-the-sender"))
			synctest.Wait()
		}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		want := map[keyring.KeyID]time.Time{{Name: "one", Generation: 1}: today, {Name: "two", Generation: 1}: today, {Name: "theirs"}: today}
		if last, err := r.LastUses(t.Context()); err != nil || !maps.Equal(last, want) {
			t.Errorf("%v, %v", last, err)
		}
	})
}
