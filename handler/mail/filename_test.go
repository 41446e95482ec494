package mail_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
)

// The names are of the kinds in public reports: FiltaQuilla issue 177 and joplin's
// plugin-email issue 38 (colons, pipes), msg_parser issue 117 ("RE: abc/cdf.eml"),
// and full paths as Internet Explorer sent them.
func TestFileName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                                "",
		"report.pdf":                      "report.pdf",
		"Straße 1.pdf":                    "Straße 1.pdf",
		"a..b":                            "a..b",
		"RE: abc/cdf.eml":                 "RE_ abc_cdf.eml",
		`what? "this" | that*.txt`:        "what_ _this_ _ that_.txt",
		`C:\Users\Ann\My Files\a.pdf`:     "a.pdf",
		`\\server\share\a.pdf`:            "a.pdf",
		"/tmp/a.pdf":                      "a.pdf",
		"../../etc/passwd":                "_.._etc_passwd",
		`..\..\x`:                         `_.._x`,
		"=?utf-8?q?J=C3=BCrgen.pdf?=":     "Jürgen.pdf",
		"=?utf-8?b?YS9i?=":                "a_b",
		"=?utf-8?q?a=0D=0AX:_b?=":         "a__X_ b",
		"=?unknown?q?a?=":                 "=_unknown_q_a_=",
		"a.txt ":                          "a.txt",
		" a.txt.":                         "a.txt",
		".htaccess":                       "htaccess",
		"a\u202egpj.exe":                  "agpj.exe",
		"a\tb\u2028c\u0085":               "a_b_c",
		"con":                             "_con",
		"NUL .txt":                        "_NUL .txt",
		"console.txt":                     "console.txt",
		" . .. ":                          "",
		strings.Repeat("a/", 3) + "c.txt": "a_a_a_c.txt",
	} {
		if got := mail.FileName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestNameless(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ contentType, contentID, want string }{
		{"image/png", "logo", "logo.png"},
		{"image/jpeg", "logo@shop.example", "logo@shop.example"},
		{"image/jpeg; name=x", "", "attachment-2.jpg"},
		{"text/plain", "", "attachment-2.txt"},
		{"application/x-unknown", "", "attachment-2"},
		{"no type", "a/b", "a_b"},
		{"", "...", "attachment-2"},
	} {
		if got := mail.Nameless(1, tt.contentType, tt.contentID); got != tt.want {
			t.Errorf("%+v is %q", tt, got)
		}
	}
}

// FuzzFileName holds that a name is one of a file, and stays as it is.
func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a", `C:\a`, "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=", ". con .", "\u202e.", "a\u200b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		name := mail.FileName(s)
		if again := mail.FileName(name); again != name {
			t.Errorf("%q is %q, and then %q", s, name, again)
		}
		if strings.ContainsAny(name, `/\:*?"<>|`) || strings.ContainsFunc(name, unicode.IsControl) || strings.Trim(name, ". ") != name {
			t.Errorf("%q is %q", s, name)
		}
	})
}
