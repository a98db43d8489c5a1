// SPDX-License-Identifier: GPL-2.0

package secureboot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
	"lpatch/test/vm"
)

// firmware is Debian's for QEMU, with Microsoft's keys, and Debian's signed boot loaders on its disk.
func firmware(t *testing.T, dir string) *vm.Firmware {
	t.Helper()
	run(t, "", nil, "./fetch")
	lib := cached(t, "secureboot", "usr/lib")
	ovmf := cached(t, "secureboot", "usr/share/OVMF")
	vars := filepath.Join(dir, "vars.fd")
	filetest.Copy(t, filepath.Join(ovmf, "OVMF_VARS_4M.ms.fd"), vars)
	return &vm.Firmware{
		Code: filepath.Join(ovmf, "OVMF_CODE_4M.secboot.fd"), Vars: vars,
		Disk: []vm.File{
			{Host: filepath.Join(lib, "shim/shimx64.efi.signed"), Guest: "EFI/BOOT/BOOTX64.EFI"},
			{Host: filepath.Join(lib, "shim/mmx64.efi.signed"), Guest: "EFI/BOOT/mmx64.efi"},
			{Host: filepath.Join(lib, "grub/x86_64-efi-signed/grubx64.efi.signed"), Guest: "EFI/BOOT/grubx64.efi"},
		},
		GrubConfig: "EFI/debian/grub.cfg",
	}
}

// makeKeys makes, as the documentation says, the machine owner's key and one for patches that it vouches for, and a key that
// nobody vouches for.
func makeKeys(t *testing.T, dir string) string {
	t.Helper()
	dir = filepath.Join(dir, "keys")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	owner := documented(t, "distribution-guide.md", "openssl req")
	run(t, dir, nil, "sh", "-c", owner)
	run(t, dir, nil, "sh", "-c", documented(t, "signed-patches.md", "openssl req"))
	run(t, dir, nil, "sh", "-c", strings.NewReplacer("modules of this machine", "a stranger", "mok.", "stranger.").Replace(owner))
	return dir
}

// documented is the command in a document that begins so, with the lines that go on from it.
func documented(t *testing.T, document, beginning string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "Documentation", document))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n"+beginning)
	if !found {
		t.Fatalf("%s has no command that begins with %s", document, beginning)
	}
	command := beginning
	for line := range strings.Lines(rest) {
		command += line
		if !strings.HasSuffix(line, "\\\n") {
			break
		}
	}
	return command
}

// installModule installs the module as "make install" does, and returns what is to be /lib/modules.
func installModule(t *testing.T, dir string) string {
	t.Helper()
	dest := filepath.Join(dir, "module")
	env := []string{"DESTDIR=" + dest, "KREL=" + release(t), "KDIR=" + cached(t, "kernels", kernel, "headers")}
	run(t, "", env, filepath.Join(top, "scripts/install"), "module")
	return filepath.Join(dest, "usr/lib/modules")
}

// buildExample builds the program of the quick start, and its patch.
func buildExample(t *testing.T, dir string) string {
	t.Helper()
	dir = filepath.Join(dir, "greet")
	run(t, "", nil, "cp", "-r", filepath.Join(top, "Documentation/example"), dir)
	run(t, dir, nil, "make")
	run(t, dir, nil, filepath.Join(top, "build/lpctl"), "build", "source", ".", "--quiet", "--target", "greet", "--patch", "fix.patch",
		"-o", "fix.lp", "--", "make")
	return dir
}

// top is the top directory of the repository.
var top = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

func cached(t *testing.T, elem ...string) string {
	t.Helper()
	path, err := vm.InCache(elem...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func release(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(cached(t, "kernels", kernel, "release"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// run runs a command in a directory, with more environment; it must succeed.
func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
