// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/codes/codelist"
)

// codesFile has all codes.
const codesFile = "pkg/codes/codes.go"

// rule is a place that gives a refusal its code.
type rule struct {
	nr    int    // 1 and more
	file  string // below the repository
	line  int
	code  string
	whole bool // it cannot be taken out alone

	tried  bool
	missed string // by this test
}

// source is a file that has rules, and where to put what takes them out.
type source struct {
	file  string
	text  []byte
	rules []*rule
	put   []insertion
}

type insertion struct {
	at   int
	text string
}

// readCodes returns the codes, by the names of their constants.
func readCodes() (map[string]string, error) {
	blocks, err := codelist.Read(codesFile)
	if err != nil {
		return nil, err
	}
	codes := map[string]string{}
	for _, c := range codelist.Constants(blocks...) {
		codes[c.Name] = c.Code
	}
	return codes, nil
}

// goFiles are the sources of a directory, or its tests.
func goFiles(dir string, tests bool) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	return slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, "_test.go") != tests }), err
}

func findRules(dirs []string) ([]*source, error) {
	codes, err := readCodes()
	if err != nil {
		return nil, err
	}
	var all []*source
	nr := 0
	for _, dir := range dirs {
		files, err := goFiles(dir, false)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			s := &source{file: name}
			if s.text, err = os.ReadFile(name); err != nil {
				return nil, err
			}
			if err := s.find(codes, &nr); err != nil {
				return nil, err
			}
			if len(s.rules) > 0 {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// find finds the rules of a file.
func (s *source) find(codes map[string]string, nr *int) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, s.file, s.text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	walk(file, func(path []ast.Node) {
		name, ok := path[len(path)-1].(*ast.SelectorExpr)
		if !ok {
			return
		}
		if of, ok := name.X.(*ast.Ident); !ok || of.Name != "codes" {
			return
		}
		code, ok := codes[name.Sel.Name]
		if !ok || !gives(path) {
			return
		}
		*nr++
		r := &rule{nr: *nr, file: s.file, line: fset.Position(name.Pos()).Line, code: code}
		s.rules = append(s.rules, r)
		w := around(path)
		put := func(p token.Pos, format string, args ...any) {
			s.put = append(s.put, insertion{at(p), fmt.Sprintf(format, args...)})
		}
		switch {
		case w.conditions != nil:
			for _, c := range w.conditions {
				put(c.Pos(), "%s.Rule(%d, ", switchName, r.nr)
				put(c.End(), ")")
			}
		case w.result != nil:
			put(w.statement.Pos(), "if !%s.Rule(%d, true) { return *new(%s) }; ", switchName, r.nr, s.text[at(w.result.Pos()):at(w.result.End())])
		case w.statement != nil:
			put(w.statement.Pos(), "if %s.Rule(%d, true) { ", switchName, r.nr)
			put(w.statement.End(), " }")
		default:
			r.whole = true
		}
	})
	if len(s.put) > 0 {
		s.put = append(s.put, insertion{at(file.Name.End()), "; import " + switchName + " " + strconv.Quote("lpatch/"+switchDir)})
	}
	return nil
}

// walk calls f for each node with the path that leads to it.
func walk(root ast.Node, f func(path []ast.Node)) {
	var path []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		path = append(path, n)
		f(path)
		return true
	})
}

// gives tells whether a constant is what a refusal gets as its code: an argument or a field, and not one side of a comparison.
func gives(path []ast.Node) bool {
	switch path[len(path)-2].(type) {
	case *ast.CallExpr, *ast.KeyValueExpr, *ast.CompositeLit, *ast.ReturnStmt, *ast.AssignStmt:
		return true
	}
	return false
}

// surroundings are what decides whether a refusal is given: the nearest conditions, of an if or of a case of a switch without a
// tag. Where there are none, or the refusal is for all that no other case is for, it is the statement that refuses, with the
// type of the result if that returns it.
type surroundings struct {
	conditions []ast.Expr
	statement  ast.Stmt
	result     ast.Expr
}

func around(path []ast.Node) (s surroundings) {
	for i := len(path) - 2; i > 0; i-- {
		switch n := path[i].(type) {
		case *ast.FuncDecl:
			return s.in(n.Type)
		case *ast.FuncLit:
			if s.statement != nil {
				return s.in(n.Type)
			}
		case *ast.ExprStmt, *ast.ReturnStmt:
			s.statement = n.(ast.Stmt)
		case *ast.AssignStmt:
			if n.Tok == token.ASSIGN {
				s.statement = n
			}
		case *ast.IfStmt:
			if path[i+1] == n.Body {
				return surroundings{conditions: []ast.Expr{n.Cond}}
			}
		case *ast.CaseClause:
			if sw, ok := path[i-2].(*ast.SwitchStmt); ok && sw.Tag == nil && len(n.List) > 0 {
				return surroundings{conditions: n.List}
			}
		}
	}
	return surroundings{}
}

// in adds the type of the result of the function.
func (s surroundings) in(f *ast.FuncType) surroundings {
	if _, returns := s.statement.(*ast.ReturnStmt); !returns {
		return s
	}
	if f.Results == nil || len(f.Results.List) != 1 || len(f.Results.List[0].Names) > 1 {
		return surroundings{}
	}
	s.result = f.Results.List[0].Type
	return s
}

// switchable is the file with all its rules, each of which Rule can take out.
func (s *source) switchable() []byte {
	slices.SortStableFunc(s.put, func(a, b insertion) int { return cmp.Compare(a.at, b.at) })
	var out []byte
	last := 0
	for _, p := range s.put {
		out = append(append(out, s.text[last:p.at]...), p.text...)
		last = p.at
	}
	return append(out, s.text[last:]...)
}

// switchDir is where the package is, for go, that takes rules out.
const (
	switchDir  = "pkg/mutatorrules"
	switchName = "mutatorrules"
)

// switchText is that package.
const switchText = `package mutatorrules

import (
	"fmt"
	"os"
	"sync"
)

var (
	out  = os.Getenv("MUTATOR_OUT")
	file = os.Getenv("MUTATOR_SEEN")
	seen sync.Map
)

// Rule is whether rule nr refuses: as its condition says, unless it is taken out.
func Rule(nr int, condition bool) bool {
	if !condition {
		return false
	}
	if _, known := seen.LoadOrStore(nr, true); !known && file != "" {
		if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			fmt.Fprintln(f, nr)
			f.Close()
		}
	}
	return fmt.Sprint(nr) != out
}
`
