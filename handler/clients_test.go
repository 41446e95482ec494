package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/problem"
)

var (
	memberRow  = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| ([^|]*)\\|$")
	memberName = regexp.MustCompile("`([^`]+)`")
)

// Each member of another API stands once on the page of its clients, and is said
// to be refused just if it is.
func TestPagesOfClientsTellEveryMember(t *testing.T) {
	t.Parallel()
	for page, rows := range map[string][]wire.Row{"resend.md": resend.Rows(), "sendgrid.md": sendgrid.Rows(), "postmark.md": postmark.Rows()} {
		text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page))
		if err != nil {
			t.Fatal(err)
		}
		_, members, _ := strings.Cut(string(text), "\n## Members\n")
		members, _, _ = strings.Cut(members, "\n## ")
		told := map[string]string{}
		for _, row := range memberRow.FindAllStringSubmatch(members, -1) {
			for _, name := range memberName.FindAllStringSubmatch(row[1], -1) {
				if _, twice := told[name[1]]; twice {
					t.Errorf("%s: %s stands twice", page, name[1])
				}
				told[name[1]] = row[2]
			}
		}
		for _, r := range rows {
			said, ok := told[r.Name]
			if !ok {
				t.Errorf("%s does not tell %s", page, r.Name)
			}
			if refused := strings.HasPrefix(said, "refused: "); refused != (r.Refusal != "") {
				t.Errorf("%s says of %s %q, the code %q", page, r.Name, said, r.Refusal)
			}
			delete(told, r.Name)
		}
		for name := range told {
			t.Errorf("%s tells %s, which the code does not know", page, name)
		}
	}
}

// Each route of another API that is here or is refused stands on the page of its clients,
// in whatever case.
func TestPagesOfClientsTellEveryRoute(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	for _, page := range []string{"resend.md", "sendgrid.md", "postmark.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page))
		if err != nil {
			t.Fatal(err)
		}
		pages[page] = strings.ToLower(string(text))
	}
	for _, path := range append(rest.Absent(), rest.Dialects()...) {
		said := false
		for _, text := range pages {
			said = said || strings.Contains(text, path+"`")
		}
		if !said {
			t.Errorf("no page tells of %s", path)
		}
	}
}

// Each status and name that an error has in another API stands in the table of its page.
func TestPagesOfClientsTellEveryError(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(`(?m)^\| ([^|]*) \| ([^|]*) \|`)
	told := func(page, first, second string) bool {
		text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page))
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(text), "\n## Errors\n")
		for _, r := range row.FindAllStringSubmatch(table, -1) {
			if slices.Contains(strings.Split(r[1], ", "), first) && slices.Contains(strings.Split(r[2], ", "), second) {
				return true
			}
		}
		return false
	}
	for _, k := range problem.Kinds() {
		status, body := resend.Refusal(problem.New(k, "No."), true)
		if name := body.(resend.Error).Name; !told("resend.md", "`"+name+"`", strconv.Itoa(status)) {
			t.Errorf("%s is not told of Resend's clients: %s, %d", k, name, status)
		}
		status, e := postmark.Refusal(problem.New(k, "No."))
		if !told("postmark.md", strconv.Itoa(status), strconv.Itoa(e.ErrorCode)) {
			t.Errorf("%s is not told of Postmark's clients: %d, %d", k, status, e.ErrorCode)
		}
	}
}

// No sentence for a caller has the name of a member of ACS in its text: what is said in
// the words of another API must be a problem.Name.
func TestSentencesHaveNoNamesOfMembers(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range wire.Rows() {
		if last := r.Name[strings.LastIndexByte(r.Name, '.')+1:]; strings.ToLower(last) != last && !strings.HasPrefix(r.Name, "delivery.") {
			names = append(names, last)
		}
	}
	member := regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\b`)
	for _, dir := range []string{"accept/caller", "accept/check", "api/rest", "accept/wire", "accept/wire/*", "decide/quota", "deliver/offload", "gateway", "mail", "problem"} {
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "acs.go" { // ACS's own words are that table's
				continue
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				text, is := n.(*ast.BasicLit)
				if is && text.Kind == token.STRING && strings.Contains(text.Value, " ") && member.MatchString(text.Value) {
					t.Errorf("%s: %s", set.Position(text.Pos()), text.Value)
				}
				return true
			})
		}
	}
}
