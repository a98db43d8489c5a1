// SPDX-License-Identifier: GPL-2.0

package tree

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// skeleton are the parts of a kernel's source that scripts/kernel-tree-install looks at, as short as can be.
var skeleton = map[string]string{
	"Makefile":                            "VERSION = 6\nPATCHLEVEL = 12\n",
	"Kconfig":                             "mainmenu \"Linux\"\n",
	"kernel/Makefile":                     "obj-y += irq/\nobj-y += livepatch/\nobj-y += dma/\n",
	"arch/x86/Kconfig":                    "source \"kernel/livepatch/Kconfig\"\n\nconfig CC_HAS_SLS\n",
	"include/uapi/linux/types.h":          "",
	"tools/testing/selftests/Makefile":    "TARGETS += livepatch\nTARGETS += lkdtm\nTARGETS += lsm\n",
	"Documentation/admin-guide/index.rst": "   ldm\n   lockup-watchdogs\n   LSM/index\n",
	"MAINTAINERS": "Maintainers List\n----------------\n\nARM/LPC32XX SOC\nS:\tMaintained\n\nLPC32XX DMAMUX\nS:\tMaintained\n\n" +
		"LOONGARCH\nM:\tA <a@example.org>\nS:\tMaintained\n\nLSILOGIC DRIVERS\nS:\tMaintained\n",
}

func newSkeleton(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	filetest.Tree(t, dir, skeleton)
	return dir
}

// install runs the script, which must say what is wanted, and succeed if that is nothing.
func install(t *testing.T, want string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("../../scripts/kernel-tree-install", args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if want == "" && (err != nil || said.Len() > 0) {
		t.Fatalf("kernel-tree-install %v: %v\n%s", args, err, &said)
	}
	if want != "" && (err == nil || said.String() != "kernel-tree-install: "+want+"\n") {
		t.Fatalf("kernel-tree-install %v: %v, and says\n%swant\n%s", args, err, &said, want)
	}
}

// file is a file of a tree with the time of its last change.
type file struct {
	text  string
	mtime int64
}

func filesOf(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir+"/")] = file{string(text), info.ModTime().UnixNano()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestInstall looks at what is put into a tree, and sees that a second time changes nothing, not even the time of a file.
func TestInstall(t *testing.T) {
	dir := newSkeleton(t)
	install(t, "", dir)
	first := filesOf(t, dir)
	for name, want := range map[string]string{
		"kernel/Makefile":                     "obj-y += livepatch/\nobj-$(CONFIG_LPATCH) += lpatch/\nobj-y += dma/\n",
		"arch/x86/Kconfig":                    "source \"kernel/livepatch/Kconfig\"\nsource \"kernel/lpatch/Kconfig\"\n",
		"tools/testing/selftests/Makefile":    "TARGETS += lkdtm\nTARGETS += lpatch\nTARGETS += lsm\n",
		"Documentation/admin-guide/index.rst": "   lockup-watchdogs\n   lpatch\n",
		"MAINTAINERS": "S:\tMaintained\n\nLPATCH (LIVE PATCHING OF USER-SPACE PROGRAMS)\nS:\tOrphan\nF:\t" +
			"Documentation/admin-guide/lpatch.rst\n",
		"kernel/lpatch/Makefile":                       "obj-$(CONFIG_LPATCH) += lpatch.o\n",
		"kernel/lpatch/Kconfig":                        "config LPATCH\n",
		"kernel/lpatch/nl_gen.h":                       "#include <uapi/linux/lpatch.h>\n",
		"include/uapi/linux/lpatch.h":                  "#define LPATCH_FAMILY_NAME",
		"Documentation/netlink/specs/lpatch.yaml":      "name: lpatch\n",
		"Documentation/admin-guide/lpatch.rst":         "=====\n",
		"tools/testing/selftests/lpatch/lpatch_test.c": "int main(void)\n",
		"tools/testing/selftests/lpatch/Makefile":      "include ../lib.mk\n",
		"tools/testing/selftests/lpatch/config":        "CONFIG_LPATCH",
		"tools/testing/selftests/lpatch/.gitignore":    "lpatch_test\n",
	} {
		if !strings.Contains(first[name].text, want) {
			t.Errorf("%s has no %q:\n%s", name, want, first[name].text)
		}
	}
	for name, f := range first {
		if strings.HasPrefix(name, "kernel/lpatch/") && (strings.Contains(f.text, `"uapi/`) || strings.Contains(f.text, "obj-m ")) {
			t.Errorf("%s has what is only right outside of the tree", name)
		}
	}
	if maintainers := first["MAINTAINERS"].text; !strings.Contains(maintainers, "selftests/lpatch/\n\nLSILOGIC") {
		t.Errorf("the entry is not where the alphabet has it:\n%s", maintainers)
	}
	install(t, "", dir)
	wantSame(t, first, filesOf(t, dir))
}

func wantSame(t *testing.T, before, after map[string]file) {
	t.Helper()
	for name, f := range after {
		if before[name] != f {
			t.Errorf("%s was written again", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("there were %d files and are %d", len(before), len(after))
	}
}

// TestInstallAgain brings a tree up to date: a file that is gone goes, one that changed comes back, and the maintainer changes.
func TestInstallAgain(t *testing.T) {
	dir := newSkeleton(t)
	install(t, "", dir)
	gone, changed := filepath.Join(dir, "kernel/lpatch/gone.c"), filepath.Join(dir, "kernel/lpatch/gate.c")
	for _, path := range []string{gone, changed} {
		if err := os.WriteFile(path, []byte("int x;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install(t, "", "-m", "A B <ab@example.org>", dir)
	files := filesOf(t, dir)
	if _, ok := files["kernel/lpatch/gone.c"]; ok || files["kernel/lpatch/gate.c"].text == "int x;\n" {
		t.Error("the tree is not up to date")
	}
	const entry = "USER-SPACE PROGRAMS)\nM:\tA B <ab@example.org>\nS:\tMaintained\n"
	if text := files["MAINTAINERS"].text; strings.Count(text, "LPATCH (") != 1 || !strings.Contains(text, entry) {
		t.Errorf("MAINTAINERS:\n%s", text)
	}
}

// TestInstallRefuses tries directories that are no kernel trees, and one of a kernel that the script does not know.
func TestInstallRefuses(t *testing.T) {
	empty := t.TempDir()
	install(t, empty+" is not a kernel source tree: it has no Makefile", empty)
	install(t, empty+"/none is not a directory", empty+"/none")
	install(t, `-m takes "NAME <ADDRESS>"`, "-m", "nobody", empty)

	dir := newSkeleton(t)
	before := filesOf(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "kernel/Makefile"), []byte("obj-y += irq/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	install(t, dir+`/kernel/Makefile has no line "obj-y += livepatch/" to put lpatch behind: `+
		"this kernel is one that kernel-tree-install does not know", dir)
	if after := filesOf(t, dir); len(after) != len(before) {
		t.Errorf("a tree that is refused has %d files, and had %d", len(after), len(before))
	}
}
