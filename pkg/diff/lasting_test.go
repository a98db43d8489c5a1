// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"fmt"
	"strings"
	"testing"
)

func TestHasEndlessLoop(t *testing.T) {
	const head = `#include <stdlib.h>
#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
int step(void); int more(void); void work(int); void die(void) __attribute__((noreturn)); extern jmp_buf env; extern int (*hook)(void);
extern volatile int sink; enum { A, B, C, D, E, F };
`
	tests := []struct {
		name, body string
		want       bool
	}{
		{"straight", "void f(void) { step(); }", false},
		{"loop that ends", "void f(void) { while (more()) step(); }", false},
		{"endless", "void f(void) { for (;;) step(); }", true},
		{"endless, nothing called", "void f(void) { for (;;) sink++; }", true},
		{"endless with break", "void f(void) { for (;;) { step(); if (more()) break; } work(1); }", false},
		{"endless with return deep inside", "int f(void) { for (;;) { step(); for (int i = 0; i < 9; i++) if (more()) return i; } }", false},
		{"endless after a way out", "int f(void) { if (!more()) return 1; for (;;) step(); }", true},
		{"two, one endless", "void f(int x) { if (x) { while (more()) step(); return; } for (;;) work(x); }", true},
		{"nested", "void f(void) { for (;;) while (more()) step(); }", true},
		{"exit", "void f(void) { for (;;) { step(); if (more()) exit(1); } }", false},
		{"abort", "void f(void) { for (;;) { step(); if (more()) abort(); } }", false},
		{"assert", "void f(void) { for (;;) { step(); assert(more()); } }", false},
		{"pthread_exit", "void f(void) { for (;;) { step(); if (more()) pthread_exit(0); } }", false},
		{"longjmp", "void f(void) { for (;;) { step(); if (more()) longjmp(env, 1); } }", false},
		{"of the program, does not return", "void f(void) { for (;;) { step(); if (more()) die(); } }", false},
		{"ends with a call that does not return", "void f(void) { step(); die(); }", false},
		{"tail call", "int f(void) { step(); return more(); }", false},
		{"tail call through a pointer", "int f(void) { step(); return hook(); }", false},
		{"switch", `void f(void) { for (;;) switch (more()) { case A: work(3); break; case B: work(5); step(); break; case C: step(); break;
			case D: work(7); work(8); break; case E: work(9); step(); work(1); break; case F: step(); step(); break; } }`, true},
		{"switch with a way out", `int f(void) { for (;;) switch (more()) { case A: work(3); break; case B: work(5); step(); break; case C: step(); break;
			case D: work(7); work(8); break; case E: work(9); step(); work(1); break; case F: return 1; } }`, false},
		{"computed goto", `void f(const unsigned char *p) { static void *const to[] = { &&a, &&b, &&c }; goto *to[*p++];
			a: work(1); goto *to[*p++]; b: work(2); goto *to[*p++]; c: step(); goto *to[*p++]; }`, true},
		{"cold way out", "void f(void) { for (;;) { step(); if (__builtin_expect(more(), 0)) { work(1); work(2); exit(3); } } }", false},
		{"cold and back", "void f(void) { for (;;) { step(); if (__builtin_expect(more(), 0)) { work(1); work(2); } } }", true},
	}
	source := head
	for i, c := range tests {
		source += strings.Replace(c.body, " f(", fmt.Sprintf(" f%d(", i), 1) + "\n"
	}
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, opt := range []string{"-O1", "-O2", "-Os"} {
			o := compile(t, cc, source, opt)
			for i, c := range tests {
				if got := o.HasEndlessLoop(o.Lookup(fmt.Sprint("f", i))); got != c.want {
					t.Errorf("%s %s, %s: an endless loop: %v, want %v", cc, opt, c.name, got, c.want)
				}
			}
		}
	}
}

func TestRunsOnce(t *testing.T) {
	for _, cc := range []string{"gcc", "clang-14"} {
		o := compile(t, cc, `int main(void) { return 0; } __attribute__((constructor)) static void begin(void) { __asm__(""); }
			__attribute__((destructor)) static void end(void) { __asm__(""); } int f(void) { return 1; }`)
		for name, want := range map[string]bool{"main": true, "begin": true, "end": false, "f": false} {
			if got := o.RunsOnce(o.Lookup(name)); got != want {
				t.Errorf("%s: %s runs once: %v, want %v", cc, name, got, want)
			}
		}
	}
}
