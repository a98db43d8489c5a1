package build

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
)

// TestSameLink: a link with relocations is the same if .bss alone is further on, with what leads there; anything else is another file.
func TestSameLink(t *testing.T) {
	const source = "char odd[9] = \"odd\"; int late; static int other, more;\nint value(void) { return 1; }\nint again(int x) { late = x; other += x; more++; return value() + more; }\nint *at(void) { return &other; }\n"
	dir := t.TempDir()
	link := func(name, source string, flags ...string) string {
		t.Helper()
		write(t, filepath.Join(dir, "x.c"), []byte(source))
		args := append([]string{"-O2", "-fPIC", "-shared", "-o", name, "x.c"}, flags...)
		cmd := exec.Command("gcc", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return filepath.Join(dir, name)
	}
	f, err := lpelf.Open(link("plain", source))
	if err != nil {
		t.Fatal(err)
	}
	again := link("again", source, "-Wl,--emit-relocs")
	if g, err := lpelf.Open(again); err != nil || g.Section(".bss").Addr == f.Section(".bss").Addr {
		t.Skipf("this linker does not move .bss (%v)", err)
	}
	if err := checkSameLink(f, again); err != nil {
		t.Error(err)
	}
	for old, new := range map[string]string{"return 1": "return 5", "late = x": "late = x + 4", "&other": "&more", "\"odd\"": "\"sdd\""} {
		other := link("other", strings.Replace(source, old, new, 1), "-Wl,--emit-relocs")
		if err := checkSameLink(f, other); err == nil {
			t.Errorf("%s is taken for %s", new, old)
		}
	}
}
