package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// guide has the table of all codes.
const guide = "Documentation/patch-author-guide.md"

// rule is a place that gives a refusal its code.
type rule struct {
	nr    int    // 1 and more
	file  string // below the repository
	line  int
	code  string
	whole bool // nothing decides about it, or not alone: it cannot be taken out

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

var codeRow = regexp.MustCompile("(?m)^\\| ((?:`[a-z-]+`(?:, )?)+) \\|")

// readCodes returns the codes of the guide's tables.
func readCodes() (map[string]bool, error) {
	text, err := os.ReadFile(guide)
	if err != nil {
		return nil, err
	}
	codes := map[string]bool{}
	for _, row := range codeRow.FindAllSubmatch(text, -1) {
		for code := range strings.SplitSeq(string(row[1]), ", ") {
			codes[strings.Trim(code, "`")] = true
		}
	}
	if len(codes) == 0 {
		return nil, fmt.Errorf("%s has no table of codes", guide)
	}
	return codes, nil
}

// goFiles are the sources of a folder, or its tests.
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
func (s *source) find(codes map[string]bool, nr *int) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, s.file, s.text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	walk(file, func(path []ast.Node) {
		lit, ok := path[len(path)-1].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		code, err := strconv.Unquote(lit.Value)
		if err != nil || !codes[code] || !gives(path) {
			return
		}
		*nr++
		r := &rule{nr: *nr, file: s.file, line: fset.Position(lit.Pos()).Line, code: code}
		s.rules = append(s.rules, r)
		conditions, statement := around(path)
		for _, c := range conditions {
			s.put = append(s.put, insertion{at(c.Pos()), fmt.Sprintf("%s.Rule(%d, ", switchName, r.nr)}, insertion{at(c.End()), ")"})
		}
		if statement != nil {
			s.put = append(s.put, insertion{at(statement.Pos()), fmt.Sprintf("if %s.Rule(%d, true) { ", switchName, r.nr)}, insertion{at(statement.End()), " }"})
		}
		r.whole = conditions == nil && statement == nil
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

// gives tells whether a literal is what a refusal gets as its code: an argument or a field, and not one side of a comparison.
func gives(path []ast.Node) bool {
	switch path[len(path)-2].(type) {
	case *ast.CallExpr, *ast.KeyValueExpr, *ast.CompositeLit, *ast.ReturnStmt, *ast.AssignStmt:
		return true
	}
	return false
}

// around returns the nearest conditions that decide whether the end of a path is reached: of an if, or of a case of a switch
// without a tag. Where there are none, or the rule is for all that no other case is for, it returns the statement that refuses.
func around(path []ast.Node) ([]ast.Expr, ast.Stmt) {
	var statement ast.Stmt
	for i := len(path) - 2; i > 0; i-- {
		switch n := path[i].(type) {
		case *ast.FuncDecl:
			return nil, statement
		case *ast.ExprStmt:
			statement = n
		case *ast.IfStmt:
			if path[i+1] == n.Body {
				return []ast.Expr{n.Cond}, nil
			}
			if path[i+1] == n.Else {
				return nil, statement
			}
		case *ast.CaseClause:
			s, ok := path[i-2].(*ast.SwitchStmt)
			if ok && s.Tag == nil && len(n.List) > 0 {
				return n.List, nil
			}
			if statement != nil {
				return nil, statement
			}
		}
	}
	return nil, nil
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
