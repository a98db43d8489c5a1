// Command mutator takes the builder's rules out, one after another, and looks whether a test fails without it: "make mutate".
// A rule is a place that gives a refusal its code (Documentation/patch-author-guide.md, "The codes"); it is taken out by
// making the nearest condition around it false. The sources stay as they are: go test gets the changed file by -overlay.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// guide has the table of all codes.
const guide = "Documentation/patch-author-guide.md"

// mutant is a source without one rule.
type mutant struct {
	file string // below the repository
	line int
	code string
	text []byte // of the file without it; nil if no condition decides about it
}

// test is a test that names a code.
type test struct{ pkg, run string }

func main() {
	list := flag.Bool("list", false, "say which rules there are and which tests name their codes, and try none")
	only := flag.String("run", "", "only rules whose FILE:CODE matches this regular expression")
	flag.Parse()
	if err := run(*list, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutator:", err)
		os.Exit(1)
	}
}

func run(list bool, only string, dirs []string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	codes, err := readCodes()
	if err != nil {
		return err
	}
	mutants, err := findMutants(dirs, codes)
	if err != nil {
		return err
	}
	tests, err := findTests(dirs)
	if err != nil {
		return err
	}
	survived := 0
	for _, m := range mutants {
		if !wanted.MatchString(m.file + ":" + m.code) {
			continue
		}
		if list {
			fmt.Printf("%s:%d %s: %d tests\n", m.file, m.line, m.code, len(m.tests(tests)))
			continue
		}
		began := time.Now()
		verdict, err := m.try(m.tests(tests))
		if err != nil {
			return err
		}
		if !strings.HasPrefix(verdict, "killed") {
			survived++
		}
		fmt.Printf("%s:%d %s: %s (%.0f s)\n", m.file, m.line, m.code, verdict, time.Since(began).Seconds())
	}
	if survived > 0 {
		return fmt.Errorf("%d rules of %d can be taken out and no test fails", survived, len(mutants))
	}
	return nil
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

func sources(dir string, tests bool) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	return slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, "_test.go") != tests }), err
}

func findMutants(dirs []string, codes map[string]bool) ([]*mutant, error) {
	var all []*mutant
	for _, dir := range dirs {
		files, err := sources(dir, false)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			found, err := mutantsOf(name, text, codes)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// mutantsOf makes a mutant of each place of a file that names a code.
func mutantsOf(name string, text []byte, codes map[string]bool) ([]*mutant, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []*mutant
	var path []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		path = append(path, n)
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		code, err := strconv.Unquote(lit.Value)
		if err != nil || !codes[code] || !gives(path) {
			return true
		}
		at := func(p token.Pos) int { return fset.Position(p).Offset }
		m := &mutant{file: name, line: fset.Position(lit.Pos()).Line, code: code}
		if conditions := around(path); conditions != nil {
			m.text = text
			for _, c := range slices.Backward(conditions) {
				m.text = slices.Concat(m.text[:at(c.Pos())], []byte("false && ("), m.text[at(c.Pos()):at(c.End())], []byte(")"), m.text[at(c.End()):])
			}
		}
		all = append(all, m)
		return true
	})
	return all, nil
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
// without a tag.
func around(path []ast.Node) []ast.Expr {
	for i := len(path) - 2; i > 0; i-- {
		switch n := path[i].(type) {
		case *ast.FuncDecl:
			return nil
		case *ast.IfStmt:
			if path[i+1] == n.Body {
				return []ast.Expr{n.Cond}
			}
		case *ast.CaseClause:
			if s, ok := path[i-2].(*ast.SwitchStmt); ok && s.Tag == nil && len(n.List) > 0 {
				return n.List
			}
		}
	}
	return nil
}

var testName = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)

// tests are those that may miss the rule: the ones in the test file beside it, and the ones that name its code.
func (m *mutant) tests(found map[string][]test) []test {
	all := slices.Clone(found[strings.TrimSuffix(m.file, ".go")])
	for _, t := range found[m.code] {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// findTests returns tests by the codes that they name, and by the file without its extension that they stand beside: those of
// the packages, and the small fixes of test/patches that are refused.
func findTests(dirs []string) (map[string][]test, error) {
	found := map[string][]test{}
	add := func(text []byte, pattern *regexp.Regexp, t test) {
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			if code := string(m[1]); !slices.Contains(found[code], t) {
				found[code] = append(found[code], t)
			}
		}
	}
	quoted := regexp.MustCompile("[\"` ]([a-z]+(?:-[a-z]+)*)[\"`:, ]")
	for _, dir := range dirs {
		files, err := sources(dir, true)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			starts := testName.FindAllSubmatchIndex(text, -1)
			for i, s := range starts {
				end := len(text)
				if i+1 < len(starts) {
					end = starts[i+1][0]
				}
				this := test{"./" + dir, "^" + string(text[s[2]:s[3]]) + "$"}
				add(text[s[0]:end], quoted, this)
				beside := strings.TrimSuffix(name, "_test.go")
				found[beside] = append(found[beside], this)
			}
		}
	}
	if err := findPrograms(found); err != nil {
		return nil, err
	}
	cases, err := filepath.Glob("test/patches/*/case.c*")
	if err != nil {
		return nil, err
	}
	refused := regexp.MustCompile(`(?m)^ \* refused: ([a-z-]+)`)
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		add(text, refused, test{"./test/patches", "^TestBuild$/^" + filepath.Base(filepath.Dir(name)) + "$"})
	}
	return found, nil
}

// findPrograms adds the programs that are refused, by the codes that they say they must be refused for.
func findPrograms(found map[string][]test) error {
	cases, err := filepath.Glob("test/patches/programs/*/case.json")
	if err != nil {
		return err
	}
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var c struct{ Codes []string }
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, code := range c.Codes {
			found[code] = append(found[code], test{"./test/patches/programs", "^TestPrograms$/^" + filepath.Base(filepath.Dir(name)) + "$"})
		}
	}
	return nil
}

// try runs the tests until one fails.
func (m *mutant) try(tests []test) (string, error) {
	switch {
	case m.text == nil:
		return "not tried: no condition decides about it", nil
	case len(tests) == 0:
		return "SURVIVED: no test names it", nil
	}
	dir, err := os.MkdirTemp("", "mutator-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	abs, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {abs: changed}})
	if err != nil {
		return "", err
	}
	for name, text := range map[string][]byte{changed: m.text, overlay: replace} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return "", err
		}
	}
	for _, t := range tests {
		cmd := exec.Command("go", "test", "-run", t.run, "-timeout", "20m", t.pkg)
		cmd.Env = append(os.Environ(), "LPATCH_VM=", "PATCHES=all", "GOFLAGS=-overlay="+overlay) // tests build lpctl, too
		out, err := cmd.CombinedOutput()
		switch {
		case err == nil:
		case bytes.Contains(out, []byte("--- FAIL")) || bytes.Contains(out, []byte("panic:")):
			return fmt.Sprintf("killed by %s %s", t.pkg, strings.Trim(t.run, "^$")), nil
		default:
			return "", fmt.Errorf("%s:%d: %w\n%s", m.file, m.line, err, out)
		}
	}
	return fmt.Sprintf("SURVIVED %d tests", len(tests)), nil
}
