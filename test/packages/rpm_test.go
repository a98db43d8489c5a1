// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
	"lpatch/pkg/version"
)

// initialPIDs is the pid namespace that the kernel begins with.
const initialPIDs = "pid:[4026531836]"

// rpmRoot is a system of which there is not more than what the packages' scripts call, and that is busybox, or writes down
// how it was called.
type rpmRoot struct {
	dir string
}

func newRPMRoot(t *testing.T) *rpmRoot {
	t.Helper()
	r := &rpmRoot{t.TempDir()}
	filetest.Tree(t, r.dir, map[string]string{
		"dev/null": "", "tmp/log": "",
		"run/systemd/system/a": "", "proc/self/ns/x": "", "proc/1/x": "", "sys/module/lpatch/a": "", "etc/lpctl/boot.d/fix.yaml": "", // it runs, with a patch
	})
	for name, to := range map[string]string{"proc/1/root": "/", "proc/self/ns/pid": initialPIDs} {
		if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "mkdir", filepath.Join(r.dir, "bin"), filepath.Join(r.dir, "sbin"))
	filetest.Copy(t, "/bin/busybox", filepath.Join(r.dir, "bin/busybox"))
	run(t, "chroot", r.dir, "/bin/busybox", "--install", "-s", "/bin")
	for _, name := range []string{"dkms", "dracut", "lpctl", "systemctl"} {
		path := filepath.Join(r.dir, "sbin", name) // comes first in rpm's path
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+name+" \"$@\" >>/tmp/log\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// rpm does something to the packages of the system, and compares what their scripts called. Debian's rpm has words of its
// own on its use; and of the scripts nothing may come.
func (r *rpmRoot) rpm(t *testing.T, want string, args ...string) {
	t.Helper()
	log := filepath.Join(r.dir, "tmp/log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rpm", append([]string{"--root", r.dir, "--nodeps"}, args...)...).CombinedOutput()
	var said []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "rpm: ") {
			said = append(said, line)
		}
	}
	if err != nil || len(said) > 0 {
		t.Errorf("rpm %s: %v\n%s", strings.Join(args, " "), err, strings.Join(said, ""))
	}
	if got := string(read(t, log)); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("rpm %s: the scripts called\n%swant%s", strings.Join(args, " "), got, want)
	}
}

// otherRPM makes a package with one file.
func otherRPM(t *testing.T, name, path string) string {
	t.Helper()
	dir := t.TempDir()
	spec := fmt.Sprintf("Name: %s\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%%description\nx\n"+
		"%%install\nmkdir -p %%{buildroot}%s\necho x >%%{buildroot}%s\n%%files\n%s\n", name, filepath.Dir(path), path, path)
	filetest.Tree(t, dir, map[string]string{"other.spec": spec})
	run(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir, filepath.Join(dir, "other.spec"))
	return filepath.Join(dir, "noarch", name+"-1-1.noarch.rpm")
}

// rpmLife installs the packages, others, a later version of them, and takes all out.
func rpmLife(t *testing.T, top, first string) {
	if os.Geteuid() != 0 {
		t.Skip("only root can install packages")
	}
	second := t.TempDir()
	makePackages(t, top, second, "umask 022", "--revision", "2", "rpm")
	r := newRPMRoot(t)
	run(t, "rpm", "--root", r.dir, "--initdb")
	r.rpm(t, `
systemctl --quiet enable lpatch-boot.service lpatch-boot-success.service
dracut --force --regenerate-all
lpctl boot replay --quiet
lpctl boot sync --quiet
`, "--install", filepath.Join(first, files["rpm"][0]))
	r.rpm(t, `
dkms add -m lpatch -v `+version.Number+`-1 --rpm_safe_upgrade
dkms autoinstall
dracut --force --regenerate-all
`, "--install", filepath.Join(first, files["rpm"][1]))
	r.rpm(t, "", "--install", otherRPM(t, "other", "/srv/data"))
	r.rpm(t, "", "--erase", "other")
	r.rpm(t, `
lpctl boot replay --quiet
lpctl boot sync --quiet
`, "--install", otherRPM(t, "other", "/usr/lib64/libother.so.1"))
	r.rpm(t, `
dkms add -m lpatch -v `+version.Number+`-2 --rpm_safe_upgrade
dkms autoinstall
systemctl daemon-reload
systemctl try-restart lpatch-watch.service
dkms remove -m lpatch -v `+version.Number+`-1 --all --rpm_safe_upgrade
dracut --force --regenerate-all
dracut --force --regenerate-all
lpctl boot replay --quiet
lpctl boot sync --quiet
`, "--upgrade", filepath.Join(second, "lpatch-"+version.Number+"-2.x86_64.rpm"), filepath.Join(second, "lpatch-dkms-"+version.Number+"-2.noarch.rpm"))
	r.rpm(t, `
systemctl --quiet disable lpatch-boot.service lpatch-boot-success.service
systemctl --quiet stop lpatch-watch.service lpatch-metrics.timer
systemctl daemon-reload
dracut --force --regenerate-all
dkms remove -m lpatch -v `+version.Number+`-2 --all --rpm_safe_upgrade
`, "--erase", "lpatch", "lpatch-dkms")
	if _, err := os.Stat(filepath.Join(r.dir, "etc/lpctl/boot.d/fix.yaml")); err != nil {
		t.Errorf("the registry is gone: %v", err)
	}
	if left, _ := filepath.Glob(r.dir + "/usr/*/lp*"); len(left) > 0 {
		t.Errorf("there is still %v", left)
	}
}
