// SPDX-License-Identifier: GPL-2.0

// Package image tests lpatch as a part of a distribution: a Debian 12 system is made, with lpatch as a package, and booted by
// its own initramfs.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lpatch/pkg/boot"
	"lpatch/test/vm"
)

// kernel is the distribution's own.
const kernel = "6.1"

// bootTimeout is for one boot and what is tested in it. It takes a minute or two alone on the machine.
const bootTimeout = 15 * time.Minute

// fixes are what is patched in the system, as it starts. All say "patched" in the end, to somebody who asks, but the deadly
// one. Which patch it is that keeps a system from coming up is not known, so the others have more boots to prove themselves.
var fixes = []fix{
	{"redis-server", "usr/bin/redis-check-rdb", "redisGitSHA1", returnsPatched, 9}, // redis-server is a link to it
	{"memcached", "usr/lib/x86_64-linux-gnu/libevent-2.1.so.7", "event_get_version", returnsPatched, 9},
	{"haproxy", "usr/sbin/haproxy", "http_get_reason", returnsPatched, 9},
	{"systemd", "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", "virtualization_to_string", returnsPatched, 9},
	{"libc", "usr/lib/x86_64-linux-gnu/libc.so.6", "gnu_get_libc_version", returnsPatched, 9},
	{"greeting", "usr/bin/greeting", "value", returns2, 9},
	{"deadly", "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", "architecture_to_string", exits, boot.DefaultBoots},
}

func TestImage(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kernels, kernel) {
		t.Skipf("LPATCH_VM does not select kernel %s", kernel)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make the root of a system")
	}
	if err := vm.Prepare(vm.Config{Kernel: kernel}, t.Output()); err != nil {
		t.Fatal(err)
	}
	s := makeSystem(t)
	for range 3 {
		if !t.Run("process 1 dies", func(t *testing.T) { s.wantDeath(t) }) {
			return
		}
	}
	s.want(t, "TestSystem", s.initramfs, "")
	s.want(t, "TestOff", s.initramfs, "systemd.unit=inside.target lpatch.boot=off")
	// The last, since nothing is left of lpatch then.
	s.want(t, "TestPackage", s.dracut, "systemd.unit=inside.target")
}

// system is the image that was made.
type system struct {
	vmlinuz, initramfs, dracut string
	disk                       string
}

// boot boots it, and returns what comes on its console.
func (s *system) boot(ctx context.Context, initrd, words string) (vm.Result, string, error) {
	var out strings.Builder
	cfg := vm.Config{
		Kernel: kernel, Timeout: bootTimeout, Stdout: &out,
		Cmdline: "root=/dev/vda ro systemd.getty_auto=no systemd.show_status=no " + words,
	}
	res, err := vm.Boot(ctx, cfg, vm.System{Vmlinuz: s.vmlinuz, Initrd: initrd, Disk: s.disk})
	return res, strings.ReplaceAll(out.String(), "\r", ""), err
}

// wantDeath boots the system with a patch that ends process 1, and so the system.
func (s *system) wantDeath(t *testing.T) {
	started := time.Now()
	_, out, err := s.boot(t.Context(), s.initramfs, "")
	var failure *vm.Failure
	if !errors.As(err, &failure) || !strings.Contains(failure.Log, "Attempted to kill init") {
		t.Fatalf("the boot ends with %v\n%s", err, out)
	}
	t.Logf("after %v", time.Since(started).Round(time.Second))
}

// want boots the system; a test inside must pass.
func (s *system) want(t *testing.T, test, initrd, words string) {
	t.Run(test, func(t *testing.T) {
		res, out, err := s.boot(t.Context(), initrd, words+" inside="+test)
		var failure *vm.Failure
		if errors.As(err, &failure) {
			t.Fatalf("%v\n%s\n%s", err, out, failure.Log)
		}
		if err != nil || res.Status != 0 || !strings.Contains(out, "--- PASS: "+test+" ") {
			t.Fatalf("status %d, %v\n%s", res.Status, err, out)
		}
		t.Logf("booted in %v, all took %v\n%s", res.Boot.Round(time.Second), res.Total.Round(time.Second), out)
	})
}

// makeSystem makes the image: the system as Debian has it, the programs of this test, the boot entries, and lpatch as
// packages, of which one builds the module and the other's hooks make the initramfs.
func makeSystem(t *testing.T) *system {
	t.Helper()
	started := time.Now()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	kernelDir, err := vm.InCache("kernels", kernel)
	if err != nil {
		t.Fatal(err)
	}
	release := strings.TrimSpace(readFile(t, filepath.Join(kernelDir, "release")))
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "./make-root", root, release)
	addInside(t, root)
	addGreeting(t, root)
	addArchive(t, top, root)
	for _, f := range fixes {
		f.keep(t, root)
	}
	for revision := range 3 {
		run(t, filepath.Join(top, "scripts/package"), "--out", filepath.Join(root, "packages"), "--revision", fmt.Sprint(revision+1), "deb")
	}
	run(t, "./finish-root", root, release, filepath.Join(kernelDir, "root"))

	s := &system{disk: filepath.Join(dir, "disk")}
	for path, place := range map[string]*string{
		"vmlinuz-" + release: &s.vmlinuz, "initrd.img-" + release: &s.initramfs, "dracut.img": &s.dracut,
	} {
		*place = filepath.Join(dir, path)
		if err := os.Rename(filepath.Join(root, "boot", path), *place); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "mke2fs", "-q", "-t", "ext4", "-d", root, s.disk, "1500M")
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	t.Logf("the system was made in %v", time.Since(started).Round(time.Second))
	return s
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// insideScript runs the test that the kernel's command line names, and tells the host what came of it (test/vm/protocol). If none
// is named it tells why the system has come up.
const insideScript = `#!/bin/sh
exec >/dev/ttyS1 2>&1
echo '{"event":"boot"}' >/dev/ttyS3
test=$(sed -n 's/.* inside=\([^ ]*\).*/\1/p' /proc/cmdline)
if [ -n "$test" ]; then
	/inside.test -test.v -test.run "^$test\$"
else
	lpctl boot list
	journalctl --boot --output cat --no-pager --dmesg
fi
echo "{\"event\":\"done\",\"status\":$?}" >/dev/ttyS3
sync
exec systemctl reboot -ff
`

// addInside adds what runs in the system, and tells what it finds.
func addInside(t *testing.T, root string) {
	t.Helper()
	run(t, "go", "test", "-c", "-tags", "vm", "-o", filepath.Join(root, "inside.test"), "lpatch/test/image/inside")
	writeFile(t, filepath.Join(root, "inside"), insideScript, 0o755)
}

// greeting is a program in a package: it says a value and what libc calls itself.
const greeting = `#include <stdio.h>
#include <gnu/libc-version.h>
__attribute__((noipa)) int value(void) { return VALUE; }
int main(void) { printf("%d %s\n", value(), gnu_get_libc_version()); return 0; }
`

// addGreeting installs the program, and leaves packages to upgrade it: with the same build, and with another.
func addGreeting(t *testing.T, root string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "greeting.c"), greeting, 0o644)
	for _, p := range []struct{ name, version, value string }{{"first", "1.0", "1"}, {"same", "1.1", "1"}, {"other", "2.0", "3"}} {
		tree := filepath.Join(dir, p.name)
		writeFile(t, filepath.Join(tree, "DEBIAN/control"),
			"Package: greeting\nVersion: "+p.version+"\nArchitecture: amd64\nMaintainer: test\nDescription: test\n", 0o644)
		if err := os.MkdirAll(filepath.Join(tree, "usr/bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "gcc", "-O2", "-rdynamic", "-DVALUE="+p.value, "-o", filepath.Join(tree, "usr/bin/greeting"), filepath.Join(dir, "greeting.c"))
		if err := os.MkdirAll(filepath.Join(root, "packages"), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(root, "packages", p.name+".deb"))
	}
	run(t, "chroot", root, "dpkg", "--install", "/packages/first.deb")
}
