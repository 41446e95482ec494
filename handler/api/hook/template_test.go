package hook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

func over(t testing.TB, payload string) scope {
	t.Helper()
	v, err := decode(context.Background(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return scope{hook: "mine", payload: v, header: http.Header{}, now: time.Now}
}

func TestTemplatesThatGoOnForeverStop(t *testing.T) {
	t.Parallel()
	many := `{"a":[1,2,3,4,5,6,7,8,9,10],"long":"` + strings.Repeat("x", 50_000) + `","lines":"` + strings.Repeat(`\n`, 50_000) + `x"}`
	nested := strings.Repeat(`{{range $.a}}`, 12) + "x" + strings.Repeat(`{{end}}`, 12)
	var laughs strings.Builder
	laughs.WriteString(`{{define "l0"}}ha{{end}}`)
	for i := range 9 {
		fmt.Fprintf(&laughs, `{{define "l%d"}}%s{{end}}`, i+1, strings.Repeat(fmt.Sprintf(`{{template "l%d"}}`, i), 10))
	}
	for _, c := range []struct {
		name, source string
		want         error
	}{
		{"a loop over a number", `{{range 1000000000}}{{end}}`, errSteps},
		{"a loop over a number that writes", `{{range 1000000000}}x{{end}}`, errSteps},
		{"loops in loops", nested, errSteps},
		{"loops in loops that do nothing", strings.Replace(nested, "x", "", 1), errSteps},
		{"loops over what a list multiplies", `{{$x := list 1 2 3 4 5 6 7 8 9}}{{range 6}}{{$x = list $x $x $x $x $x $x $x $x $x}}{{end}}` +
			strings.Repeat(`{{range $x}}{{$x = .}}`, 6) + strings.Repeat(`{{end}}`, 6), errSteps},
		{"a loop over a number out of the template", `{{$n := 1000000000}}{{range $n}}{{end}}`, errSteps},
		{"templates that call templates and write nothing", strings.Replace(laughs.String(), "ha", "", 1) + `{{template "l9"}}`, errSteps},
		{"templates that call templates", laughs.String() + `{{template "l9"}}`, errSteps},
		{"a loop that writes much", `{{range 90000}}` + strings.Repeat("x", 1000) + `{{end}}`, errOutput},
		{"a string that doubles", `{{$x := "xxxxxxxx"}}{{range 60}}{{$x = print $x $x}}{{end}}`, errValue},
		{"a string that doubles in a format", `{{$x := "xxxxxxxx"}}{{range 60}}{{$x = printf "%s%s" $x $x}}{{end}}`, errValue},
		{"quotes that double", `{{$x := "\"\"\"\"\"\"\"\""}}{{range 60}}{{$x = printf "%q" $x}}{{end}}`, errValue},
		{"a format that takes a value many times", `{{$x := printf "` + strings.Repeat("%s", 5500) + `"` + strings.Repeat(" $.long", 5500) + `}}`, errValue},
		{"a long text in another case", `{{range 90000}}{{$_ := upper $.long}}{{end}}`, errSteps},
		{"a long text that is looked through", `{{range 90000}}{{$_ := contains "y" $.long}}{{end}}`, errSteps},
		{"a part that is built", `{{$x := list "x"}}{{range 60}}{{$x = list $x $x}}{{end}}{{contains $x "a"}}`, errValue},
		{"a long text in lines", `{{range 90000}}{{$_ := lines $.lines}}{{end}}`, errSteps},
		{"a long text that is clipped", `{{range 90000}}{{$_ := clip 9 $.long}}{{end}}`, errSteps},
		{"tables of a large payload", `{{range 90000}}{{$_ := rows ""}}{{end}}`, errSteps},
		{"a list that doubles", `{{$x := list "x"}}{{range 60}}{{$x = list $x $x}}{{end}}{{$x}}`, errValue},
		{"a list that doubles, joined", `{{$x := list "x"}}{{range 60}}{{$x = list $x $x}}{{end}}{{join "," $x}}`, errValue},
		{"a list in a list in a list", `{{$x := list "x"}}{{range 50000}}{{$x = list $x}}{{end}}{{$x}}`, errValue},
	} {
		for _, html := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := over(t, many)
				s.now = func() time.Time { return time.Time{} } // it is the steps that count here
				if _, err := execute(c.source, html, s); !errors.Is(err, c.want) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// A clock that runs on ends a template that takes few steps.
func TestATemplateThatIsSlowStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := over(t, `{}`)
		s.now = func() time.Time { time.Sleep(100 * time.Millisecond); return time.Now() }
		if _, err := execute(`{{range 50}}x{{end}}`, false, s); !errors.Is(err, errSteps) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		`printf "%s-%5.1f|%03d%%" "a" 2.25 7`: "a-  2.2|007%",
		`printf "%.7s" "0123456789"`:          "0123456",
		`printf "%s" .deep`:                   `{"b":"2"}`,
		`printf "plain"`:                      "plain",
		`printf "%[1]s%[1]s" "a"`:             "",
		`printf "%*d" 9 1`:                    "",
		`printf "%100d" 1`:                    "",
		`printf "100%"`:                       "",
	} {
		got, err := execute("{{"+format+"}}", false, over(t, `{"deep":{"b":"2"}}`))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v", format, got, err)
		}
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, source, says string }{
		{"one that calls itself", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "calls itself"},
		{"two that call each other", `{{define "a"}}{{template "b"}}{{end}}{{define "b"}}{{if .}}{{template "a"}}{{end}}{{end}}x`, "calls itself"},
		{"the whole that calls itself", `{{template "message"}}`, "calls itself"},
		{"a call", `{{call .f}}`, `"call" not defined`},
		{"js, which doubles", `{{js .a}}`, `"js" not defined`},
		{"html, which escapes twice", `{{html .a}}`, `"html" not defined`},
		{"urlquery", `{{urlquery .a}}`, `"urlquery" not defined`},
		{"a file", `{{readFile "/etc/passwd"}}`, `"readFile" not defined`},
		{"the environment", `{{env "POSTHORN_MASTER_KEY"}}`, `"env" not defined`},
		{"no end", `{{range .a}}`, "unexpected EOF"},
		{"nothing", ``, "A template has a subject.tmpl"},
		{"too long", strings.Repeat("x", MaxTemplateBytes+1), "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, where := range []Template{{Subject: "x", Text: c.source}, {Subject: "x", HTML: c.source}} {
				if err := where.check(); !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	if err := (Template{Subject: "x", HTML: `<a href="{{.a}}`}).check(); !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("HTML that ends in an attribute: %v", err)
	}
	if err := (Template{Subject: "x", HTML: `<p>{{.a.b.c}}</p>{{range .d}}{{.e}}{{end}}`}).check(); err != nil {
		t.Errorf("HTML over members that are not there: %v", err)
	}
}

func TestWhatTemplatesSay(t *testing.T) {
	t.Parallel()
	const payload = `{"n":12345678901234567890.50,"yes":true,"none":null,"word":"Grüße","list":["a",1,null],"deep":{"b":"2","a":"1"},
		"from":"2026-11-07T06:00:00Z","to":"2026-11-07T08:30:00+01:00","epoch":1686089970,"never":"0001-01-01T00:00:00Z",
		"site":"https://example.com/a?b=c&d=e","evil":"javascript:alert(1)","mail":"mailto:ann@example.com",
		"held":{"list":"[{\"a\":1},{\"a\":2}]","nothing":"","none":null,"word":"[x]"},"titled":{"a":"x","title":"first line\nsecond"},
		"many":[{"n":{"m":"x"}},{"n":{"m":"x"}},{"n":"y"},7,{"n":{"m":"y"}}]}`
	for _, c := range []struct{ source, want string }{
		{`{{.n}}`, "12345678901234567890.50"},
		{`{{.yes}} {{if .yes}}y{{end}}`, "true y"},
		{`[{{.none}}{{.nothing}}{{.none.deeper}}{{.nothing.deeper.still}}]`, "[]"},
		{`{{.deep}} {{.list}}`, `{"a":"1","b":"2"} ["a","1",null]`},
		{`{{upper .word}} {{lower .word}} {{len .list}}`, "GRÜßE grüße 3"},
		{`{{default "other" .nothing}} {{default "other" .word}}`, "other Grüße"},
		{`{{clip 4 .word}}`, "Grü…"},
		{`{{join ", " .list}}`, "a, 1, "},
		{`{{date .from}}|{{date .epoch}}|{{date .never}}|{{date .word}}`, "7 Nov 2026, 06:00:00 UTC|6 Jun 2023, 22:19:30 UTC||Grüße"},
		{`{{span .from .to}}|{{span .to .from}}|{{span .from .never}}`, "1h30m0s||"},
		{`{{url .site}}|{{url .evil}}|{{url .mail}}|{{url .nothing}}`, "https://example.com/a?b=c&d=e||mailto:ann@example.com|"},
		{`{{money "4999" "eur"}} {{money "5" "usd"}} {{money "500" "jpy"}} {{money "-120" "eur"}} {{money "1" "kwd"}} {{money "x" "eur"}}`, "49.99 EUR 0.05 USD 500 JPY -1.20 EUR 0.001 KWD x"},
		{`{{range pairs .deep}}{{.Name}}={{.Text}};{{end}}`, "a=1;b=2;"},
		{`{{range rows "/deep"}}{{.Name}}={{.Text}};{{end}}{{range rows "/list"}}{{.Text}}{{end}}`, "b=2;a=1;a, 1, –"},
		{`{{range facts "A" .word "B" .nothing}}{{.Name}}={{.Text}}{{end}}`, "A=Grüße"},
		{`{{if gt (number .n) 5.0}}more{{end}} {{printf "%.1f" (number "2.25")}}`, "more 2.2"},
		{`{{contains "rü" .word}} {{base "refs/heads/main"}} {{hook}} {{header "Authorization"}}`, "true main mine "},
		{`{{range details "/deep" "a"}}{{.Name}}={{.Text}};{{end}}{{range details "/held"}}{{.Name}}={{.Text}};{{end}}`, "b=2;list › 1 › a=1;list › 2 › a=2;word=[x];"},
		{`{{range details "/deep/b"}}{{.Name}}={{.Text}};{{end}}{{range details "/none"}}x{{end}}`, "value=2;"},
		{`{{first .nothing .none .word .site}}|{{first .nothing}}|{{first}}`, "Grüße||"},
		{`{{at "/held/word"}}|{{at "/list/0"}}|{{at "/nothing/deeper"}}|{{at "/word/deeper"}}`, "[x]|a||"},
		{`{{headline "/titled"}}|{{headline "/deep"}}|{{headline "/list"}}|{{headline "/none"}}`, "first line||a, 1|"},
		{`{{join ", " (distinct "/many" "/n/m")}}|{{join ", " (distinct "/word" "/n")}}`, "x, y|"},
		{`{{(index (json .held.list) 1).a}}|{{json .word}}|{{json .deep}}`, `2|Grüße|{"a":"1","b":"2"}`},
		{`{{head 2 .list}}|{{head 9 .list}}|{{head 1 .word}}|{{head -1 .list}}`, `["a","1"]|["a","1",null]|Grüße|["a","1",null]`},
		{`{{index .list 1}} {{slice .word 0 2}} {{print .n "-" .yes}}`, "1 Gr 12345678901234567890.50-true"},
	} {
		got, err := execute(c.source, false, over(t, payload))
		if err != nil || got != c.want {
			t.Errorf("%s is %q, %v", c.source, got, err)
		}
	}
}

// What a payload has in it is in no error that is logged.
func TestATemplateThatFailsSendsThePayloadAsItCame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, html, says string }{
		{"a member of another type", `{{range .alerts}}{{.}}{{end}}`, "html: template: message:1:8"},
		{"a member of a word", `{{.alerts.deeper}}`, "html: template: message:1:"},
		{"an index that is too high", `{{index .list 9}}`, "html: template: message:1:"},
		{"an endless one", `{{range 100000000}}{{end}}`, errSteps.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sample{builtin: "generic"}.hook()
			h.Template = Template{Subject: "Alert", HTML: c.html}
			d := Delivery{At: noon, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"alerts":"canary","list":["canary"]}`)}
			all, err := h.Messages(t.Context(), d)
			if err != nil || len(all) != 1 {
				t.Fatal(len(all), err)
			}
			m := all[0]
			if m.TemplateError == nil || !strings.Contains(m.TemplateError.Error(), c.says) || strings.Contains(m.TemplateError.Error(), "canary") {
				t.Errorf("the fault is %v", m.TemplateError)
			}
			if !strings.Contains(m.Content.HTML, "canary") || !strings.Contains(m.Content.PlainText, "as it came") {
				t.Errorf("the message is %+v", m.Content)
			}
		})
	}
}

func TestAnEmptySubjectSendsNothing(t *testing.T) {
	t.Parallel()
	h := sample{builtin: "generic"}.hook()
	h.Template = Template{Subject: `{{if eq (text .status) "bad"}}Bad{{end}}`, Text: "x"}
	for body, want := range map[string]int{`{"status":"bad"}`: 1, `{"status":"good"}`: 0, `{}`: 0} {
		all, err := h.Messages(t.Context(), Delivery{At: noon, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)})
		if err != nil || len(all) != want {
			t.Errorf("%s makes %d messages, %v", body, len(all), err)
		}
	}
}
