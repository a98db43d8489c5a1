// SPDX-License-Identifier: GPL-2.0

// Command testreport reads what `go test -json` says and prints what a person wants of it: the failures with all that
// they printed, the slow tests, what a test logs that begins with "note: ", a line per package, and in the end a line with
// the packages that took longest and one with the numbers. It fails if a test did, or if there was no test at all.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// A test that took this many seconds is shown although it passed: without it a long run looks like a hung one.
const slow = 5

type report struct {
	out                     io.Writer
	output                  map[string]*strings.Builder // of each test that has not ended
	passed, failed, skipped int
	broken                  int // packages that failed by themselves, not by a test
	failedIn                map[string]int
	took                    []took
}

// took is how long the tests of a package took, in seconds.
type took struct {
	name    string
	seconds float64
}

func main() {
	name := "tests"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	r := newReport(os.Stdout)
	started := time.Now()
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	fmt.Println(r.longest())
	fmt.Printf("%s: %d passed, %d failed, %d skipped, in %v\n", name, r.passed, r.failed+r.broken, r.skipped,
		time.Since(started).Round(time.Second))
	if r.failed+r.broken > 0 || r.passed == 0 {
		os.Exit(1)
	}
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string]*strings.Builder{}, failedIn: map[string]int{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(r.out, "%s", line) // of the go command itself
			continue
		}
		r.see(e)
	}
}

func (r *report) see(e event) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, r.take(key))
		} else {
			r.endTest(e, r.take(key))
		}
	}
}

func (r *report) take(key string) string {
	b := r.output[key]
	delete(r.output, key)
	if b == nil {
		return ""
	}
	return b.String()
}

func (r *report) endTest(e event, output string) {
	switch e.Action {
	case "pass":
		r.passed++
		if e.Elapsed >= slow {
			fmt.Fprintf(r.out, "pass %s %s (%.1f s)\n", e.Package, e.Test, e.Elapsed)
		}
		r.printNotes(output)
	case "skip":
		r.skipped++
		fmt.Fprintf(r.out, "skip %s %s\n", e.Package, e.Test)
		r.printNotes(output)
	case "fail":
		r.failed++
		r.failedIn[e.Package]++
		fmt.Fprintf(r.out, "FAIL %s %s (%.1f s)\n%s", e.Package, e.Test, e.Elapsed, output)
	}
}

// printNotes prints what a test logged with "note: " in front, all lines of it: the testing package indents those after
// the first by eight spaces.
func (r *report) printNotes(output string) {
	noting := false
	for _, line := range strings.Split(output, "\n") {
		if place, note, ok := strings.Cut(line, ": note: "); ok && strings.Contains(place, ".go:") {
			noting = true
			fmt.Fprintf(r.out, "     %s\n", note)
			continue
		}
		rest, more := strings.CutPrefix(line, "        ")
		if noting = noting && more; noting {
			fmt.Fprintf(r.out, "     %s\n", rest)
		}
	}
}

func (r *report) endPackage(e event, output string) {
	if e.Action == "fail" && r.failedIn[e.Package] == 0 {
		r.broken++ // it did not build, or it died
		fmt.Fprint(r.out, output)
	}
	if e.Action != "skip" { // no test files
		r.took = append(r.took, took{e.Package, e.Elapsed})
		fmt.Fprintf(r.out, "%-4s %s (%.1f s)\n", map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action], e.Package, e.Elapsed)
	}
}

// longest names the packages that took longest.
func (r *report) longest() string {
	slices.SortStableFunc(r.took, func(a, b took) int { return cmp.Compare(b.seconds, a.seconds) })
	var list []string
	for _, t := range r.took[:min(8, len(r.took))] {
		list = append(list, fmt.Sprintf("%s %.0f s", t.name, t.seconds))
	}
	return "longest: " + strings.Join(list, ", ")
}
