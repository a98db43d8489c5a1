// SPDX-License-Identifier: GPL-2.0

package patches

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lpatch/pkg/testutil/filetest"
	"lpatch/test/vm"
)

// kernel is the one that the patches are applied on: they are about the builder.
const kernel = "6.12"

// entry is what the test inside the machine is told of a patch.
type entry struct {
	Name   string
	Values []int64 // old, new, in between
}

func readAll(t *testing.T) ([]*Case, *Builder) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cases, &Builder{Cache: filepath.Join(dir, "../../build/patches"), Root: dir}
}

// buildAll builds all cases in their selected configurations, in parallel, and hands what becomes of each to done.
func buildAll(t *testing.T, done func(*testing.T, *Built, []byte)) {
	cases, builder := readAll(t)
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, cfg := range c.Selected(i) {
				b, err := builder.Compile(c, cfg)
				if err != nil {
					t.Fatal(err)
				}
				res, err := b.Patch()
				if err != nil {
					t.Errorf("%s: %v", cfg.Name(), err)
				} else if res != nil {
					done(t, b, res.Data)
				}
			}
		})
	}
}

// TestBuild builds the patch of each case, or sees it refused for the right reason.
func TestBuild(t *testing.T) {
	if kernels, _ := vm.TestKernels(); slices.Contains(kernels, kernel) {
		t.Skip("TestApply builds them")
	}
	buildAll(t, func(*testing.T, *Built, []byte) {})
}

// TestApply builds all patches and applies them to running programs in one machine.
func TestApply(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kernels, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	dir := t.TempDir()
	entries := make(chan entry, 1<<16)
	t.Run("build", func(t *testing.T) {
		buildAll(t, func(t *testing.T, b *Built, lp []byte) {
			name := filepath.Join(dir, b.Name())
			filetest.Copy(t, filepath.Join(b.Dir, "prog"), name)
			if b.Case.Library {
				filetest.Copy(t, b.Target(), filepath.Join(dir, b.library()))
			}
			if err := os.WriteFile(name+".lp", lp, 0o644); err != nil {
				t.Fatal(err)
			}
			entries <- entry{b.Name(), append([]int64{b.Case.Old, b.Case.New}, b.Case.Between...)}
		})
	})
	close(entries)
	runInside(t, dir, entries)
}

// runInside boots a machine with all programs and patches, and runs the test of package inside there.
func runInside(t *testing.T, dir string, entries <-chan entry) {
	var list []entry
	for e := range entries {
		list = append(list, e)
	}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "list.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "inside.test")
	cmd := exec.Command("go", "test", "-c", "-tags", "vm", "-o", binary, "lpatch/test/patches/inside")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := []vm.File{{Host: binary, Guest: "/inside.test"}}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		files = append(files, vm.File{Host: n, Guest: "/patches/" + filepath.Base(n)})
	}
	cfg := vm.Config{Kernel: kernel, Files: files, Dir: "/tmp", Timeout: time.Hour}
	if err := vm.Prepare(cfg, t.Output()); err != nil {
		t.Fatal(err)
	}
	script := "exec /inside.test -test.v -test.timeout 0"
	results, err := vm.RunCases(t.Context(), cfg, []vm.Case{{Name: "Patches", Script: script, Timeout: time.Hour}})
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		t.Logf("%d patches: %s in %v\n%s", len(list), r.Outcome, r.Time.Round(time.Millisecond), r.Log)
		if r.Outcome != vm.Passed {
			t.Fail()
		}
	}
}
