package transfer_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/transfer"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/problem"
)

var master, other = bytes.Repeat([]byte("m"), 32), bytes.Repeat([]byte("o"), 32)

func shops() []caller.Entry {
	return []caller.Entry{
		{Name: "shop", Generations: []int64{2, 3}, Last: 3, Policy: caller.Policy{Senders: []string{"*@example.com"}, RedirectTo: "qa@example.com"}},
		{Name: "gone", Generations: []int64{}, Last: 4},
	}
}

func written(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	if err := transfer.Write(&text, "callers", [][]byte{master}, shops()); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	text := written(t)
	d, err := transfer.Read[caller.Entry](strings.NewReader(text), "callers")
	if err != nil || !reflect.DeepEqual(d.Entries, shops()) {
		t.Errorf("%+v, %v", d, err)
	}
	if strings.Contains(text, string(master)) || !transfer.SameKeys(d.Masters, [][]byte{other, master}) || transfer.SameKeys(d.Masters, [][]byte{other}) || transfer.SameKeys(nil, [][]byte{master}) {
		t.Errorf("its marks are %q", d.Masters)
	}
	if d, err := transfer.Read[hook.Entry](strings.NewReader(`{"format":"posthorn-hooks","version":1}`), "hooks"); err != nil || len(d.Entries) != 0 {
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
			_, err := transfer.Read[caller.Entry](strings.NewReader(c.text), "callers")
			if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(problem.Of(err).Detail, c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := transfer.Read[caller.Entry](endless{}, "callers"); !problem.Is(err, problem.InvalidRequest) || !strings.Contains(problem.Of(err).Detail, "larger than") {
		t.Errorf("endless: %v", err)
	}
	broken := errors.New("the disk broke")
	if _, err := transfer.Read[caller.Entry](io.MultiReader(strings.NewReader(good[:20]), iotest.ErrReader(broken)), "callers"); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}
