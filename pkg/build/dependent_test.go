// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTogether refuses one library of a package. Files that need it, and files that share a dependency with it, are refused
// as well; other programs are not.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	script := `
echo 'int f(void) { return 1; }' >core.c
echo 'int f(void); int g(void) { return f(); }' >extra.c
echo 'int g(void); int main(void) { return g(); }' >prog.c
echo 'int main(void) { return 0; }' >tool.c
gcc -shared -fPIC -Wl,-soname,libcore.so.1 -o libcore.so core.c
gcc -shared -fPIC -Wl,-soname,libextra.so.1 -o libextra.so extra.c -L. -lcore
gcc -o prog prog.c -L. -lextra -Wl,--allow-shlib-undefined
gcc -o tool tool.c
`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	results := func(refused string) (list []ImageResult) {
		for _, name := range []string{"prog", "libextra.so", "libcore.so", "tool"} {
			r := ImageResult{Paths: []string{"p/" + name}, File: filepath.Join(dir, name), Result: &Result{}}
			if name == refused {
				r.Result, r.Err = nil, Refusals{{Code: "new-tls"}}
			}
			list = append(list, r)
		}
		return list
	}
	for _, tt := range []struct{ refused, built string }{
		{"", "prog libextra.so libcore.so tool"}, {"libcore.so", "tool"}, {"prog", "tool"}, {"tool", "prog libextra.so libcore.so"},
	} {
		list := results(tt.refused)
		if err := together(list); err != nil {
			t.Fatal(err)
		}
		var built []string
		for _, r := range list {
			if r.Result != nil {
				built = append(built, filepath.Base(r.File))
			} else if text := r.Err.Error(); !strings.Contains(text, "new-tls") && !strings.Contains(text, "a part of the fix, in "+tt.refused+", is refused") {
				t.Errorf("%s: %s", r.File, text)
			}
		}
		if got := strings.Join(built, " "); got != tt.built {
			t.Errorf("with %q refused, built: %s; want %s", tt.refused, got, tt.built)
		}
	}
}
