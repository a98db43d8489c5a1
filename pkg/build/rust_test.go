// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
)

func TestCompilesRust(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{[]string{"--crate-name", "a", "src/lib.rs", "--crate-type", "lib", "--emit=dep-info,metadata,link"}, true},
		{[]string{"main.rs"}, true},
		{[]string{"--emit", "obj", "main.rs"}, true},
		{[]string{"--emit=dep-info,metadata", "src/lib.rs"}, false},
		{[]string{"-", "--crate-name", "___", "--print=file-names"}, false},
		{[]string{"-vV"}, false},
		{[]string{"main.rs", "--print", "cfg"}, false},
	} {
		if got := compilesRust(c.args); got != c.want {
			t.Errorf("%q: %v", c.args, got)
		}
	}
}

func TestRustLTO(t *testing.T) {
	for args, want := range map[string]bool{
		"-C lto a.rs": true, "-C lto=fat a.rs": true, "-Clto=thin": true, "--codegen lto a.rs": true,
		"-C lto=off a.rs": false, "-C lto=no": false, "-C linker-plugin-lto a.rs": false, "a.rs": false,
	} {
		if got := rustLTO().MatchString(args); got != want {
			t.Errorf("%s: %v", args, got)
		}
	}
}

func TestRustNames(t *testing.T) {
	for name, want := range map[string]string{
		"app-00bcb03fa7532acc": "app", "my-app": "my_app", "my_app-00bcb03fa7532acc": "my_app", "app-1.2": "app_1.2", "libutil.so": "libutil.so",
	} {
		if got := withoutCargo(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"/tmp/rustcGKMtkz/symbols.o": "/tmp/rustc/symbols.o", "-Wl,--version-script=/tmp/rustcGKMtkz/list": "-Wl,--version-script=/tmp/rustc/list",
		"/usr/lib/rustlib/x": "/usr/lib/rustlib/x", "target/deps/rustc5YwFE7/raw-dylibs": "target/deps/rustc/raw-dylibs", "rustc": "rustc",
	} {
		if got := withoutRustPassing(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	t.Setenv(shimEnv, t.TempDir())
	shim := filepath.Join(os.Getenv(shimEnv), "clang")
	if err := os.Symlink("/bin/true", shim); err != nil {
		t.Fatal(err)
	}
	args := []string{"-C", "linker=/usr/bin/clang", "-Clinker=/opt/ld", "main.rs"}
	if got := throughShim(args); !slices.Equal(got, []string{"-C", "linker=" + shim, "-Clinker=/opt/ld", "main.rs"}) {
		t.Errorf("%q", got)
	}
}

// TestRenameSymbols checks new names of various lengths, and that nothing else changes.
func TestRenameSymbols(t *testing.T) {
	dir := t.TempDir()
	source, object := filepath.Join(dir, "a.c"), filepath.Join(dir, "a.o")
	const text = `int a(void) __asm__("a.llvm.12345"); extern int b(void) __asm__("b.llvm.77"); int a(void) { return b() + 1; }`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-c", "-g", source, "-o", object).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	longer := map[string]string{"a.llvm.12345": "a.llvm.9999999999999999", "b.llvm.77": "b"}
	out, err := renameSymbols("a.o", data, func(name string) string {
		if to := longer[name]; to != "" {
			return to
		}
		return name
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := lpelf.Parse("a.o", out)
	if err != nil {
		t.Fatal(err)
	}
	for want, defined := range map[string]bool{"a.llvm.9999999999999999": true, "b": false} {
		i := slices.IndexFunc(f.Symbols, func(s *lpelf.Symbol) bool { return s.Name == want })
		if i < 0 || (f.Symbols[i].Section != elf.SHN_UNDEF) != defined {
			t.Errorf("%s: %v", want, i)
		}
	}
	if same, err := renameSymbols("a.o", data, func(name string) string { return name }); err != nil || &same[0] != &data[0] {
		t.Errorf("without a new name it is another object: %v", err)
	}
}

// TestRenameSymbolsOther checks that objects of another machine are unchanged, and truncated ones are an error.
func TestRenameSymbolsOther(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.c"), []byte(`int a(void) __asm__("a.llvm.12345"); int a(void) { return 1; }`))
	for _, flag := range []string{"-m32", "-m64"} {
		runIn(t, dir, []string{"gcc", flag, "-c", "-g", "a.c"})
		data, err := os.ReadFile(filepath.Join(dir, "a.o"))
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			cut := data[:n]
			out, err := renameSymbols("a.o", cut, func(name string) string { return name + "x" })
			switch other := n < 4 || flag == "-m32" && n >= 20; {
			case other && (err != nil || string(out) != string(cut)):
				t.Fatalf("%s, %d bytes: %v", flag, n, err)
			case !other && (err == nil || !strings.Contains(err.Error(), "a.o: truncated: ")):
				t.Fatalf("%s, %d bytes: error %v", flag, n, err)
			}
		}
	}
	// the other objects are also searched for modules
	runIn(t, dir, []string{"gcc", "-m32", "-c", "a.c"})
	data, err := os.ReadFile(filepath.Join(dir, "a.o"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"a.o": data}
	if m, err := readModules(all); err != nil || len(m.objects) > 0 {
		t.Errorf("%v, %v", m, err)
	}
	if _, _, err := becameGlobal(all, all); err != nil {
		t.Error(err)
	}
}
