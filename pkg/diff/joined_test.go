// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/lpelf"
)

// TestJoined checks objects joined by ld -r, in which static functions may share a name.
func TestJoined(t *testing.T) {
	join := func(by string) *Object {
		dir := t.TempDir()
		var files []string
		for i, x := range []string{"3", by} {
			src := filepath.Join(dir, string(rune('a'+i))+".c")
			obj := src + ".o"
			write := exec.Command("gcc", "-O2", "-ffunction-sections", "-x", "c", "-c", "-", "-o", obj)
			in, err := write.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				in.Write([]byte("static __attribute__((noinline)) int h(int x) { return x * " + x + "; } int " + string(rune('f'+i)) + "(int x) { return h(x) + 1; }\n"))
				in.Close()
			}()
			if out, err := write.CombinedOutput(); err != nil {
				t.Skipf("%v\n%s", err, out)
			}
			files = append(files, obj)
		}
		joined := filepath.Join(dir, "both.o")
		if out, err := exec.Command("ld", append([]string{"-r", "-o", joined}, files...)...).CombinedOutput(); err != nil {
			t.Skipf("%v\n%s", err, out)
		}
		f, err := lpelf.Open(joined)
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewObject("both.o", f)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	old := join("5")
	if r := Compare(old, join("5"), Options{}); len(r.Refusals) > 0 {
		t.Errorf("nothing changed: %v", r.Refusals)
	}
	const want = "both.o: h: the object was joined of several (ld -r) that have functions or variables of this name, and they are not what they were; give the objects that were joined [joined-object]"
	if r := Compare(old, join("6"), Options{}); !strings.Contains(r.Refusals.Error(), want) {
		t.Errorf("got %v\nwant %s", r.Refusals, want)
	}
}
