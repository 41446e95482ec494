package hook

import (
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
	touched int // bytes for which no step was taken yet
	end     time.Time
	now     func() time.Time
}

var (
	errSteps  = errors.New("the template goes on for too long")
	errEmpty  = errors.New("the template writes nothing but a subject")
	errOutput = fmt.Errorf("the template writes more than %d bytes", maxOutputBytes)
)

// step is called at the start of each template and of each round of a loop, and by
// every function whose work depends on the payload.
func (b *budget) step() error {
	b.steps--
	if b.steps < 0 || b.now().After(b.end) {
		return errSteps
	}
	return nil
}

// touch takes the steps for n bytes that a function works through or makes.
func (b *budget) touch(n int) error {
	b.touched += n
	if b.touched < stepBytes {
		return nil
	}
	b.steps -= b.touched/stepBytes - 1
	b.touched %= stepBytes
	return b.step()
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

// execute runs one source. The tree is checked and changed before it runs, which is
// why it is parsed each time: what the functions reach is that of one delivery.
func execute(source string, html bool, s scope) (string, error) {
	b := &budget{steps: maxSteps, end: s.now().Add(maxRenderTime), now: s.now}
	functions := s.functions(b)
	trees, err := prepare(source, html, functions)
	if err != nil {
		return "", err
	}
	var t interface {
		Execute(to io.Writer, data any) error
	}
	if html {
		t, err = htmlTemplate(trees, functions)
	} else {
		t, err = textTemplate(trees, functions)
	}
	if err != nil {
		return "", err
	}
	out := new(bounded)
	if err := t.Execute(out, s.payload.plain()); err != nil {
		return "", err
	}
	return visible(out.String()), nil // a template can cut a character in two
}

func htmlTemplate(trees map[string]*parse.Tree, functions map[string]any) (*htmltemplate.Template, error) {
	t := htmltemplate.New(rootName).Funcs(functions)
	for name, tree := range trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return nil, err
		}
	}
	return t.Lookup(rootName), nil // t itself is a name without a tree
}

func textTemplate(trees map[string]*parse.Tree, functions map[string]any) (*texttemplate.Template, error) {
	t := texttemplate.New(rootName).Funcs(functions)
	for name, tree := range trees {
		if _, err := t.AddParseTree(name, tree); err != nil {
			return nil, err
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

// prepare parses source, with its frame beside it, refuses templates
// that call themselves, and puts a step into every loop and template.
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
	if name := cycle(trees); name != "" {
		return nil, fmt.Errorf("the template %q calls itself", name)
	}
	w, err := newWeaver()
	if err != nil {
		return nil, err
	}
	for _, tree := range trees {
		w.weave(tree.Root, true)
	}
	return trees, nil
}

// weaver puts two things into a tree: a step where it can go on for long, and the
// function text at the end of what it prints, so that what is missing prints as
// nothing and a structure as JSON.
type weaver struct {
	step *parse.ActionNode
	text *parse.CommandNode
}

func newWeaver() (*weaver, error) {
	trees, err := parse.Parse("w", `{{$_ := step}}{{"" | text}}`, "", "", map[string]any{"step": true, "text": true})
	if err != nil {
		return nil, err
	}
	nodes := trees["w"].Root.Nodes
	step, isAction := nodes[0].(*parse.ActionNode)
	said, isSaid := nodes[1].(*parse.ActionNode)
	if !isAction || !isSaid {
		return nil, errors.New("text/template parses differently")
	}
	return &weaver{step, said.Pipe.Cmds[1]}, nil
}

func (w *weaver) weave(list *parse.ListNode, loop bool) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, copyCommand(w.text))
			}
		case *parse.IfNode:
			w.weave(n.List, false)
			w.weave(n.ElseList, false)
		case *parse.WithNode:
			w.weave(n.List, false)
			w.weave(n.ElseList, false)
		case *parse.RangeNode:
			w.weave(n.List, true)
			w.weave(n.ElseList, false)
		}
	}
	if loop {
		list.Nodes = slices.Insert(list.Nodes, 0, w.step.Copy())
	}
}

func copyCommand(c *parse.CommandNode) *parse.CommandNode {
	copied, _ := c.Copy().(*parse.CommandNode) // it is what it is a copy of
	return copied
}

// cycle is the name of a template that calls itself, through others or not.
func cycle(trees map[string]*parse.Tree) string {
	const begun, done = 1, 2
	state := map[string]int{}
	var visit func(name string) string
	visit = func(name string) string {
		if state[name] == done || trees[name] == nil {
			return ""
		}
		if state[name] == begun {
			return name
		}
		state[name] = begun
		for _, called := range calls(trees[name].Root) {
			if found := visit(called); found != "" {
				return found
			}
		}
		state[name] = done
		return ""
	}
	for name := range trees {
		if found := visit(name); found != "" {
			return found
		}
	}
	return ""
}

// calls are the names of the templates that a list calls.
func calls(list *parse.ListNode) []string {
	if list == nil {
		return nil
	}
	var names []string
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TemplateNode:
			names = append(names, n.Name)
		case *parse.IfNode:
			names = append(append(names, calls(n.List)...), calls(n.ElseList)...)
		case *parse.WithNode:
			names = append(append(names, calls(n.List)...), calls(n.ElseList)...)
		case *parse.RangeNode:
			names = append(append(names, calls(n.List)...), calls(n.ElseList)...)
		}
	}
	return names
}

// Builtin is the template of a sender, for whoever wants to begin with it.
func Builtin(name string) (Template, error) {
	if _, ok := senders[name]; !ok {
		return Template{}, wrong("There is no built-in %q; there are %s.", name, strings.Join(Builtins(), ", "))
	}
	return builtinTemplate(name)
}

// builtinTemplate is that of a sender.
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
	if _, ok := senders[h.Policy.Builtin]; !ok {
		return wrong("There is no built-in %q; there are %s.", h.Policy.Builtin, strings.Join(Builtins(), ", "))
	}
	return h.Template.check()
}

// check says whether the operator's template can be used. HTML that cannot be
// escaped shows itself only when it runs, so it runs, over nothing; that it finds
// nothing to print is no fault.
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
