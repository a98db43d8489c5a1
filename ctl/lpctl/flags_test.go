// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// leaves are the commands that do something: those that have none of their own.
func leaves(c *cli.Command) []*cli.Command {
	if len(c.Commands) == 0 {
		return []*cli.Command{c}
	}
	var list []*cli.Command
	for _, sub := range c.Commands {
		list = append(list, leaves(sub)...)
	}
	return list
}

// testApp is lpctl as it is after a first run, in which the library finishes the commands.
func testApp(t *testing.T) *cli.Command {
	t.Helper()
	app := thisHost().newApp(&bytes.Buffer{}, &bytes.Buffer{})
	if err := app.Run(t.Context(), []string{"lpctl", "--version"}); err != nil {
		t.Fatal(err)
	}
	app.Commands = slices.DeleteFunc(app.Commands, func(c *cli.Command) bool { return c.Name == "completion" && len(c.Commands) > 0 }) // the library's
	return app
}

// optionsOf are the names of a command's options, but for those of the library.
func optionsOf(c *cli.Command) []string {
	var list []string
	for _, f := range c.VisibleFlags() {
		if name := f.Names()[0]; name != "help" && name != "version" {
			list = append(list, name)
		}
	}
	return list
}

// source is this package's, as far as its own names tell.
type source struct {
	bodies map[*types.Func]ast.Node
	named  map[string]*types.Func // as the runtime has them
	uses   map[*ast.Ident]types.Object
}

func readSource(t *testing.T) *source {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	s := &source{bodies: map[*types.Func]ast.Node{}, named: map[string]*types.Func{}, uses: map[*ast.Ident]types.Object{}}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: s.uses, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	conf := types.Config{Importer: noImporter{}, Error: func(error) {}} // what is imported matters not
	_, _ = conf.Check("main", fset, files, info)
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			obj := info.Defs[fn.Name].(*types.Func)
			s.bodies[obj] = fn
			s.named[fn.Name.Name] = obj
		}
	}
	return s
}

// noImporter finds no package.
type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.New("none") }

// actionOf is the function that a command calls, or that the one is in which it calls.
func (s *source) actionOf(t *testing.T, c *cli.Command) *types.Func {
	t.Helper()
	name := runtime.FuncForPC(reflect.ValueOf(c.Action).Pointer()).Name()
	var fn *types.Func
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "-fm"), ".") { // a method's value ends so
		if found := s.named[part]; found != nil {
			fn = found // the one before is where it was inlined
		}
	}
	if fn == nil {
		t.Fatalf("%s calls %s, which is no function here", c.FullName(), name)
	}
	return fn
}

// reads adds the options that a function reads, and those that it calls or names.
func (s *source) reads(fn *types.Func, seen map[*types.Func]bool, options map[string]bool) {
	if seen[fn] {
		return
	}
	seen[fn] = true
	ast.Inspect(s.bodies[fn], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if called, ok := s.uses[n].(*types.Func); ok && s.bodies[called] != nil {
				s.reads(called, seen, options)
			}
		case *ast.CallExpr:
			if name, ok := optionRead(n); ok {
				options[name] = true
			}
		}
		return true
	})
}

// optionRead is the option that a call reads, as in c.Bool("now").
func optionRead(call *ast.CallExpr) (string, bool) {
	of, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) != 1 || !slices.Contains([]string{"Bool", "String", "StringSlice", "Int", "IntSlice", "Duration"}, of.Sel.Name) {
		return "", false
	}
	text, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	name, err := strconv.Unquote(text.Value)
	return name, err == nil
}

// TestOptionsAreRead: a command reads each of its options. So none is taken that does nothing.
func TestOptionsAreRead(t *testing.T) {
	s := readSource(t)
	for _, c := range leaves(testApp(t)) {
		read := map[string]bool{}
		s.reads(s.actionOf(t, c), map[*types.Func]bool{}, read)
		for _, name := range optionsOf(c) {
			if !read[name] {
				t.Errorf("%s takes --%s and does not read it", c.FullName(), name)
			}
		}
	}
}

// TestOptionsOfOthers: each command refuses each option that only others have, before it does anything.
func TestOptionsOfOthers(t *testing.T) {
	all := map[string]bool{}
	commands := leaves(testApp(t))
	for _, c := range commands {
		for _, name := range optionsOf(c) {
			all[name] = true
		}
	}
	h := thisHost()
	h.connect = func() (kernel, error) { t.Error("a command begins"); return nil, errors.New("no kernel") }
	for _, c := range commands {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if slices.Contains(optionsOf(c), name) {
				continue
			}
			var stdout, stderr bytes.Buffer
			status := h.run(slices.Concat(c.Path(), []string{"--" + name + "=1"}), &stdout, &stderr)
			want := "lpctl: there is no option --" + name + "; did you mean "
			if status != int(exitFailed) || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), want) {
				t.Errorf("%s --%s: status %d, says %q%q", c.FullName(), name, status, &stdout, &stderr)
			}
		}
	}
}
