package mail_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]mail.Address{
		"":                                  {},
		"ann@example.com":                   {Address: "ann@example.com"},
		"  ann@example.com\t":               {Address: "ann@example.com"},
		"<ann@example.com>":                 {Address: "ann@example.com"},
		"Ann <ann@example.com>":             {Address: "ann@example.com", DisplayName: "Ann"},
		"Ann<ann@example.com>":              {Address: "ann@example.com", DisplayName: "Ann"},
		"Acme Inc. (UK) <ann@example.com>":  {Address: "ann@example.com", DisplayName: "Acme Inc. (UK)"},
		"ann@home <ann@example.com>":        {Address: "ann@example.com", DisplayName: "ann@home"},
		"Jürgen 📯 <ann@example.com>":        {Address: "ann@example.com", DisplayName: "Jürgen 📯"},
		`"Doe, Ann" <ann@example.com>`:      {Address: "ann@example.com", DisplayName: "Doe, Ann"},
		`"A \"B\" \\ <c>"<ann@example.com>`: {Address: "ann@example.com", DisplayName: `A "B" \ <c>`},
		`"" <ann@example.com>`:              {Address: "ann@example.com"},
		"Doe, Ann <ann@example.com>":        {Address: "ann@example.com", DisplayName: "Doe, Ann"},
		`Ann "A" \ Doe <ann@example.com>`:   {Address: "ann@example.com", DisplayName: `Ann "A" \ Doe`},
		"Ann <>":                            {DisplayName: "Ann"}, // check says that it has no address
		"not an address":                    {Address: "not an address"},
	} {
		got, err := mail.Named(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"Ann <ann@example.com", "Ann ann@example.com>", "<a@example.com> <b@example.com>", "Ann <<a@example.com>>", "Ann <a@example.com> Ann",
		`"Ann <a@example.com>`, `"Ann" B <a@example.com>`, `"Ann\`, `"Ann\" <a@example.com>`,
		"a@example.com,b@example.com", "a@example.com, Ann <b@example.com>", `"a@example.com"`, ">", "<",
	} {
		if got, err := mail.Named(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestNamedList(t *testing.T) {
	t.Parallel()
	a, b := mail.Address{Address: "a@example.com"}, mail.Address{Address: "b@example.com", DisplayName: "B, <b>"}
	for text, want := range map[string][]mail.Address{
		"":                                       nil,
		" \t":                                    nil,
		"a@example.com":                          {a},
		`a@example.com,"B, <b>" <b@example.com>`: {a, b},
		`"B, <b>" <b@example.com> , a@example.com`: {b, a},
		"a@example.com, a@example.com":             {a, a},
		",a@example.com,, a@example.com,\t":        {a, a}, // nothing is meant by a comma too many
		",":                                        nil,
	} {
		got, err := mail.NamedList(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`"A, a@example.com`, "A <a@example.com, b@example.com"} {
		if got, err := mail.NamedList(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// FuzzNamed holds that what was read says the same when it is written in quotes,
// alone and in a list.
func FuzzNamed(f *testing.F) {
	for _, s := range []string{"ann@example.com", "Ann <ann@example.com>", `"Doe, \"A\"" <ann@example.com>`, "a, b", `"\`, "<>", "ü <ü@ü>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := mail.Named(text)
		if err != nil {
			return
		}
		written := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.DisplayName) + `" <` + a.Address + ">"
		if again, err := mail.Named(written); err != nil || again != a {
			t.Errorf("%q is %+v, but %q is %+v, %v", text, a, written, again, err)
		}
		if list, err := mail.NamedList(written + "," + written); err != nil || !reflect.DeepEqual(list, []mail.Address{a, a}) {
			t.Errorf("twice %q is %+v, %v", written, list, err)
		}
	})
}

func TestFileType(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.pdf": "application/pdf", "A.B.PNG": "image/png", "a": "application/octet-stream", "a.": "application/octet-stream",
		"": "application/octet-stream", "a.exe": "application/octet-stream", "pdf": "application/pdf",
	} {
		if got := mail.FileType(name); got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
}
