// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestStatics checks the pairing of static variables, and the texts of refusals.
func TestStatics(t *testing.T) {
	filetest.Slow(t)
	const two = "long f(int k) { if (k == 1) { static long n; return n += 1; } if (k == 2) { static long n; return n += 2; } return 0; }"
	tests := []struct{ name, old, new, want string }{
		{"block in front", "long f(int k) {\n\tstatic long n;\n\treturn n += k; }", "long f(int k) { if (k) { static long n; n++; return n; }\n\t{ static long n; return n += 3; } }",
			"x.o: n: 1 old and 2 new static variables of this name in f cannot be matched to each other; give the new ones names of their own [static-ambiguous]"},
		{"blocks alike", two, "int g(void) { static long n; return ++n; } " + two, ""},
		{"other function", "int f(void) { static int n; return ++n; } int g(void) { return 1; }", "int f(void) { return 1; } int g(void) { static int n; return n += 2; }",
			"x.o: n: f had a static variable of this name and type, and g has one now; whether it is the same is not known: give a new one another name, or leave the old one where it was [static-ambiguous]"},
		{"renamed", "int f(void) { static int n; return ++n; }", "int f(void) { static int m; return m += 2; }",
			"x.o: m: f had the static variable n of this type, and has this one instead; whether it is the same is not known: keep the name, or, if this is another one, keep the declaration of n too, with __attribute__((used)) [static-ambiguous]"},
		{"read only now", "int f(int k) { static int n; if (!n) { n = k; } return n; }", "int f(int k) { static int n; if (!n) { k++; } return n + k; }",
			"x.o: n: the new code in f only reads or only writes this variable, so that the compiler has removed it, and what it reads would not be what the program has written; remove the declaration if nothing reads it, or give it __attribute__((used)) [static-removed]"},
		{"read only now, beside another one", "int f(int k) { static int n; n += k; k += n; { static int n = 70; n += k; k ^= n; } return k; }", "int f(int k) { static int n; n += k; k += n; { static int n = 70; k ^= n; } return k; }",
			"x.o: n: 2 old and 2 new static variables of this name in f cannot be matched to each other; give the new ones names of their own [static-ambiguous]\n" +
				"x.o: n: the new code in f only reads or only writes this variable, so that the compiler has removed it, and what it reads would not be what the program has written; remove the declaration if nothing reads it, or give it __attribute__((used)) [static-removed]"},
		{"written only before", "int f(int k) { static int n; n = k; return k; }", "int f(int k) { static int n; int was = n; n = k; return k + was; }",
			"x.o: n: the old code in f does not read this variable, so that the compiler has removed it, and what the program would have written into it, which the new code reads, is lost; give the new one another name [static-removed]"},
		{"no longer there", "int f(int k) { static int n; if (!n) { n = k; } return n; }", "int f(int k) { return k; }", ""},
		{"on the stack now", "int f(int k) { static int n; if (!n) { n = k; } return n; }", "int f(int k) { int n = 1;\n\treturn k + n; }", ""},
		// like CDATA_LSQB in expat: a file that is included once per encoding defines constants with equal names and contents
		{"constants alike", "int f(const char *p) { static const char c[] = {67, 68, 65}; for (int i = 0; i < 3; i++) if (p[i] != c[i]) return i; return 3; } int g(const short *p) { static const char c[] = {67, 68, 65}; for (int i = 0; i < 3; i++) if (p[i] != c[i]) return i; return 3; }",
			"int f(const char *p) { static const char c[] = {67, 68, 65}; for (int i = 0; i < 3; i++) if (p[i] != c[i]) return i + 1; return 3; } int g(const short *p) { static const char c[] = {67, 68, 65}; for (int i = 0; i < 3; i++) if (p[i] != c[i]) return i - 1; return 3; }", ""},
		{"other type", "int f(void) { static int n; return ++n; }", "int f(void) { static long m; return m += 2; }", ""},
	}
	for _, cc := range []string{"gcc", "clang-14"} {
		for _, tt := range tests {
			t.Run(cc+"/"+tt.name, func(t *testing.T) {
				got := ""
				if r := Compare(compile(t, cc, tt.old), compile(t, cc, tt.new), Options{}); len(r.Refusals) > 0 {
					got = r.Refusals.Error()
				}
				if got != tt.want {
					t.Errorf("%s\nwant %s", got, tt.want)
				}
			})
		}
	}
}
