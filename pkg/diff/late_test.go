// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lpatch/pkg/lpelf"
)

// TestLateNoDebugInfo: of what link-time optimisation has made, each function that changed needs debug information of its own.
func TestLateNoDebugInfo(t *testing.T) {
	late := func(by string) *Object {
		dir := t.TempDir()
		run := func(name string, args ...string) {
			c := exec.Command(name, args...)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		for name, text := range map[string]string{"a.c": "int f(int x) { return x * 3; }\n", "b.c": "int g(int x) { return x * " + by + "; }\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run("gcc", "-O2", "-g", "-ffunction-sections", "-c", "a.c")
		run("gcc", "-O2", "-ffunction-sections", "-c", "b.c")
		run("ld", "-r", "--unique", "-o", "prog.lto.o", "a.o", "b.o")
		f, err := lpelf.Open(filepath.Join(dir, "prog.lto.o"))
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewObject("prog.lto.o", f)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	const want = "prog.lto.o: g: link-time optimisation had no debug information of the function, so it is not known whether types changed; " +
		"compile its source with -g, or say --no-debug-info-ok if none did [no-debug-info]"
	if r := Compare(late("5"), late("6"), Options{}); r.Refusals.Error() != want {
		t.Errorf("got %v\nwant %s", r.Refusals, want)
	}
	if r := Compare(late("5"), late("6"), Options{NoDebugInfoOK: true}); len(r.Refusals) > 0 {
		t.Errorf("got %v", r.Refusals)
	}
}
