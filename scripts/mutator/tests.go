// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lpatch/test/patches"
	"lpatch/test/patches/programs"
)

// test is a test, or a part of it, that names a code: what go test -run takes.
type test struct{ pkg, run string }

// tests are those that may miss the rule, the quickest first: lines of tables, small fixes and programs that name its code, the
// tests that name it, and the ones in the test file beside it.
func (r *rule) tests(found map[string][]test) []test {
	cost := func(t test) int {
		n := slices.Index([]string{filepath.Dir(r.file), "test/patches", "test/patches/programs"}, t.pkg)
		if n < 0 {
			n = 3
		}
		if !strings.Contains(t.run, "/") {
			n += 4
		}
		return n
	}
	all := slices.Clone(found[r.code])
	slices.SortStableFunc(all, func(a, b test) int { return cmp.Compare(cost(a), cost(b)) })
	for _, t := range found[strings.TrimSuffix(r.file, ".go")] {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// findTests returns tests by the codes that they name, and by the file without its extension that they stand beside: those of
// the packages, and the cases of test/patches that are refused.
func findTests(dirs []string) (map[string][]test, error) {
	found := map[string][]test{}
	for _, dir := range dirs {
		files, err := goFiles(dir, true)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			if err := findNamed(found, dir, name); err != nil {
				return nil, err
			}
		}
	}
	fixes, err := patches.Read("test/patches")
	if err != nil {
		return nil, err
	}
	for _, c := range fixes {
		for _, r := range c.Refused {
			add(found, r.Code, test{"test/patches", pattern("TestBuild", c.Name)})
		}
	}
	cases, err := programs.Read("test/patches/programs")
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		codes := c.AllCodes()
		if c.Script != "" { // which says itself what it expects
			text, err := os.ReadFile(filepath.Join(c.Dir, c.Script))
			if err != nil {
				return nil, err
			}
			codes = word.FindAllString(string(text), -1)
		}
		for _, code := range codes {
			add(found, code, test{"test/patches/programs", pattern("TestPrograms", c.Name)})
		}
	}
	return found, nil
}

func add(found map[string][]test, key string, t test) {
	if !slices.Contains(found[key], t) {
		found[key] = append(found[key], t)
	}
}

func pattern(names ...string) string {
	for i, n := range names {
		names[i] = "^" + regexp.QuoteMeta(n) + "$"
	}
	return strings.Join(names, "/")
}

var (
	testName = regexp.MustCompile(`^Test[A-Z]\w*$`)
	word     = regexp.MustCompile(`[a-z]+(?:-[a-z]+)*`)
)

// findNamed adds the tests of a file by the words of their strings.
func findNamed(found map[string][]test, dir, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !testName.MatchString(f.Name.Name) {
			continue
		}
		whole := test{dir, pattern(f.Name.Name)}
		add(found, strings.TrimSuffix(name, "_test.go"), whole)
		parts := partsOf(f)
		walk(f.Body, func(path []ast.Node) {
			value := stringOf(path[len(path)-1])
			for _, w := range word.FindAllString(value, -1) {
				add(found, w, whole)
				if row := rowName(path); parts != "" && row != "" && !strings.Contains(row, "/") {
					add(found, w, test{dir, pattern(f.Name.Name) + parts + pattern(row)})
				}
			}
		})
	}
	return nil
}

// stringOf is the value of a node that is a string, else "".
func stringOf(n ast.Node) string {
	if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		value, _ := strconv.Unquote(lit.Value)
		return value
	}
	return ""
}

// rowName is what the line of a table is called that a path leads through: its key, or its first string.
func rowName(path []ast.Node) string {
	for _, n := range path {
		var name string
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			name = stringOf(n.Key)
		case *ast.CompositeLit:
			if len(n.Elts) > 1 {
				name = stringOf(n.Elts[0])
				if kv, ok := n.Elts[0].(*ast.KeyValueExpr); ok {
					name = stringOf(kv.Value)
				}
			}
		}
		if name != "" {
			return strings.ReplaceAll(name, " ", "_")
		}
	}
	return ""
}

// partsOf is what go test -run takes between the names of a test and of a line of its table: there is one more part where the
// name of a compiler is in front. It is "" for a test without parts.
func partsOf(f *ast.FuncDecl) (between string) {
	walk(f.Body, func(path []ast.Node) {
		call, ok := path[len(path)-1].(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return
		}
		if to, ok := call.Fun.(*ast.SelectorExpr); !ok || to.Sel.Name != "Run" {
			return
		}
		between = "/"
		walk(call.Args[0], func(path []ast.Node) {
			if stringOf(path[len(path)-1]) == "/" {
				between = "/.*/"
			}
		})
	})
	return between
}
