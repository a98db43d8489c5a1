// SPDX-License-Identifier: GPL-2.0

package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// directives are what a case says of the machines that it is for, in lines of its comment:
//
//	//machine:only KERNEL	it shows the same on all kernels: what lpctl keeps on the disk, or says
//	//machine:slow		it takes ten seconds and more; not on 6.1
//	//machine:preempts	it sees how a kernel preempts and locks: windows, threads that run or end, forks, waits; on 6.12-rt, too
//	//machine:needs CONFIG_X !CONFIG_Y	options of the kernel's configuration that it cannot do without, or with
//	//machine:reloads	it removes the module to load it otherwise
type directives struct {
	only, absent            string
	needs                   []string
	slow, preempts, reloads bool
}

// parseDirectives reads those of all tests of a file, by the name of the case. source is as for parser.ParseFile.
func parseDirectives(name string, source any) (map[string]directives, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	all := map[string]directives{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Doc == nil {
			continue
		}
		var d directives
		for _, c := range f.Doc.List {
			if text, ok := strings.CutPrefix(c.Text, "//machine:"); ok {
				if err := d.add(strings.Fields(text)); err != nil {
					return nil, fmt.Errorf("%s: %s: %s: %w", name, f.Name.Name, c.Text, err)
				}
			}
		}
		all[strings.TrimPrefix(f.Name.Name, "Test")] = d
	}
	return all, nil
}

func (d *directives) add(words []string) error {
	args := words[1:]
	switch word := words[0]; {
	case word == "only" && len(args) == 1:
		d.only = args[0]
	case word == "slow" && len(args) == 0:
		d.slow = true
	case word == "preempts" && len(args) == 0:
		d.preempts = true
	case word == "reloads" && len(args) == 0:
		d.reloads = true
	case word == "needs" && len(args) > 0:
		for _, option := range args {
			if absent, ok := strings.CutPrefix(option, "!"); ok {
				d.absent = absent
			} else {
				d.needs = append(d.needs, option)
			}
		}
	default:
		return fmt.Errorf("there is no such directive")
	}
	return nil
}

var readDirectives = sync.OnceValues(func() (map[string]directives, error) {
	files, err := filepath.Glob("cases/*_test.go")
	if err != nil {
		return nil, err
	}
	all := map[string]directives{}
	for _, name := range files {
		found, err := parseDirectives(name, nil)
		if err != nil {
			return nil, err
		}
		for name, d := range found {
			all[name] = d
		}
	}
	return all, nil
})

func casesDirectives(t *testing.T) map[string]directives {
	t.Helper()
	all, err := readDirectives()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDirectives(t *testing.T) {
	const head = "package cases\n\n// TestA tests.\n//\n"
	const tail = "func TestA(t *testing.T) {}\n"
	for lines, want := range map[string]directives{
		"":                         {},
		"//machine:only 6.12\n":    {only: "6.12"},
		"//machine:needs A B !C\n": {needs: []string{"A", "B"}, absent: "C"},
		"//machine:slow\n//machine:preempts\n//machine:reloads\n": {slow: true, preempts: true, reloads: true},
	} {
		got, err := parseDirectives("a_test.go", head+lines+tail)
		if diff := cmp.Diff(want, got["A"], cmp.AllowUnexported(directives{})); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", lines, err, diff)
		}
	}
	for _, line := range []string{"only", "onlyon 6.12", "slow 6.1", "needs"} {
		_, err := parseDirectives("a_test.go", head+"//machine:"+line+"\n"+tail)
		want := "a_test.go: TestA: //machine:" + line + ": there is no such directive"
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
	if all := casesDirectives(t); all["Quiescence"].preempts == false || all["Vhost"].needs == nil {
		t.Errorf("those of the cases are not read: %+v, %+v", all["Quiescence"], all["Vhost"])
	}
}
