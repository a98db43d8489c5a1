// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lpatch/pkg/lpelf"
)

const source = `
typedef unsigned long word;
enum kind { OLD, NEW = 5 };
struct point { const int x; word y : 3; struct point *next; };
struct point origin;
static enum kind kinds[2][3];
int use(struct point *p) { static long calls; calls++; kinds[1][p->x] = NEW; return p->x + kinds[0][p->x] + (int)calls; }
`

func compile(t *testing.T, cc, text string, flags ...string) *lpelf.File {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed", cc)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.c"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cc, append(append([]string{"-O1"}, flags...), "-c", "x.c", "-o", "x.o")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	f, err := lpelf.Open(filepath.Join(dir, "x.o"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRead reads all variants of debug information that compilers generate, and checks that unsupported ones are reported to
// lack types.
func TestRead(t *testing.T) {
	const none, elsewhere, lines = "it has no debug information", "its debug information is in another file (-gsplit-dwarf)", "its debug information is about lines only (-g1)"
	for _, tt := range []struct {
		cc, flags, lacks string
	}{
		{"gcc", "-g", ""}, {"gcc", "-g3 -gdwarf-4", ""}, {"gcc", "-g -gdwarf64", ""}, {"gcc", "-g -gz=zlib", ""}, {"gcc", "-g -ffunction-sections -fdata-sections", ""},
		{"clang-14", "-g", ""}, {"clang-14", "-g -gdwarf-4", ""}, {"clang-14", "-g -gdwarf64 -gdwarf-4", ""}, {"clang-14", "-g -gz=zlib", ""},
		{"gcc", "", none}, {"clang-14", "", none}, {"gcc", "-g1", lines}, {"gcc", "-ggdb1", lines}, {"clang-14", "-g1", lines}, {"clang-14", "-gline-tables-only", lines},
		{"gcc", "-g -gsplit-dwarf", elsewhere}, {"clang-14", "-g -gsplit-dwarf", elsewhere}, {"gcc", "-g -gdwarf-4 -gsplit-dwarf", elsewhere},
		{"gcc", "-g -fdebug-types-section", none + " that is read: types are in units of their own (-fdebug-types-section)"},
	} {
		t.Run(tt.cc+" "+tt.flags, func(t *testing.T) {
			f := compile(t, tt.cc, source, strings.Fields(tt.flags)...)
			info, err := Read(f)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = info.Lacks()
			}
			if got != tt.lacks {
				t.Fatalf("it lacks %q, want %q", got, tt.lacks)
			}
			if got == "" {
				checkTypes(t, f, info)
			}
		})
	}
}

func checkTypes(t *testing.T, f *lpelf.File, info *Info) {
	t.Helper()
	want := map[string]string{
		"origin": "struct point",
		"kinds":  "enum kind[2][3]",
		"calls":  "base 5/8",
	}
	got := map[string]string{}
	for _, s := range f.Symbols {
		name, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "use."), ".")
		if want[name] == "" {
			continue
		}
		if v := info.Variable(int(s.Section), s.Value, name); v != nil {
			got[name] = v.Type().Shape()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types of variables (-want +got):\n%s", diff)
	}
	var content string
	info.Walk(func(e *Entry) {
		if e.IsStruct() && e.Name() == "point" {
			content = e.Content()
		}
	})
	const point = "struct 16 0{x@0.0:0/0/0 base 5/4;y@"
	if !strings.HasPrefix(content, point) || !strings.Contains(content, "base 7/8;") || !strings.HasSuffix(content, "next@8.0:0/0/0 pointer to struct point;}") {
		t.Errorf("struct point is %s", content)
	}
	if e := info.Stored()["kind"]; e == nil || cmp.Diff(map[string]string{"OLD": "0", "NEW": "5"}, e.Enumerators()) != "" {
		t.Errorf("enumerations that are stored: %v", info.Stored())
	}
}

// TestShape checks that types differ if, and only if, they differ in properties that code depends on.
func TestShape(t *testing.T) {
	shape := func(lang, decl string) string {
		info, err := Read(compile(t, "gcc", decl, "-g", "-x", lang))
		if err != nil {
			t.Fatal(err)
		}
		e := info.Externals()["v"]
		if e == nil {
			t.Fatalf("%s: no v", decl)
		}
		return e.Type().Shape()
	}
	for _, tt := range []struct {
		lang, a, b string
		same       bool
	}{
		{"c", "int v;", "typedef int t; const volatile t v = 1;", true},
		{"c", "int v;", "float v;", false},
		{"c", "int v;", "unsigned v;", false},
		{"c", "int v[2][3];", "int v[3][2];", false},
		{"c", "int v[6];", "int v[2][3];", false},
		{"c", "struct { int a; } v;", "struct { int b; } v;", false},
		{"c", "struct { int a; } v;", "typedef struct { int a; } t; t v;", true},
		{"c", "int (*v)(int);", "int (*v)(long);", false},
		{"c", "int (*v)(int);", "int (*v)(int, ...);", false},
		{"c", "int *v;", "int **v;", false},
		{"c", "struct s { int a; }; struct s *v;", "struct s { long a; }; struct s *v;", true}, // compared where the type is defined
		{"c", "struct s { int a; }; struct s v;", "struct t { int a; }; struct t v;", false},
		{"c", "typedef int t __attribute__((vector_size(16))); t v;", "int v[4];", false},
		{"c++", "struct S { int a; }; int S::*v;", "struct T { int a; }; int T::*v;", false},
		{"c++", "namespace A { struct S { int a; }; } A::S v;", "namespace B { struct S { int a; }; } B::S v;", false},
		{"c++", "class S { int a; }; S v;", "struct S { int a; }; S v;", true},
	} {
		if a, b := shape(tt.lang, tt.a), shape(tt.lang, tt.b); (a == b) != tt.same {
			t.Errorf("%q is %s, %q is %s", tt.a, a, tt.b, b)
		}
	}
}

// TestFunction looks up functions, including one that the compiler has split.
func TestFunction(t *testing.T) {
	const divided = "void bad(const char *) __attribute__((cold)); int use(int x) { if (x == 77) { bad(\"x\"); bad(\"y\"); return -1; } return x; }\n"
	f := compile(t, "gcc", divided, "-g", "-O2", "-freorder-blocks-and-partition", "-ffunction-sections")
	info, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"use", "use.cold"} {
		for _, s := range f.Symbols {
			if s.Name != name {
				continue
			}
			if e := info.Function(int(s.Section), s.Value); e == nil || e.Name() != "use" {
				t.Errorf("at %s there is %v, want use", name, e)
			}
		}
	}
}
