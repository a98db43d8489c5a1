// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/testutil/filetest"
)

// TestLasting checks the warnings about changes that do not take effect in a running process.
func TestLasting(t *testing.T) {
	filetest.Slow(t)
	const source = `#include <stdio.h>
#include <stdlib.h>
volatile int n; __attribute__((noinline)) void step(int by) { n += by; }
__attribute__((noinline)) void serve(void) { for (;;) step(1); }
__attribute__((noinline)) void some(void) { while (n < 100) step(1); }
__attribute__((constructor)) static void begin(void) { step(1); }
int main(void) { some(); serve(); return 0; }
`
	const once = "it runs once, as the program starts, so a process that runs goes on in the old one"
	const loop = "the old one has a loop without an exit, so a thread that is in it goes on in it"
	const then = " and never gets the fix; have the fix in a function that it calls again and again"
	for _, cc := range []string{"gcc", "clang-14"} {
		for change, want := range map[string][]string{
			"main(void) { some()|main(void) { step(3); some()":        {"x.o: main: " + once + then},
			"for (;;) step(1)|for (;;) step(2)":                       {"x.o: serve: " + loop + then},
			"begin(void) { step(1)|begin(void) { step(2)":             {"x.o: begin: the patch relies on --start-code-ok, that it is put into the file with lpctl boot bake", "x.o: begin: " + once + then},
			"while (n < 100)|while (n < 101)":                         nil,
			"{ n += by; }|{ n -= by; }":                               nil,
			"n < 100) step(1); }|n < 99) step(1); } /* */ int z;":     nil,
			"int main(void) { some|int main(void) { puts(\"\"); some": {"x.o: main: " + once + then},
		} {
			from, to, _ := strings.Cut(change, "|")
			dir := t.TempDir()
			for side, text := range map[string]string{"old": source, "new": strings.Replace(source, from, to, 1)} {
				if err := os.Mkdir(dir+"/"+side, 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, dir+"/"+side+"/x.c", []byte(text))
				cmd := exec.Command(cc, "-g", "-O2", "-fPIE", "-ffunction-sections", "-fdata-sections", "-c", "x.c", "-o", "x.o")
				cmd.Dir = dir + "/" + side
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			if out, err := exec.Command(cc, "-pie", "-o", dir+"/x", dir+"/old/x.o").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			res, err := FromObjects(Options{Target: dir + "/x", Old: []string{dir + "/old"}, New: []string{dir + "/new"}, Allowed: Allowed{StartCodeOK: true}, Name: "fix", Tool: "test"})
			if err != nil {
				t.Fatalf("%s: %v", change, err)
			}
			if diff := cmp.Diff(want, res.Warnings); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", cc, change, diff)
			}
		}
	}
}
