// SPDX-License-Identifier: GPL-2.0

package build

import (
	"errors"
	"testing"
)

// TestRefusedByNames checks definitions that are added, removed or moved between objects, and code that has already run, with
// the texts of refusals.
func TestRefusedByNames(t *testing.T) {
	main := "int f(int); int main(int c, char **v) { return f(c); }"
	tests := []struct {
		name     string
		old, new map[string]string
		want     string
	}{
		{"defines what a library has",
			map[string]string{"m.c": main, "f.c": "int getppid(void); int f(int x) { return x + getppid(); }", "g.c": "int g(void) { return 1; }"},
			map[string]string{"m.c": main, "f.c": "int getppid(void); int f(int x) { return x + getppid(); }", "g.c": "int g(void) { return 1; } int getppid(void) { return 7; }"},
			"g.o: getppid: f.o refers to it and has it from a library, or not at all, and would take the new definition from now on, which code that does not change would not; give the new one a name of its own [definition-new]"},
		{"takes a static variable along",
			map[string]string{"m.c": main, "f.c": "static int n; int f(int x) { return x + n++; } int k(void) { return 2; }", "g.c": "int g(void) { return 1; }"},
			map[string]string{"m.c": main, "f.c": "int k(void) { return 2; }", "g.c": "int g(void) { return 1; } static int n; int f(int x) { return x + n++; }"},
			"g.o: f: the function came from f.o with its static variable n, whose value the program keeps there; leave it in its source file [function-moved]"},
		{"helper of a constructor",
			map[string]string{"m.c": main, "f.c": "int n; static __attribute__((noinline)) int h(void) { return *(volatile int *)&n + 2; } __attribute__((constructor)) static void start(void) { n = h(); } int f(int x) { return x + n; }"},
			map[string]string{"m.c": main, "f.c": "int n; static __attribute__((noinline)) int h(void) { return *(volatile int *)&n + 3; } __attribute__((constructor)) static void start(void) { n = h(); } int f(int x) { return x + n; }"},
			"f.o: h: " + startText + " [start-code-changed]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, tt.old, tt.new)
			_, err := p.build(p.target, "")
			var refusals Refusals
			if !errors.As(err, &refusals) || refusals.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
