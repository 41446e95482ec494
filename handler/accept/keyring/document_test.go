package keyring_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var master, other = bytes.Repeat([]byte("m"), 32), bytes.Repeat([]byte("o"), 32)

func shops() []caller.Caller {
	return []caller.Caller{
		{Holder: keyring.Holder{Name: "gone", Generations: []int64{}, Last: 4, Began: 4}},
		{Holder: keyring.Holder{Name: "shop", Generations: []int64{2, 3}, Last: 3, Began: 1, Made: map[int64]time.Time{}}, Policy: caller.Policy{Senders: []string{"*@example.com"}, RedirectTo: "qa@example.com"}},
	}
}

func callers(masters ...[]byte) *caller.Registry {
	return caller.NewRegistry(mem.NewTable(time.Now, nil), masters, false, time.Now)
}

// written is a document that has shops.
func written(t *testing.T) string {
	t.Helper()
	r := callers(master)
	if _, err := r.Import(t.Context(), shops(), keyring.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := r.Export(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	text := written(t)
	d, err := callers().ReadDocument(strings.NewReader(text))
	if want := shops(); err != nil || len(d.Entries) != 2 || !reflect.DeepEqual(store.JSON(d.Entries), store.JSON(want)) {
		t.Errorf("%+v, %v", d, err)
	}
	if strings.Contains(text, string(master)) || !callers(other, master).SameKeys(d) || callers(other).SameKeys(d) || callers(master).SameKeys(keyring.Document[caller.Caller]{}) {
		t.Errorf("its marks are %q", d.Masters)
	}
	hooks := hook.NewRegistry(mem.NewTable(time.Now, nil), nil, rand.Reader, time.Now)
	if d, err := hooks.ReadDocument(strings.NewReader(`{"format":"posthorn-hooks","version":1}`)); err != nil || len(d.Entries) != 0 {
		t.Errorf("nothing: %+v, %v", d, err)
	}
}

// endless is a document that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// What is no such document is refused as a whole, with a sentence that says why.
func TestDocumentsThatAreNone(t *testing.T) {
	t.Parallel()
	good := written(t)
	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "ends too early"},
		{"cut off", good[:len(good)/2], "ends too early"},
		{"cut off by one", strings.TrimSpace(good)[:len(strings.TrimSpace(good))-1], "ends too early"},
		{"something behind it", good + "{}", "it is no JSON from byte"},
		{"no JSON", "name,policy\nshop,*", "it is no JSON from byte"},
		{"another thing", `{"version":"2012-10-17","Statement":[]}`, `a string cannot be the value of version`},
		{"a list", `[]`, `a array cannot be`},
		{"hooks", strings.Replace(good, "posthorn-callers", "posthorn-hooks", 1), `It must be "posthorn-callers", as "posthorn callers export" writes it.`},
		{"a later version", strings.Replace(good, `"version": 1`, `"version": 2`, 1), "has version 2, and this program reads version 1"},
		{"no version", strings.Replace(good, `"version": 1,`, ``, 1), "has version 0"},
		{"an unknown member", strings.Replace(good, `"masters"`, `"owner":"me","masters"`, 1), `unknown field "owner"`},
		{"an unknown rule", strings.Replace(good, `"senders"`, `"sandBoxed":true,"senders"`, 1), `unknown field "sandBoxed"`},
		{"a number for a name", strings.Replace(good, `"name": "shop"`, `"name": 7`, 1), `a number cannot be the value of entries.name`},
		{"a name twice", strings.Replace(good, `"name": "gone"`, `"name": "shop"`, 1), `has the name "shop" twice`},
		{"deep", strings.Repeat("[", 100_000), "it is no JSON from byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := callers().ReadDocument(strings.NewReader(c.text))
			if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(problem.Of(err).Detail, c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := callers().ReadDocument(endless{}); !problem.Is(err, problem.InvalidRequest) || !strings.Contains(problem.Of(err).Detail, "larger than") {
		t.Errorf("endless: %v", err)
	}
	broken := errors.New("the disk broke")
	if _, err := callers().ReadDocument(io.MultiReader(strings.NewReader(good[:20]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}
