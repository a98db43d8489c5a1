// SPDX-License-Identifier: GPL-2.0

package build

import (
	"path/filepath"
	"testing"

	"lpatch/pkg/lpelf"
)

// TestLater: kinds of program headers, and what is appended, are parts of a file that a build may change when it is linked.
func TestLater(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m.c"), []byte("int main(void) { return 0; }\n"))
	runIn(t, dir, []string{"gcc", "-g", "-o", "m", "m.c"})
	read := func(change func(data []byte) []byte) map[string]string {
		f, err := lpelf.Open(filepath.Join(dir, "m"))
		if err != nil {
			t.Fatal(err)
		}
		if f, err = lpelf.Parse("m", change(f.Data)); err != nil {
			t.Fatal(err)
		}
		return laterSums(f)
	}
	r := linkRecord{Parts: read(func(data []byte) []byte { return data })}
	for want, change := range map[string]func([]byte) []byte{
		"": func(data []byte) []byte { return data },
		"a later change of its end, what is appended to it": func(data []byte) []byte { return append(data, 1) },
		"a later change of its program headers":             func(data []byte) []byte { data[64+4] ^= 1; return data }, // p_flags of the first
	} {
		r.How = nil
		found, got := r.takeLater(read(change)), ""
		if len(r.How) == 1 {
			got = r.How[0].Name
		}
		if found != (want != "") || len(r.How) > 1 || got != want {
			t.Errorf("got %v %v, want %q", found, r.How, want)
		}
	}
}
