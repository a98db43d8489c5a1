// SPDX-License-Identifier: GPL-2.0

package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const in = `# a line of the go command
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet when it passes\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"pass","Package":"p","Test":"TestSlow","Elapsed":61.26}
{"Action":"output","Package":"p","Test":"TestB","Output":"why it failed\n"}
{"Action":"fail","Package":"p","Test":"TestB","Elapsed":1}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: note: nothing to test with\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- SKIP: TestC (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:7: quiet\n"}
{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:8: note: a table\n"}
{"Action":"output","Package":"p","Test":"TestD","Output":"        of two lines\n"}
{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:9: quiet\n"}
{"Action":"pass","Package":"p","Test":"TestD","Elapsed":0.1}
{"Action":"fail","Package":"p","Elapsed":2}
{"Action":"output","Package":"q","Output":"panic: died\n"}
{"Action":"fail","Package":"q","Elapsed":3}
{"Action":"skip","Package":"notests"}
`
	const want = `# a line of the go command
pass p TestSlow (61.3 s)
FAIL p TestB (1.0 s)
why it failed
skip p TestC
     nothing to test with
     a table
     of two lines
FAIL p (2.0 s)
panic: died
FAIL q (3.0 s)
`
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if got, want := r.longest(), "longest: q 3 s, p 2 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.passed != 3 || r.failed != 1 || r.skipped != 1 || r.broken != 1 {
		t.Errorf("got %d passed, %d failed, %d skipped, %d broken", r.passed, r.failed, r.skipped, r.broken)
	}
}
