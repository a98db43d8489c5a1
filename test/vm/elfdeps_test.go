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
		got, err := elfDeps(filepath.Join(dir, name))
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
	_, err := elfDeps(dir + "/prog")
	if want := dir + "/prog needs libnowhere.so, which is not on this machine"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
}
