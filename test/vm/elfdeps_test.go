// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compile builds one C file in dir with the given further arguments.
func compile(t *testing.T, dir, source string, args ...string) {
	t.Helper()
	path := filepath.Join(dir, "source.c")
	writeFile(t, path, source)
	cmd := exec.Command("gcc", append([]string{path, "-L" + dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func bases(paths []string) []string {
	var names []string
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestElfDeps(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, "lib")
	if err := os.Mkdir(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	// prog needs libouter by its own $ORIGIN path, which needs libinner without having a path.
	compile(t, dir, "int inner(void) { return 1; }", "-shared", "-fPIC", "-Wl,-soname,libinner.so", "-o", lib+"/libinner.so")
	compile(t, dir, "int inner(void); int outer(void) { return inner(); }", "-shared", "-fPIC", "-L"+lib, "-linner", "-o", lib+"/libouter.so")
	compile(t, dir, "int outer(void); int main(void) { return outer(); }", "-L"+lib, "-louter", "-linner",
		"-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib", "-o", dir+"/prog")
	compile(t, dir, "int main(void) { return 0; }", "-static", "-o", dir+"/static")

	prog, err := os.ReadFile(dir + "/prog")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/truncated", string(prog[:100]))
	writeFile(t, dir+"/damaged", string(prog[:len(prog)/2]))
	writeFile(t, dir+"/text", "#!/bin/sh\n")
	writeFile(t, dir+"/empty", "")

	for name, want := range map[string]string{
		"prog":      "ld-linux-x86-64.so.2 libc.so.6 libgcc_s.so.1 libinner.so libouter.so",
		"static":    "",
		"truncated": "",
		"damaged":   "",
		"text":      "",
		"empty":     "",
	} {
		got, err := libraries(File{Host: filepath.Join(dir, name)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if names := strings.Join(bases(got), " "); names != want {
			t.Errorf("%s: got %q, want %q", name, names, want)
		}
	}
}

func TestElfDepsMissing(t *testing.T) {
	dir := t.TempDir()
	compile(t, dir, "int f(void) { return 1; }", "-shared", "-fPIC", "-Wl,-soname,libnowhere.so", "-o", dir+"/libnowhere.so")
	compile(t, dir, "int f(void); int main(void) { return f(); }", "-lnowhere", "-o", dir+"/prog")
	_, err := libraries(File{Host: dir + "/prog"})
	want := dir + "/prog needs libnowhere.so, which is neither on this machine nor among the files for the guest"
	if err != nil && err.Error() == want {
		return
	}
	t.Errorf("got error %v, want %q", err, want)
}

// TestElfDepsGiven runs programs for the guest whose libraries the user gives, too: they are in the guest where the program
// looks, and nowhere on the host.
func TestElfDepsGiven(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"lib", "origin", "origin/lib"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const inner, outer, main = "int inner(void) { return 1; }", "int inner(void); int outer(void) { return inner(); }",
		"int outer(void); int main(void) { return outer(); }"
	compile(t, dir, inner, "-shared", "-fPIC", "-Wl,-soname,libinner.so", "-o", dir+"/lib/libinner.so")
	compile(t, dir, outer, "-shared", "-fPIC", "-L"+dir+"/lib", "-linner", "-o", dir+"/lib/libouter.so")
	link := []string{"-L" + dir + "/lib", "-louter", "-linner"}
	compile(t, dir, main, append(link, "-Wl,-rpath,/opt/nowhere:/opt/lib", "-o", dir+"/absolute")...)
	compile(t, dir, main, append(link, "-Wl,-rpath,$ORIGIN/../lib", "-o", dir+"/origin/app")...)
	compile(t, dir, main, append(link, "-o", dir+"/plain")...)
	lib := []File{{dir + "/lib/libouter.so", "/opt/lib/libouter.so"}, {dir + "/lib/libinner.so", "/opt/lib/libinner.so"}}

	for name, files := range map[string][]File{
		"the directory in the guest":           append([]File{{dir + "/absolute", "/opt/app"}}, lib...),
		"beside the program in the guest":      append([]File{{dir + "/absolute", "/opt/bin/app"}}, lib...),
		"a directory of them":                  {{dir + "/absolute", "/opt/app"}, {dir + "/lib", "/opt/lib"}},
		"one that the script will say":         append([]File{{dir + "/plain", "/opt/app"}}, lib...),
		"beside the program, from beside here": {{dir + "/origin/app", "/opt/bin/app"}},
	} {
		got, err := libraries(files...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"/opt/lib/libouter.so", "/opt/lib/libinner.so", "/usr/lib/x86_64-linux-gnu/libc.so.6"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s in %q", name, want, got)
			}
		}
		if slices.ContainsFunc(got, func(path string) bool { return strings.HasPrefix(path, dir) }) {
			t.Errorf("%s: there are paths of the host's in %q", name, got)
		}
	}
}

// libraries lists what is in a guest with these files besides them.
func libraries(files ...File) ([]string, error) {
	t := newTree()
	given := map[string]bool{}
	for _, f := range files {
		if err := addUserFile(t, f, "/work"); err != nil {
			return nil, err
		}
		if f.Guest == "" {
			given[f.Host] = true
		}
	}
	if err := t.addLibraries(); err != nil {
		return nil, err
	}
	var list []string
	for path, n := range t {
		if n.host != "" && !given[path] {
			list = append(list, path)
		}
	}
	return list, nil
}
