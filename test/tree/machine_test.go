// SPDX-License-Identifier: GPL-2.0

package tree

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/test/vm"
)

// kernels are those of LPATCH_VM that have lpatch in their tree, and one of the variant if that is not "".
func kernels(t *testing.T, suffix string) []string {
	t.Helper()
	all, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range all {
		if strings.HasPrefix(k, "tree-") && (strings.HasSuffix(k, "-noprobes") == (suffix == "-noprobes")) && strings.HasSuffix(k, suffix) {
			list = append(list, k)
		}
	}
	if len(list) == 0 {
		t.Skip("LPATCH_VM selects no such kernel")
	}
	return list
}

// inMachine runs a script in a machine and returns what it prints. It must end with status 0.
func inMachine(t *testing.T, cfg vm.Config, script string) string {
	t.Helper()
	cfg.Script, cfg.Dir = filepath.Join(t.TempDir(), "script"), "/tmp"
	if err := os.WriteFile(cfg.Script, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := vm.Prepare(cfg, t.Output()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cfg.Stdout, cfg.Stderr = &out, &out
	r, err := vm.Run(t.Context(), cfg)
	if err != nil || r.Status != 0 {
		t.Fatalf("status %d, %v\n%s", r.Status, err, &out)
	}
	return out.String()
}

// ofKernel is a file that scripts/build-tree-kernel has made for a kernel.
func ofKernel(kernel, name string) string {
	cache := os.Getenv("LPATCH_CACHE")
	if cache == "" {
		cache = "../../build"
	}
	return filepath.Join(cache, "kernels", kernel, name)
}

// TestChecks has the kernel's own tools look at lpatch in its tree, and runs the selftest that they build.
func TestChecks(t *testing.T) {
	for _, kernel := range kernels(t, "") {
		t.Run(kernel, func(t *testing.T) {
			if out, err := exec.Command("../../scripts/build-tree-kernel", "--check", kernel).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			files := []vm.File{{Host: ofKernel(kernel, "lpatch_test"), Guest: "/lpatch_test"}}
			out := inMachine(t, vm.Config{Kernel: kernel, Files: files}, "/lpatch_test\n")
			if !strings.Contains(out, "# Totals: pass:10 fail:0 ") {
				t.Errorf("the selftest says\n%s", out)
			}
		})
	}
}

// TestFirstProgram registers a boot entry from the initramfs, with lpctl as the only program and no module to load, and
// starts the first program of a root: in a pid namespace of its own, since the machine has an init already.
func TestFirstProgram(t *testing.T) {
	const script = `
set -e
mkdir -p /root2 && mount -t tmpfs none /root2
cp /start /root2/init
for f in /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/lib[cm].so.6; do
	mkdir -p /root2${f%/*} && cp $f /root2$f
done
test ! -e /sys/module/lpatch/refcnt # no module
lpctl boot add /start.lp --root /root2 --image /init
lpctl boot replay --root /root2
status=0
unshare -p -f chroot /root2 /init || status=$?
echo "the first program exits with $status"
lpctl boot list
`
	dir := t.TempDir()
	if out, err := exec.Command("../fixtures", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kernel := range kernels(t, "") {
		if strings.HasSuffix(kernel, "-m") {
			continue
		}
		t.Run(kernel, func(t *testing.T) {
			files := []vm.File{
				{Host: dir + "/start", Guest: "/start"}, {Host: dir + "/start.lp", Guest: "/start.lp"},
			}
			if out := inMachine(t, vm.Config{Kernel: kernel, Files: files}, script); !strings.Contains(out, "exits with 2\n") {
				t.Errorf("the machine says\n%s", out)
			}
		})
	}
}

// TestNoProbes loads the module where it cannot work: it says what it needs.
func TestNoProbes(t *testing.T) {
	const sentence = "lpatch: this kernel neither exports task_work_add nor lets a kprobe find it (error -95); " +
		"use a kernel that exports it or has CONFIG_KPROBES=y, or build lpatch into the kernel"
	for _, kernel := range kernels(t, "-noprobes") {
		t.Run(kernel, func(t *testing.T) {
			if err := vm.Prepare(vm.Config{Kernel: kernel}, t.Output()); err != nil {
				t.Fatal(err)
			}
			cfg := vm.Config{Kernel: kernel, Module: vm.NoModule, Files: []vm.File{{Host: ofKernel(kernel, "lpatch.ko"), Guest: "/lpatch.ko"}}}
			out := inMachine(t, cfg, "insmod /lpatch.ko 2>&1; test ! -e /sys/module/lpatch && dmesg\n")
			if !strings.Contains(out, sentence) {
				t.Errorf("the machine says\n%s\nwant\n%s", out, sentence)
			}
		})
	}
}
