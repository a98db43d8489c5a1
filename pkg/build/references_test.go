// SPDX-License-Identifier: GPL-2.0

package build

import (
	"strings"
	"testing"
)

// TestReferences checks that references of new code which cannot be resolved as in old code are refused.
func TestReferences(t *testing.T) {
	const main = "int f(int); int main(int c, char **v) { return f(c); }\n"
	const wrapped = "int __wrap_g(int x) { return x * 5 + 1; } int g(int x) { return x ^ 7; }\n"
	for _, tt := range []struct {
		old, new, more, want string
		link, flags          []string
	}{
		{old: "int f(int x) { return x * 3; }\n", new: "int g(int); int f(int x) { return g(x); }\n", more: wrapped, link: []string{"-pie", "-Wl,--wrap=g"},
			want: "f.o: g: no old code refers to this symbol, and in TARGET the linker redirects it to __wrap_g (--wrap); refer to the one that is meant by its own name [reference-ambiguous]"},
		{old: "int f(int x) { return x * 3; }\n", new: "int g(int); int f(int x) { return g(x) + 1; }\n", more: "int g(int x) { return x ^ 7; }\n", link: []string{"-shared"}, flags: []string{"-fPIC"},
			want: "f.o: g: TARGET exports this function and has no word that says which one counts, because its code does not call it, so a program that defines the function, too, would not be asked; " +
				"call what old code calls, or name the program with --lib [interposed-function]"},
		{old: "int f(int x) { return x * 3; }\n", new: "extern char __rela_iplt_start[]; int f(int x) { return __rela_iplt_start[x]; }\n", link: []string{"-pie"},
			want: "f.o: __rela_iplt_start: the linker defines this symbol only if an object refers to it; no old object does, so its address in TARGET is not known; do not use it [linker-symbol]"},
		{old: "int f(int x) { return x * 3; }\n", new: "static char a[9] __attribute__((aligned(8192))); int f(int x) { return a[x] += x; }\n", link: []string{"-pie"},
			want: "f.o: a: the new source aligns it to 8192 bytes, and a patch is aligned to pages of 4096; get it aligned at run time (aligned_alloc), or align it less [alignment-too-large]"},
		{old: "void *dlsym(void *, const char *); int f(int x) { return dlsym((void *)-1, \"g\") ? x * 3 : 1; }\n", new: "void *dlsym(void *, const char *); int f(int x) { return dlsym((void *)-1, \"g\") ? x * 4 : 1; }\n", link: []string{"-pie"},
			want: "f.o: f: the function calls dlsym with RTLD_NEXT, and the dynamic linker does not know whose code new code is; leave such calls in functions that do not change, or say --caller-ok f if that does not matter [caller-unknown]"},
		{old: "static void *p; int f(int x) { if (!p) { p = &&a; return x; } goto *p; a: p = &&b; return x * 3; b: return x; }\n",
			new: "static void *p; int f(int x) { if (!p) { p = &&a; return x; } goto *p; a: p = &&b; return x * 4; b: return x; }\n", link: []string{"-pie"},
			want: "f.o: f: the old function takes the address of one of its labels, and where the program has stored it the new code would jump into the old one; leave the function as it was, or change one that it calls [label-address]"},
	} {
		old := map[string]string{"main.c": main, "g.c": tt.more, "f.c": tt.old}
		p := newProjectLinked(t, old, map[string]string{"main.c": main, "g.c": tt.more, "f.c": tt.new}, tt.link, tt.flags...)
		_, err := p.build(p.target, "")
		if want := strings.ReplaceAll(tt.want, "TARGET", p.target); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
