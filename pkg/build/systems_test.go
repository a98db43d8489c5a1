// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/progress"
	"lpatch/pkg/testutil/filetest"
)

// tinyTree is a small source tree with a build command.
type tinyTree struct {
	tools   []string // required tools
	files   map[string]string
	prepare []string // executed once in the source tree before all builds
	command []string
	env     []string // VARIABLE=VALUE
	target  string   // file to patch
	fixed   string   // file that the fix changes; work() in it gets another body
	again   bool     // repeat everything; the output must not depend on the content of ccache
}

const (
	workSource = "#include <stdio.h>\n#include \"work.h\"\nstatic int state = 4;\nint work(int x)\n{\n\tstate += x;\n\tprintf(\"%s %d\\n\", NAME, state);\n\treturn state;\n}\n"
	mainSource = "#include \"work.h\"\nint main(int argc, char **argv)\n{\n\t(void)argv;\n\treturn work(argc);\n}\n"
	workHeader = "#define NAME \"project\"\nint work(int x);\n"
)

// sources returns the files of most projects, with additional or replaced ones.
func sources(more map[string]string) map[string]string {
	files := map[string]string{"work.c": workSource, "main.c": mainSource, "work.h": workHeader}
	maps.Copy(files, more)
	return files
}

const plainMakefile = "CFLAGS = -O2 -g\nprog: main.o work.o\n\t$(CC) -o $@ $^\nmain.o work.o: work.h\n"

// systems lists common build systems. Each has to yield a patch of one function.
var systems = map[string]tinyTree{
	"make gcc":   {files: sources(map[string]string{"Makefile": plainMakefile}), command: []string{"make", "CC=gcc"}, target: "prog"},
	"make clang": {tools: []string{"clang-14"}, files: sources(map[string]string{"Makefile": plainMakefile}), command: []string{"make", "CC=clang-14"}, target: "prog"},
	"make archive": {
		files:   sources(map[string]string{"Makefile": "CFLAGS = -O2 -g\nprog: main.o libwork.a\n\t$(CC) -o $@ $^\nlibwork.a: work.o\n\t$(AR) rcD $@ $^\n"}),
		command: []string{"make"}, target: "prog",
	},
	"make generated": {
		files: map[string]string{
			"work.c.in": workSource, "main.c": mainSource, "work.h": workHeader,
			"Makefile": "CFLAGS = -O2 -g\nprog: main.o work.o\n\t$(CC) -o $@ $^\nwork.c: work.c.in\n\tsed s/project/generated/ $< >$@\n",
		},
		command: []string{"make"}, target: "prog", fixed: "work.c.in",
	},
	// a tree that has been built, with objects that are not recognized by name
	"make clean": {
		files:   sources(map[string]string{"Makefile": "CFLAGS = -O2 -g\nprog: main.obj work.obj\n\t$(CC) -o $@ $^\n%.obj: %.c\n\t$(CC) $(CFLAGS) -c -o $@ $<\nclean:\n\trm -f prog *.obj\n"}),
		prepare: []string{"make"},
		command: []string{"sh", "-ec", "make clean; make"}, target: "prog",
	},
	"make out of tree": {
		files:   sources(map[string]string{"Makefile": "CFLAGS = -O2 -g\nVPATH = ..\nprog: main.o work.o\n\t$(CC) -o $@ $^\n"}),
		command: []string{"sh", "-c", "mkdir -p b && make -C b -f ../Makefile"}, target: "b/prog",
	},
	"ccache by name": {
		tools: []string{"ccache"}, files: sources(map[string]string{"Makefile": plainMakefile}), command: []string{"make", "CC=ccache gcc"}, target: "prog", again: true,
	},
	"ccache by links": {
		tools: []string{"/usr/lib/ccache/gcc"}, files: sources(map[string]string{"Makefile": plainMakefile}), command: []string{"make", "CC=gcc"},
		env: []string{"PATH=/usr/lib/ccache:" + os.Getenv("PATH")}, target: "prog",
	},
	"cmake": {
		tools: []string{"cmake", "ccache"},
		files: sources(map[string]string{"CMakeLists.txt": `cmake_minimum_required(VERSION 3.13)
project(tiny C)
set(CMAKE_BUILD_TYPE RelWithDebInfo)
add_library(work STATIC work.c)
add_executable(prog main.c)
target_link_libraries(prog work)
`}),
		command: []string{"sh", "-ec", "cmake -S . -B b -DCMAKE_C_COMPILER_LAUNCHER=ccache; cmake --build b"}, target: "b/prog",
	},
	"meson": {
		tools: []string{"meson", "ninja"},
		files: sources(map[string]string{"meson.build": `project('tiny', 'c', default_options: ['buildtype=debugoptimized'])
lib = shared_library('work', 'work.c')
executable('prog', 'main.c', link_with: lib)
`}),
		command: []string{"sh", "-ec", "meson setup b; ninja -C b"}, target: "b/libwork.so",
	},
	// libtool compiles each source twice, for the shared and for the static library
	"autotools": {
		tools: []string{"autoreconf", "libtoolize", "automake"},
		files: sources(map[string]string{
			"configure.ac": "AC_INIT([tiny], [1])\nAM_INIT_AUTOMAKE([foreign subdir-objects])\nAC_PROG_CC\nAM_PROG_AR\nLT_INIT\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
			"Makefile.am":  "lib_LTLIBRARIES = libwork.la\nlibwork_la_SOURCES = work.c work.h\nbin_PROGRAMS = prog\nprog_SOURCES = main.c\nprog_LDADD = libwork.la\n",
		}),
		prepare: []string{"autoreconf", "-fi"},
		command: []string{"sh", "-ec", "[ -f Makefile ] || ./configure -q; make"}, target: ".libs/libwork.so.0.0.0",
	},
	"dpkg-buildpackage": {
		tools: []string{"dpkg-buildpackage"},
		files: sources(map[string]string{
			"Makefile":             plainMakefile,
			"debian/changelog":     "tiny (1) unstable; urgency=low\n\n  * Begun.\n\n -- A Person <a@example.org>  Wed, 25 Nov 2026 12:00:00 +0000\n",
			"debian/control":       "Source: tiny\nMaintainer: A Person <a@example.org>\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\nPackage: tiny\nArchitecture: any\nDescription: tiny\n",
			"debian/source/format": "3.0 (native)\n",
			"debian/rules":         "#!/usr/bin/make -f\nbuild-arch build-indep build:\n\t$(MAKE) CFLAGS='$(shell dpkg-buildflags --get CFLAGS)'\nclean binary-arch binary:\n",
		}),
		command: []string{"dpkg-buildpackage", "-B", "-d", "-uc", "-us", "-nc", "--rules-target=build-arch"}, target: "prog",
	},
}

// TestSystems builds a patch with each build system.
func TestSystems(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(systems)) {
		t.Run(name, func(t *testing.T) {
			p := systems[name]
			for _, tool := range p.tools {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("note: %s is not tried: %v (make deps installs it)", name, err)
				}
			}
			for _, v := range p.env {
				key, value, _ := strings.Cut(v, "=")
				t.Setenv(key, value)
			}
			rememberConfigure(t)
			// a common setting for builds in several directories
			t.Setenv("CCACHE_DIR", t.TempDir())
			t.Setenv("CCACHE_NOHASHDIR", "1")
			dir := p.unpack(t)
			var said bytes.Buffer
			o := SourceOptions{
				Target: p.stock(t, dir), Source: dir, Patch: p.fix(t, dir), Command: p.command, Name: "fix", Tool: "test",
				Progress: progress.Reporter{To: &said},
			}
			res, err := FromSource(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if p.again {
				o.Progress = progress.Reporter{}
				again, err := FromSource(context.Background(), o)
				if err != nil || !bytes.Equal(again.Data, res.Data) {
					t.Errorf("doing it again gives another file (%v)", err)
				}
			}
			if f := res.Spec.Functions; len(f) != 1 || f[0].Symbol != "work" {
				t.Errorf("functions %+v, want work alone", f)
			}
			made := regexp.MustCompile(`(?m)^  \d+ objects$`).FindAllString(said.String(), -1)
			if len(made) != 2 || made[0] != made[1] {
				t.Errorf("the builds say that they made %q, want the same number of both", made)
			}
		})
	}
}

// rememberConfigure makes configure scripts cache their results across builds.
func rememberConfigure(t *testing.T) {
	t.Helper()
	site := filepath.Join(t.TempDir(), "config.site")
	write(t, site, []byte("cache_file="+site+".cache\n"))
	t.Setenv("CONFIG_SITE", site)
}

// unpack writes the source tree.
func (p *tinyTree) unpack(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	filetest.Tree(t, dir, p.files)
	if rules := filepath.Join(dir, "debian/rules"); p.files["debian/rules"] != "" {
		if err := os.Chmod(rules, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.prepare) > 0 {
		runIn(t, dir, p.prepare)
	}
	return dir
}

// stock builds the tree like a distribution, in a copy, and returns the file to patch.
func (p *tinyTree) stock(t *testing.T, dir string) string {
	t.Helper()
	stock := filepath.Join(filepath.Dir(dir), "stock")
	runIn(t, filepath.Dir(dir), []string{"cp", "-a", dir, stock})
	runIn(t, stock, p.command)
	return filepath.Join(stock, p.target)
}

// fix creates a patch for the file with work().
func (p *tinyTree) fix(t *testing.T, dir string) string {
	t.Helper()
	name := cmp.Or(p.fixed, "work.c")
	file := filepath.Join(filepath.Dir(dir), "fix.patch")
	write(t, file, []byte("--- a/"+name+"\n+++ b/"+name+"\n@@ -4,5 +4,7 @@\n int work(int x)\n {\n+\tif (x > 100)\n+\t\treturn -1;\n \tstate += x;\n \tprintf(\"%s %d\\n\", NAME, state);\n \treturn state;\n"))
	return file
}

func runIn(t *testing.T, dir string, command []string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}
