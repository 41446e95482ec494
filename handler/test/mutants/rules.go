package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// edit replaces the bytes from start to end of a file.
type edit struct {
	start, end token.Pos
	text       string
}

// mutant is one fault that a hand might slip into a package.
type mutant struct {
	rule string
	at   token.Pos
	// edits are the ways to write it down; the first that compiles is taken.
	edits []edit
}

// swapped are the operators that are taken for each other, and the rule that says
// so.
var swapped = map[token.Token][]struct {
	by   token.Token
	rule string
}{
	token.LSS: {{token.LEQ, "boundary"}, {token.GEQ, "negate"}}, token.LEQ: {{token.LSS, "boundary"}, {token.GTR, "negate"}},
	token.GTR: {{token.GEQ, "boundary"}, {token.LEQ, "negate"}}, token.GEQ: {{token.GTR, "boundary"}, {token.LSS, "negate"}},
	token.EQL: {{token.NEQ, "negate"}}, token.NEQ: {{token.EQL, "negate"}},
	token.LAND: {{token.LOR, "and/or"}}, token.LOR: {{token.LAND, "and/or"}},
	token.ADD: {{token.SUB, "arithmetic"}}, token.SUB: {{token.ADD, "arithmetic"}},
	token.MUL: {{token.QUO, "arithmetic"}}, token.QUO: {{token.MUL, "arithmetic"}}, token.REM: {{token.MUL, "arithmetic"}},
	token.ADD_ASSIGN: {{token.SUB_ASSIGN, "arithmetic"}}, token.SUB_ASSIGN: {{token.ADD_ASSIGN, "arithmetic"}},
	token.INC: {{token.DEC, "count"}}, token.DEC: {{token.INC, "count"}},
	token.BREAK: {{token.CONTINUE, "loop"}}, token.CONTINUE: {{token.BREAK, "loop"}},
}

// finder collects the mutants of one file.
type finder struct {
	text  []byte
	file  *token.File
	info  *types.Info
	found []mutant
}

// mutants are those of a file, in its order. Constants and package variables are
// left alone: most of them are documentation.
func mutants(file *token.File, tree *ast.File, text []byte, info *types.Info) []mutant {
	f := &finder{text: text, file: file, info: info}
	for _, d := range tree.Decls {
		if function, ok := d.(*ast.FuncDecl); ok && function.Body != nil {
			ast.Inspect(function.Body, f.visit)
		}
	}
	return f.found
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.IfStmt:
		f.add("never", n.Cond.Pos(), edit{n.Cond.Pos(), n.Cond.End(), "false && (" + f.source(n.Cond) + ")"})
		if _, compares := n.Cond.(*ast.BinaryExpr); !compares {
			f.add("negate", n.Cond.Pos(), edit{n.Cond.Pos(), n.Cond.End(), "!(" + f.source(n.Cond) + ")"})
		}
	case *ast.IncDecStmt:
		f.swap(n.Tok, n.TokPos)
	case *ast.BranchStmt:
		f.swap(n.Tok, n.TokPos)
	case *ast.AssignStmt:
		f.assign(n)
	case *ast.ExprStmt:
		f.remove("call", n, n.X)
	case *ast.DeferStmt:
		f.remove("defer", n, n.Call)
	case *ast.GoStmt:
		f.remove("go", n, n.Call)
	case *ast.ReturnStmt:
		f.returns(n)
	case *ast.Ident:
		f.truth(n)
	}
	return true
}

// add notes a mutant.
func (f *finder) add(rule string, at token.Pos, edits ...edit) {
	f.found = append(f.found, mutant{rule, at, edits})
}

func (f *finder) source(n ast.Node) string {
	return string(f.text[f.file.Offset(n.Pos()):f.file.Offset(n.End())])
}

func (f *finder) swap(t token.Token, at token.Pos) {
	for _, s := range swapped[t] {
		f.add(s.rule, at, edit{at, at + token.Pos(len(t.String())), s.by.String()})
	}
}

func (f *finder) binary(n *ast.BinaryExpr) {
	if n.Op == token.ADD && f.is(n, types.IsString) {
		return
	}
	f.swap(n.Op, n.OpPos)
	if n.Op == token.LAND || n.Op == token.LOR {
		f.add("drop operand", n.X.Pos(), edit{n.Pos(), n.End(), f.source(n.Y)})
		f.add("drop operand", n.Y.Pos(), edit{n.Pos(), n.End(), f.source(n.X)})
	}
}

// is says whether an expression is of a basic type of a kind.
func (f *finder) is(n ast.Expr, kind types.BasicInfo) bool {
	t := f.info.TypeOf(n)
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&kind != 0
}

// assign removes an assignment, but not what its right side does.
func (f *finder) assign(n *ast.AssignStmt) {
	f.swap(n.Tok, n.TokPos)
	if n.Tok == token.DEFINE {
		return
	}
	named := slices.ContainsFunc(n.Lhs, func(left ast.Expr) bool {
		name, ok := left.(*ast.Ident)
		return !ok || name.Name != "_"
	})
	if named {
		blanks := "_" + strings.Repeat(", _", len(n.Lhs)-1)
		f.add("remove assignment", n.Pos(), edit{n.Pos(), n.Rhs[0].Pos(), blanks + " = "})
	}
}

// remove takes a statement away. Where a variable would have no use then, its
// arguments are kept.
func (f *finder) remove(what string, n ast.Node, x ast.Expr) {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return
	}
	if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
		return
	}
	edits := []edit{{n.Pos(), n.End(), ""}}
	for _, a := range call.Args {
		if _, plain := a.(*ast.Ident); plain {
			edits = append(edits, edit{n.Pos(), n.End(), "_ = " + f.source(a)})
		}
	}
	f.add("remove "+what, n.Pos(), edits...)
}

// returns swallows errors.
func (f *finder) returns(n *ast.ReturnStmt) {
	fault := types.Universe.Lookup("error").Type()
	for _, x := range n.Results {
		if t := f.info.TypeOf(x); t != nil && types.Identical(t, fault) {
			f.add("swallow error", x.Pos(), edit{x.Pos(), x.End(), "nil"})
		}
	}
}

// truth takes true for false.
func (f *finder) truth(n *ast.Ident) {
	if use := f.info.Uses[n]; use != nil && use.Parent() == types.Universe && (n.Name == "true" || n.Name == "false") {
		f.add("truth", n.Pos(), edit{n.Pos(), n.End(), strconv.FormatBool(n.Name == "false")})
	}
}
