package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/version"
	"github.com/posthorn/posthorn/handler/wiring"
)

var update = flag.Bool("update", false, "write the golden files and the generated pages anew")

const (
	module = version.Module + "/"
	root   = ".."
)

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// Who may import whom stands in imports.golden, so that a new arrow is seen in
// review.
func TestImportsAreThoseOfTheGoldenFile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, p := range packages(t) {
		fmt.Fprintln(&b, strings.TrimPrefix(p.ImportPath, module))
		slices.Sort(p.Imports)
		for _, i := range p.Imports {
			if own, ok := strings.CutPrefix(i, module); ok {
				fmt.Fprintf(&b, "\t%s\n", own)
			} else if first, _, _ := strings.Cut(i, "/"); strings.Contains(first, ".") {
				fmt.Fprintf(&b, "\t(%s)\n", i)
			}
		}
	}
	golden(t, "imports.golden", b.String())
}

// floors lists the folders of handler from the ground up: a package may import its own
// floor and those below.
var floors = [][]string{
	{"mail", "problem", "settings", "store", "version", "pool", "linger"},
	{"accept", "decide", "deliver"},
	{"gateway"},
	{"api"},
	{"wiring"},
	{"", "operate"},
}

// floorOf is -1 for what is never in a program of the product.
func floorOf(importPath string) int {
	path := strings.TrimPrefix(strings.TrimPrefix(importPath, module+"handler"), "/")
	first, _, _ := strings.Cut(path, "/")
	return slices.IndexFunc(floors, func(floor []string) bool { return slices.Contains(floor, first) })
}

func TestNoImportRunsBackUp(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		own := floorOf(p.ImportPath)
		if own < 0 || strings.HasPrefix(p.ImportPath, module+"handler/gateway/") || strings.HasSuffix(p.ImportPath, "test") {
			continue // support of tests builds on what it needs
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, module) && floorOf(i) > own {
				t.Errorf("%s imports %s, which stands above it", p.ImportPath, i)
			}
			if strings.HasPrefix(i, module) && floorOf(i) < 0 {
				t.Errorf("%s imports %s, which is never in the product", p.ImportPath, i)
			}
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// Local parts of Azure and helpers of tests never get into the product.
func TestTheHandlerDoesNotContainLocalParts(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./handler")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		for _, local := range []string{"handler/local", "handler/store/mem", "handler/test", "handler/api/rest/contract"} {
			if strings.HasPrefix(line, module+local) {
				t.Errorf("the product contains %s", line)
			}
		}
	}
}

// The host reaches just the routes that api/rest has, and calls just the triggers that
// wiring mounts. It knows all methods: to one that a template does not name it would
// answer an empty 404 by itself, where rest says what is allowed.
func TestTemplatesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "function.json-templates", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	routes, triggers, queues := map[string]bool{}, []string{}, map[string]string{}
	all := []string{"get", "head", "post", "put", "patch", "delete", "options"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var template struct {
			Bindings []struct {
				Type, Direction, Route string
				QueueName, Connection  string
				Methods                []string
			}
		}
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		in := template.Bindings[0]
		if in.Type != "httpTrigger" {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			triggers = append(triggers, name)
			if in.Type == "queueTrigger" {
				queues[name] = in.QueueName + " of " + in.Connection
			}
			continue
		}
		if !slices.Equal(in.Methods, all) {
			t.Errorf("%s has the methods %v, want %v", file, in.Methods, all)
		}
		routes["/"+in.Route] = true
	}
	for path := range rest.Routes() {
		if !routes[path] {
			t.Errorf("%s has no template", path)
		}
		routes[path] = false
	}
	// What is absent has a template for all below it: its own, or the template of a path above.
	for _, path := range rest.Absent() {
		above := path
		for _, is := routes[above+"/{*rest}"]; !is && above != ""; _, is = routes[above+"/{*rest}"] {
			above = above[:strings.LastIndexByte(above, '/')]
		}
		if above == "" {
			t.Errorf("%s has no template", path)
		}
		routes[above+"/{*rest}"] = false
	}
	for path, unused := range routes {
		if unused {
			t.Errorf("%s has a template and no code", path)
		}
	}
	if want := []string{wiring.CleanUpFunction, wiring.PoisonFunction, wiring.DispatchFunction, wiring.WatchdogFunction}; !slices.Equal(triggers, want) {
		t.Errorf("triggers are %v, the code has %v", triggers, want)
	}
	// The host finds that connection by its own settings: POSTHORN_QUEUE__queueServiceUri in Azure.
	if want := map[string]string{
		wiring.DispatchFunction: wiring.DispatchQueue + " of POSTHORN_QUEUE",
		wiring.PoisonFunction:   wiring.DispatchQueue + "-poison of POSTHORN_QUEUE",
	}; !maps.Equal(queues, want) {
		t.Errorf("queues are %v, the code has %v", queues, want)
	}
}

func TestGeneratedPagesAreCurrent(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join(root, "docs", "problems.md"), problemsPage())
	golden(t, filepath.Join(root, "docs", "settings.md"), settingsPage())
	golden(t, filepath.Join(root, "docs", "limits.md"), limitsPage(t)+limitsOfSignatures)
	golden(t, filepath.Join(root, "infra", "memory.json"), memoryJSON(t))
	goldenPart(t, filepath.Join(root, "docs", "send.md"), headersTable())
	goldenPart(t, filepath.Join(root, "docs", "architecture.md"), drawing(t)+floorsTable())
}

// goldenPart is golden for what stands on a page behind the comment that says so.
func goldenPart(t *testing.T, name, want string) {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), "generated from the code -->\n")
	_, after, ends := strings.Cut(rest, "<!-- end -->\n")
	if !begins || !ends {
		t.Fatalf("%s has no part that is generated", name)
	}
	golden(t, name, before+"generated from the code -->\n"+want+"<!-- end -->\n"+after)
}

func headersTable() string {
	var b strings.Builder
	b.WriteString("| header | | because |\n| --- | --- | --- |\n")
	var names []string
	for i, h := range check.Headers {
		names = append(names, "`"+strings.ReplaceAll(h.Name, "*", "…")+"`")
		if i+1 < len(check.Headers) && check.Headers[i+1].Reason == h.Reason && check.Headers[i+1].Passed == h.Passed {
			continue
		}
		fate := "refused"
		if h.Passed {
			fate = "passed over"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(names, ", "), fate, h.Reason)
		names = nil
	}
	return b.String()
}

func golden(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current; run `make generate` and look at the difference", name)
	}
}

// limitsOfSignatures were seen under the Functions host 4.1037.
const limitsOfSignatures = `
Signed requests.

The Functions host writes the path and the query anew before Posthorn sees them. A signature covers both.
Posthorn refuses a signature over a form that the host has changed: 401. Microsoft's SDKs write no such form.

| in the signed path or query | arrives as | the signature |
| --- | --- | --- |
| ` + "`:` or `%3A`" + ` | ` + "`:`" + ` | is accepted |
| an escaped letter or digit, such as ` + "`%41`" + ` | ` + "`A`" + ` | is refused |
| an escape in small letters, such as ` + "`%c3`" + ` | ` + "`%C3`" + ` | is refused |
| ` + "`%2F`" + ` | ` + "`%252F`" + ` | is refused |
| ` + "`{` or `}`" + ` | ` + "`%7B` or `%7D`" + ` | is refused |
`

func problemsPage() string {
	var b strings.Builder
	b.WriteString("# Problems\n\n" + wrapped("Every error of Posthorn is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem. "+
		"Its `type` ends in one of these names. `detail` says what happened this time. `errors` lists each violation with its JSON pointer. "+
		"This page is generated from the code.") + "\n")
	for _, k := range problem.Kinds() {
		fmt.Fprintf(&b, "\n## %s\n\n**%d** %s\n\n%s\n", k.Slug(), k.Status(), k.Title(), wrapped(k.Advice()))
	}
	return b.String()
}

func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Settings\n\nAll settings are environment variables, in Azure application settings. This page is generated from the code.\n\n| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, r := range settings.Table() {
		value := "-"
		if r.Default != "" {
			value = "`" + r.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Variable, value, r.Doc)
	}
	return b.String()
}

// limitsPage lists constants with their values and the sources that their comments
// give.
func limitsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Limits\n\nSizes are bytes, before Base64 unless it says otherwise. This page is generated from the code.\n")
	writeLimits(t, &b, filepath.Join("mail", "limits.go"))
	b.WriteString(profilesTable())
	writeLimits(t, &b, filepath.Join("local", "host", "limits.go"))
	return b.String()
}

func writeLimits(t *testing.T, b *strings.Builder, name string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := (&types.Config{Importer: importer.ForCompiler(set, "source", nil)}).Check("limits", set, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		fmt.Fprintf(b, "\n%s\n\n| limit | value | |\n| --- | --- | --- |\n", strings.TrimSpace(group.Doc.Text()))
		for _, s := range group.Specs {
			spec := s.(*ast.ValueSpec)
			name := spec.Names[0].Name
			value := pkg.Scope().Lookup(name).(*types.Const)
			shown := value.Val().String()
			n, _ := constant.Int64Val(value.Val())
			if value.Type().String() == "time.Duration" {
				shown = spelt(time.Duration(n))
			} else if n >= 1<<20 && n%(1<<20) == 0 {
				shown = fmt.Sprintf("%s (%d MiB)", shown, n>>20)
			}
			says := strings.TrimPrefix(strings.Join(strings.Fields(spec.Doc.Text()), " "), name)
			label := strings.TrimSpace(spec.Comment.Text()) // what the reader calls it
			if label == "" {
				label = "`" + name + "`"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", label, shown, strings.TrimLeft(says, ": "))
		}
	}
}

// spelt is a duration in the largest unit that holds it whole.
func spelt(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := d / u.length; n > 1 && d%u.length == 0 {
			return fmt.Sprintf("%d %ss", n, u.name)
		} else if d == u.length {
			return "1 " + u.name
		}
	}
	return d.String()
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeBlock    = regexp.MustCompile("(?s)```.*?```")
	heading      = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// Links between the project's own pages lead somewhere.
func TestPagesHaveNoDeadLinks(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == ".local" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range markdownLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
			checkLink(t, path, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLink(t *testing.T, page, link string) {
	t.Helper()
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return
	}
	file, anchor, _ := strings.Cut(link, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	text, err := os.ReadFile(target)
	if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
		return
	}
	if err != nil {
		t.Errorf("%s: the link to %s leads nowhere", page, link)
		return
	}
	if anchor == "" || filepath.Ext(target) != ".md" {
		return
	}
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		if strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor {
			return
		}
	}
	t.Errorf("%s: %s has no heading for #%s", page, target, anchor)
}
