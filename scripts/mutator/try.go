// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// trier runs tests with and without rules.
type trier struct {
	dir      string            // for what is compiled
	overlay  string            // file
	binaries map[string]string // by package
	with     map[test]map[int]bool
}

// newTrier writes the sources in which rules can be taken out.
func newTrier(sources []*source) (*trier, error) {
	dir, err := os.MkdirTemp("", "mutator-")
	if err != nil {
		return nil, err
	}
	t := &trier{dir, filepath.Join(dir, "overlay.json"), map[string]string{}, map[test]map[int]bool{}}
	texts := map[string][]byte{switchDir + "/rules.go": []byte(switchText)}
	for _, s := range sources {
		texts[s.file] = s.switchable()
	}
	replace := map[string]string{}
	for name, text := range texts {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		replace[abs] = filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(replace[abs], text, 0o644); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return t, os.WriteFile(t.overlay, text, 0o644)
}

func (t *trier) close() { os.RemoveAll(t.dir) }

// binary is the compiled test of a package.
func (t *trier) binary(pkg string) (string, error) {
	if name, ok := t.binaries[pkg]; ok {
		return name, nil
	}
	name := filepath.Join(t.dir, strings.ReplaceAll(pkg, "/", "_")+".test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", t.overlay, "-o", name, "./"+pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", pkg, err, out)
	}
	t.binaries[pkg] = name
	return name, nil
}

// run runs a test, without rule nr if it is one, and returns what it printed and which rules refused something; failed if it
// did.
func (t *trier) run(this test, nr int) (out []byte, seen map[int]bool, failed bool, err error) {
	name, err := t.binary(this.pkg)
	if err != nil {
		return nil, nil, false, err
	}
	record := filepath.Join(t.dir, "seen")
	if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false, err
	}
	cmd := exec.Command(name, "-test.run", this.run, "-test.failfast", "-test.timeout", "20m")
	cmd.Dir = this.pkg
	cmd.Env = append(os.Environ(), "LPATCH_VM=", "GOFLAGS=-overlay="+t.overlay, "MUTATOR_SEEN="+record, fmt.Sprintf("MUTATOR_OUT=%d", nr)) // tests build lpctl, too
	out, err = cmd.CombinedOutput()
	failed = err != nil
	if failed && !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic:")) {
		return nil, nil, false, fmt.Errorf("%s: %w\n%s", this, err, out)
	}
	numbers, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false, err
	}
	seen = map[int]bool{}
	for _, n := range strings.Fields(string(numbers)) {
		if i, err := strconv.Atoi(n); err == nil {
			seen[i] = true
		}
	}
	return out, seen, failed, nil
}

// try runs the tests in which the rule refuses something until one fails without it. Tests of which that is
// known, because they ran for another rule, come first.
func (t *trier) try(r *rule, tests []test) (string, error) {
	r.tried = true
	if r.whole {
		return "SURVIVED: it cannot be taken out alone", nil
	}
	tests = slices.Clone(tests)
	unknown := func(this test) int {
		if t.with[this][r.nr] {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(tests, func(a, b test) int { return cmp.Compare(unknown(a), unknown(b)) })
	tried := 0
	for _, this := range tests {
		seen, err := t.rulesOf(this)
		if err != nil {
			return "", err
		}
		if !seen[r.nr] {
			continue
		}
		tried++
		out, _, failed, err := t.run(this, r.nr)
		if err != nil {
			return "", err
		}
		if failed {
			r.missed = filepath.Base(this.pkg) + " " + failing(out, this.run)
			return "killed by " + r.missed, nil
		}
	}
	return fmt.Sprintf("SURVIVED: of %d tests that name it, it refuses something in %d", len(tests), tried), nil
}

// rulesOf are the rules that refuse something in a test.
func (t *trier) rulesOf(this test) (map[int]bool, error) {
	if seen, ok := t.with[this]; ok {
		return seen, nil
	}
	out, seen, failed, err := t.run(this, 0)
	if err != nil {
		return nil, err
	}
	if failed {
		fmt.Fprintf(os.Stderr, "%s %s fails as it is:\n%s", this.pkg, this.run, out)
		seen = nil
	}
	t.with[this] = seen
	return seen, nil
}

var failure = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// failing is the smallest part of a test that failed.
func failing(out []byte, run string) string {
	name := strings.NewReplacer("^", "", "$", "", `\`, "").Replace(run)
	whole, _, _ := strings.Cut(name, "/")
	longest := ""
	for _, m := range failure.FindAllSubmatch(out, -1) {
		if part := string(m[1]); strings.HasPrefix(part, whole) && len(part) > len(longest) {
			longest = part
		}
	}
	return cmp.Or(longest, name)
}
