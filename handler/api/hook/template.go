package hook

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// builtin has a folder a sender: subject.tmpl, text.tmpl and html.tmpl, the names
// that an operator's own folder has too; body.tmpl is both text and HTML. The parts
// of a message stand in frame.tmpl for every HTML, in frame.text.tmpl for every text.
//
//go:embed builtin
var builtin embed.FS

// Bounds of one template. Two seconds are a thousand times what the largest of the
// built-in ones needs.
const (
	maxSteps       = 100_000 // rounds of loops, calls of templates, and stepBytes of text
	stepBytes      = 256
	maxOutputBytes = 1 << 20
	maxRenderTime  = 2 * time.Second
)

// budget is what one template may still use. Every template gets its own.
type budget struct {
	steps   int
	unspent int // bytes for which no step was taken yet
	end     time.Time
	now     func() time.Time
}

var (
	errSteps  = errors.New("the template goes on for too long")
	errEmpty  = errors.New("the template writes nothing but a subject")
	errOutput = fmt.Errorf("the template writes more than %d bytes", maxOutputBytes)
)

// spendStep is called at the start of each template and of each round of a loop, and by
// every function whose work depends on the payload.
func (b *budget) spendStep() error {
	b.steps--
	if b.steps < 0 || b.now().After(b.end) {
		return errSteps
	}
	return nil
}

// spendBytes takes the steps for n bytes that a function works through or makes.
func (b *budget) spendBytes(n int) error {
	b.unspent += n
	if b.unspent < stepBytes {
		return nil
	}
	b.steps -= b.unspent/stepBytes - 1
	b.unspent %= stepBytes
	return b.spendStep()
}

// bounded stops a template that writes too much.
type bounded struct {
	strings.Builder
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.Len()+len(p) > maxOutputBytes {
		return 0, errOutput
	}
	return w.Builder.Write(p)
}

// scope is what a template can reach.
type scope struct {
	hook    string
	form    bool
	subject string // as it came out; "" while it is rendered
	payload value
	header  http.Header // cut to those that the sender's template reads
	now     func() time.Time
}

// execute runs one source. It is parsed each time, as its functions reach one delivery.
func execute(source string, html bool, s scope) (string, error) {
	b := &budget{steps: maxSteps, end: s.now().Add(maxRenderTime), now: s.now}
	functions := s.functions(b)
	trees, err := prepare(source, html, functions)
	if err != nil {
		return "", err
	}
	var t interface {
		ExecuteTemplate(to io.Writer, name string, data any) error
	}
	if html {
		t, err = withTrees(htmltemplate.New("").Funcs(functions), trees)
	} else {
		t, err = withTrees(texttemplate.New("").Funcs(functions), trees)
	}
	if err != nil {
		return "", err
	}
	out := new(bounded)
	if err := t.ExecuteTemplate(out, rootName, s.payload.plain()); err != nil {
		return "", err
	}
	return visible(out.String()), nil // a template can cut a character in two
}

// withTrees is t, a template of either package, with all trees.
func withTrees[T interface {
	AddParseTree(name string, tree *parse.Tree) (T, error)
}](t T, trees map[string]*parse.Tree) (T, error) {
	for name, tree := range trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return t, err
		}
	}
	return t, nil
}

const rootName = "message"

// allowed are the functions of text/template that a template may use beside ours.
// Those that are left out (call, html, js, urlquery, println) grow what they are
// given, or escape what is escaped already.
var allowed = map[string]any{
	"and": true, "or": true, "not": true, "len": true, "index": true, "slice": true,
	"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
}

// prepare parses source with its frame beside it, and weaves the trees.
func prepare(source string, html bool, functions map[string]any) (map[string]*parse.Tree, error) {
	trees, err := parse.Parse(rootName, source, "", "", allowed, functions)
	if err != nil {
		return nil, err
	}
	file := "builtin/frame.text.tmpl"
	if html {
		file = "builtin/frame.tmpl"
	}
	frame, err := builtin.ReadFile(file)
	if err != nil {
		return nil, err
	}
	shared, err := parse.Parse("frame", string(frame), "", "", allowed, functions)
	if err != nil {
		return nil, err
	}
	for name, tree := range shared {
		if _, own := trees[name]; !own && name != "frame" {
			trees[name] = tree
		}
	}
	if trees[rootName] == nil {
		return nil, errors.New("the template is empty")
	}
	w := weaver{trees, map[string]bool{}}
	for name := range trees {
		if err := w.template(name); err != nil {
			return nil, err
		}
	}
	return trees, nil
}

// weaver puts two things into the trees: a step at the start of each template and of each
// round of a loop, and the function text at the end of what is printed. So nothing goes on
// uncounted, a missing value prints as nothing, and a structure prints as JSON.
type weaver struct {
	trees map[string]*parse.Tree
	woven map[string]bool // false: it has begun
}

// template weaves into one template, after those that it calls. It refuses a template that
// calls itself, through others or not.
func (w weaver) template(name string) error {
	tree := w.trees[name]
	woven, begun := w.woven[name]
	switch {
	case woven, tree == nil:
		return nil
	case begun:
		return fmt.Errorf("the template %q calls itself", name)
	}
	w.woven[name] = false
	if err := w.list(tree.Root, true); err != nil {
		return err
	}
	w.woven[name] = true
	return nil
}

func (w weaver) list(list *parse.ListNode, counted bool) error {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		var err error
		switch n := node.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, call("text"))
			}
		case *parse.TemplateNode:
			err = w.template(n.Name)
		case *parse.IfNode:
			err = w.branches(n.BranchNode, false)
		case *parse.WithNode:
			err = w.branches(n.BranchNode, false)
		case *parse.RangeNode:
			err = w.branches(n.BranchNode, true)
		}
		if err != nil {
			return err
		}
	}
	if counted { // assigned, since HTML escapes what is printed
		step := &parse.PipeNode{NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{call("step")}}
		step.Decl = []*parse.VariableNode{{NodeType: parse.NodeVariable, Ident: []string{"$_"}}}
		list.Nodes = slices.Insert(list.Nodes, 0, parse.Node(&parse.ActionNode{NodeType: parse.NodeAction, Pipe: step}))
	}
	return nil
}

func (w weaver) branches(n parse.BranchNode, counted bool) error {
	return cmp.Or(w.list(n.List, counted), w.list(n.ElseList, false))
}

func call(function string) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier(function)}}
}

// Builtin is the template of a built-in sender. An operator begins an own template with it.
func Builtin(name string) (Template, error) {
	if _, err := builtinSender(name); err != nil {
		return Template{}, err
	}
	return builtinTemplate(name)
}

// builtinTemplate reads the template of a sender.
func builtinTemplate(name string) (Template, error) {
	var t Template
	for file, to := range map[string][]*string{"subject.tmpl": {&t.Subject}, "text.tmpl": {&t.Text}, "html.tmpl": {&t.HTML}, "body.tmpl": {&t.Text, &t.HTML}} {
		source, err := builtin.ReadFile("builtin/" + name + "/" + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a sender has either body.tmpl or the two
		}
		if err != nil {
			return Template{}, err
		}
		for _, of := range to {
			*of = string(source)
		}
	}
	return t, nil
}

// Usable says whether the template of h, if it has one of its own, can be used.
// What is wrong is a problem of kind InvalidRequest.
func (h Hook) Usable() error {
	if _, err := builtinSender(h.Policy.Builtin); err != nil {
		return err
	}
	return h.Template.check()
}

// check says whether the operator's template can be used. HTML that cannot be
// escaped shows itself only when it runs, so it runs, over nothing; that it finds
// nothing to print is no error.
func (t Template) check() error {
	if t == (Template{}) {
		return nil
	}
	if t.Subject == "" || t.Text == "" && t.HTML == "" {
		return wrong("A template has a subject.tmpl, and a text.tmpl or an html.tmpl or both.")
	}
	s := scope{hook: "check", payload: value{kind: object}, header: http.Header{}, now: time.Now}
	for _, of := range []struct {
		name, source string
		html         bool
	}{{"subject.tmpl", t.Subject, false}, {"text.tmpl", t.Text, false}, {"html.tmpl", t.HTML, true}} {
		if of.source == "" {
			continue
		}
		if len(of.source) > MaxTemplateBytes {
			return wrong("%s is longer than %d bytes.", of.name, MaxTemplateBytes)
		}
		_, err := prepare(of.source, of.html, s.functions(&budget{now: s.now}))
		if err == nil && of.html {
			_, err = execute(of.source, true, s)
			if _, escape := errors.AsType[*htmltemplate.Error](err); !escape && !errors.Is(err, errSteps) {
				err = nil
			}
		}
		if err != nil {
			return problem.New(problem.InvalidRequest, "%s cannot be used: %s.", of.name, err)
		}
	}
	return nil
}
