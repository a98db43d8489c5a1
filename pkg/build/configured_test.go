// SPDX-License-Identifier: GPL-2.0

package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// configuredTree creates a project that is configured and built in its source tree, with a fix and its target.
func configuredTree(t *testing.T, files map[string]string, configure, target string) SourceOptions {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, text := range sources(files) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), []byte(text))
	}
	cmd := exec.Command("sh", "-ec", configure)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", configure, err, out)
	}
	patchFile := filepath.Join(filepath.Dir(dir), "fix.patch")
	write(t, patchFile, []byte("--- a/work.c\n+++ b/work.c\n@@ -4,5 +4,5 @@\n int work(int x)\n {\n-\tstate += x;\n+\tstate += 2 * x;\n \tprintf(\"%s %d\\n\", NAME, state);\n \treturn state;\n"))
	return SourceOptions{Target: filepath.Join(dir, target), Source: dir, Patch: patchFile, Name: "fix", Tool: "test"}
}

// TestConfigured checks that a tree configured by cmake, meson or configure does not redirect a build to the original.
func TestConfigured(t *testing.T) {
	filetest.Slow(t)
	t.Setenv("TMPDIR", t.TempDir()) // logs of failed builds are kept
	for name, tt := range map[string]struct {
		tool, configure, target, build, says, again, hint string
		files                                             map[string]string
	}{
		"cmake": {"cmake", "cmake -B build && cmake --build build", "build/prog", "cmake --build build", "Error: could not load cache", "cmake -B build && cmake --build build",
			"cmake -B b && cmake --build b", map[string]string{"CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(tiny C)\nset(CMAKE_BUILD_TYPE RelWithDebInfo)\nadd_executable(prog main.c work.c)\n"}},
		"cmake in the source": {"cmake", "cmake . && make", "prog", "make", "No targets specified and no makefile found", "cmake . && make",
			"cmake -B b && cmake --build b", map[string]string{"CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(tiny C)\nset(CMAKE_BUILD_TYPE RelWithDebInfo)\nadd_executable(prog main.c work.c)\n"}},
		"meson": {"meson", "meson setup build && ninja -C build", "build/prog", "ninja -C build", "loading 'build.ninja': No such file", "meson setup build && ninja -C build",
			"meson setup b && ninja -C b", map[string]string{"meson.build": "project('tiny', 'c', default_options: ['buildtype=debugoptimized'])\nexecutable('prog', 'main.c', 'work.c')\n"}},
		"configure": {"autoconf", "autoconf && mkdir build && cd build && $PWD/../configure -q && make", "build/prog", "make -C build", "no makefile found", "mkdir -p build && cd build && ../configure -q && make",
			"./configure && make", map[string]string{
				"configure.ac": "AC_INIT([tiny], [1])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
				"Makefile.in":  "srcdir = @abs_srcdir@\nVPATH = @abs_srcdir@\nCC = @CC@\nCFLAGS = @CFLAGS@ -I@abs_srcdir@\nprog: main.o work.o\n\t$(CC) -o $@ $^\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.tool); err != nil {
				t.Skipf("%s is not installed", tt.tool)
			}
			rememberConfigure(t)
			o := configuredTree(t, tt.files, tt.configure, tt.target)
			before := listing(t, o.Source)
			o.Command = []string{"sh", "-c", tt.build}
			_, err := FromSource(context.Background(), o)
			dir := filepath.Join(o.Source, strings.TrimSuffix(filepath.Dir(tt.target), "."))
			sentence := "\n" + dir + " is configured to build in that tree, so the copy is not configured; let the build command do that: -- sh -c '" + tt.hint + "'"
			if err == nil || !strings.Contains(err.Error(), sentence) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v\nwant one that says %s and %s", err, tt.says, sentence)
			}
			o.Command = []string{"sh", "-ec", tt.again}
			if got := short(FromSource(context.Background(), o)); got != "work" {
				t.Errorf("with a build command that configures: %s", got)
			}
			if after := listing(t, o.Source); after != before {
				t.Errorf("the source tree was written to:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestOriginalTouched checks that a build that writes to the original tree is rejected.
func TestOriginalTouched(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := configuredTree(t, map[string]string{"Makefile": plainMakefile}, "make", "prog")
	for command, want := range map[string]string{
		"make && touch " + o.Source + "/a.o " + o.Source + "/b.o":                  "a.o and 1 other file changed in ",
		"touch " + o.Source + "/main.c":                                            "main.c changed in ",
		"rm " + o.Source + "/main.o; make":                                         "main.o changed in ",
		"make && cp prog " + o.Source + "/made":                                    "made changed in ",
		"make && mkdir -p " + o.Source + "/b && touch " + o.Source + "/b/Makefile": "b/Makefile changed in ",
	} {
		o.Command = []string{"sh", "-c", command}
		want += o.Source + " while a copy of it was built: the build command, or what it calls, names that tree by its path; have it build where it is started"
		if _, err := FromSource(context.Background(), o); err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("%s:\n got %v\nwant %s", command, err, want)
		}
	}
}

// TestOriginalInUse checks that a program that runs in the tree and writes files is not mistaken for a build.
func TestOriginalInUse(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o := configuredTree(t, map[string]string{"Makefile": plainMakefile, "gone": ""}, "make", "prog")
	core := "printf '\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\4\\0' >" + o.Source + "/core"
	o.Command = []string{"sh", "-c", "echo more >>" + o.Source + "/log; rm -f " + o.Source + "/gone; " + core + "; make"}
	if _, err := FromSource(context.Background(), o); err != nil {
		t.Error(err)
	}
}

// TestOtherLanguages checks the error if no supported compiler was called.
func TestOtherLanguages(t *testing.T) {
	tools := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	for _, name := range []string{"go", "cargo", "mvn"} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\necho Compiling tiny\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const usual = "it must call gcc, clang or rustc, itself and not by a server that runs already, and must not be up to date already"
	o := configuredTree(t, map[string]string{"Makefile": plainMakefile}, "make", "prog")
	not := func(language string) string {
		return "programs in " + language + " cannot be patched; lpctl build takes C, C++ and Rust that gcc, clang or rustc compile"
	}
	for _, tt := range []struct {
		command []string
		want    string
	}{
		{[]string{"go", "build"}, "go build made no object: " + not("Go")},
		{[]string{"cargo", "build", "--release"}, "cargo build --release made no object: " + usual},
		{[]string{"sh", "-c", "cd . && mvn package"}, "sh -c cd . && mvn package made no object: " + not("Java")},
		{[]string{"echo", "Compiling", "go"}, "echo Compiling go made no object: " + usual},
	} {
		o.Command = tt.command
		_, err := FromSource(context.Background(), o)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want+"\n    Compiling ") {
			t.Errorf("%v:\n got %v\nwant %s, and what the command printed", tt.command, err, tt.want)
		}
	}
}
