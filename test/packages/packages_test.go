// SPDX-License-Identifier: GPL-2.0

// Package packages tests what scripts/package makes: that it is the same each time, what is in it, and what lintian says of it.
// That the packages do what they are for is tested in a whole system, by test/image.
package packages

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/version"
)

// files are the packages, by their kind.
var files = map[string][]string{
	"deb": {"lpatch_" + version.Number + "-1_amd64.deb", "lpatch-dkms_" + version.Number + "-1_all.deb"},
	"rpm": {"lpatch-" + version.Number + "-1.x86_64.rpm", "lpatch-dkms-" + version.Number + "-1.noarch.rpm"},
}

// installed are files of the package lpatch, whatever its kind.
var installed = []string{
	"/etc/needrestart/conf.d/lpatch.conf",
	"/usr/sbin/lpctl",
	"/usr/lib/lpctl/lpatch-package",
	"/usr/lib/lpctl/lpatch-replay",
	"/usr/lib/lpctl/lpatch-runs",
	"/usr/lib/lpctl/lpatch-upgraded",
	"/usr/lib/systemd/system/lpatch-boot.service",
	"/usr/lib/systemd/system/lpatch-boot-success.service",
	"/usr/lib/systemd/system/lpatch-watch.service",
	"/usr/lib/systemd/system/lpatch-metrics.service",
	"/usr/lib/systemd/system/lpatch-metrics.timer",
	"/usr/lib/tmpfiles.d/lpatch.conf",
	"/usr/lib/dracut/modules.d/90lpatch/module-setup.sh",
	"/usr/lib/dracut/modules.d/90lpatch/lpatch-pre-pivot.sh",
	"/usr/share/gdb/python/gdb/command/lpatch.py",
	"/usr/share/initramfs-tools/hooks/lpatch",
	"/usr/share/initramfs-tools/scripts/init-bottom/lpatch",
	"/usr/share/man/man8/lpctl.8.gz",
	"/usr/share/man/man8/lpctl-apply.8.gz",
	"/usr/share/man/man5/lp.5.gz",
	"/usr/share/bash-completion/completions/lpctl",
	"/usr/share/fish/vendor_completions.d/lpctl.fish",
}

// sources are files of the package lpatch-dkms.
var sources = []string{
	"/usr/src/lpatch-" + version.Number + "-1/dkms.conf", "/usr/src/lpatch-" + version.Number + "-1/Kbuild", "/usr/src/lpatch-" + version.Number + "-1/Makefile",
	"/usr/src/lpatch-" + version.Number + "-1/main.c", "/usr/src/lpatch-" + version.Number + "-1/uapi/lpatch.h",
}

func TestPackages(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	makePackages(t, top, dir, "umask 022")
	t.Run("reproducible", func(t *testing.T) { reproducible(t, top, dir) })
	t.Run("deb", func(t *testing.T) { contents(t, dir, "deb", listDeb, "/usr/share/zsh/vendor-completions/_lpctl") })
	t.Run("rpm", func(t *testing.T) { contents(t, dir, "rpm", listRPM, "/usr/share/zsh/site-functions/_lpctl") })
	t.Run("lintian", func(t *testing.T) { lintian(t, dir) })
	t.Run("scriptlets", func(t *testing.T) { scriptlets(t, dir) })
	t.Run("rpm's life", func(t *testing.T) { rpmLife(t, top, dir) })
}

// makePackages makes them of the sources in top. What is set up before, by the shell, is the user's environment.
func makePackages(t *testing.T, top, out, before string, args ...string) {
	t.Helper()
	cmd := exec.Command("bash", "-ec", before+"\nexec scripts/package --out "+out+" "+strings.Join(args, " "))
	cmd.Dir = top
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/package: %v (scripts/deps installs what it needs)\n%s", err, text)
	}
}

// reproducible makes the packages again: of a copy in another place, in another time zone and language, by somebody who lets
// nobody read what he makes.
func reproducible(t *testing.T, top, first string) {
	again := filepath.Join(t.TempDir(), "some", "where")
	second := t.TempDir()
	run(t, "mkdir", "-p", again)
	run(t, "bash", "-ec", fmt.Sprintf(`cd %q; git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%%s\0' "$file"; done |
		tar --null -T - -c | tar -x --touch -C %q`, top, again))
	gitDir := strings.TrimSpace(run(t, "git", "-C", top, "rev-parse", "--absolute-git-dir"))
	makePackages(t, again, second, fmt.Sprintf("umask 077; export TZ=Pacific/Auckland LANG=de_DE.UTF-8 GIT_DIR=%q", gitDir))
	for _, name := range slices.Concat(files["deb"], files["rpm"]) {
		if !bytes.Equal(read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name))) {
			t.Errorf("%s is another file when it is made again", name)
		}
	}
}

// contents looks for the files that a package is made for.
func contents(t *testing.T, dir, kind string, list func(*testing.T, string) []string, more string) {
	tools := list(t, filepath.Join(dir, files[kind][0]))
	for _, path := range append(installed, more) {
		if !slices.Contains(tools, path) {
			t.Errorf("%s has no %s", files[kind][0], path)
		}
	}
	module := list(t, filepath.Join(dir, files[kind][1]))
	for _, path := range sources {
		if !slices.Contains(module, path) {
			t.Errorf("%s has no %s", files[kind][1], path)
		}
	}
	for _, path := range slices.Concat(tools, module) {
		if strings.HasSuffix(path, ".ko") || strings.HasSuffix(path, ".mod.c") || strings.HasSuffix(path, ".o") {
			t.Errorf("a package has %s, which belongs to one kernel", path)
		}
	}
}

// listDeb lists what is in a Debian package, which is all root's and to be changed by nobody else.
func listDeb(t *testing.T, path string) []string {
	var list []string
	for line := range strings.Lines(run(t, "dpkg-deb", "--contents", path)) {
		f := strings.Fields(line)
		if f[1] != "root/root" || f[0][5] == 'w' || f[0][8] == 'w' {
			t.Errorf("%s has %s", filepath.Base(path), line)
		}
		list = append(list, strings.TrimPrefix(f[5], "."))
	}
	return list
}

func listRPM(t *testing.T, path string) []string {
	return strings.Fields(run(t, "rpm", "-qlp", path))
}

// lintian must have nothing to say but what is of no interest here.
func lintian(t *testing.T, dir string) {
	for _, name := range files["deb"] {
		out := run(t, "lintian", "--allow-root", "--fail-on", "none", filepath.Join(dir, name))
		if out != "" {
			t.Errorf("of %s:\n%s", name, out)
		}
	}
}

// scriptlets looks at what the packages run when they are installed: it must be right for the shell that runs it.
func scriptlets(t *testing.T, dir string) {
	for _, name := range files["rpm"] {
		for _, tag := range []string{"PREIN", "POSTIN", "PREUN", "POSTUN", "POSTTRANS", "TRANSFILETRIGGERSCRIPTS"} {
			format := "%{" + tag + "}"
			if tag == "TRANSFILETRIGGERSCRIPTS" {
				format = "[%{" + tag + "}\n]"
			}
			script := run(t, "rpm", "-qp", "--queryformat", format, filepath.Join(dir, name))
			if strings.Contains(script, "%{") {
				t.Errorf("%s: a macro is left in %s:\n%s", name, tag, script)
			}
			if script == "(none)" || strings.TrimSpace(script) == "(none)" {
				continue
			}
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s%s", name, tag, err, out, script)
			}
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v (scripts/deps installs what it needs)\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
