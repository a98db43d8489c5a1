// SPDX-License-Identifier: GPL-2.0

package docs

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestRepository does what patch-repository.md says, on the build host, which is this machine, and on a host, which is a root
// with busybox, dpkg's database, and an lpctl that writes down how it is called. apt is this machine's.
func TestRepository(t *testing.T) {
	const document = "patch-repository.md"
	if os.Geteuid() != 0 {
		t.Skip("only root can install packages")
	}
	lpctl(t)
	dir, host := t.TempDir(), newHost(t)
	buildExample(t, dir)
	if err := os.Symlink(mustAbs(t, filepath.Join(root, "Documentation")), filepath.Join(dir, "Documentation")); err != nil {
		t.Fatal(err)
	}
	list := slices.Concat(commands(t, document, "console build"), commands(t, document, "console host"))
	slices.SortFunc(list, func(a, b command) int { return cmp.Compare(a.line, b.line) })
	text := strings.NewReplacer("/etc/apt/", host+"/etc/apt/", "https://patches.example.org", "file:"+dir+"/greet/repository",
		" patches.asc ", " repository/patches.asc ").Replace(script(list))
	cmd := exec.Command("bash", "-c", "exec 2>&1\n"+text+"gpgconf --kill all")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+host+"/wrap:"+os.Getenv("PATH"), "APT_CONFIG="+host+"/apt.conf")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	judge(t, document, list, string(out))
	const add = "boot add /usr/lib/lpatch/greet-fix.lp\napply /usr/lib/lpatch/greet-fix.lp --all\n"
	const want = add + add + "boot remove greet-fix\n"
	if got, err := os.ReadFile(host + "/tmp/log"); err != nil || string(got) != want {
		t.Errorf("lpctl is called there, by the scripts of the packages (%v), with\n%swant\n%s\n%s", err, got, want, out)
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// newHost makes such a root, on which lpatch is installed, and in wrap what commands of apt and dpkg are there.
func newHost(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	wrap := func(command string) string { return "#!/bin/sh\nexec /usr/bin/" + command + " \"$@\"\n" }
	filetest.Tree(t, dir, map[string]string{
		"dev/null": "", "tmp/log": "", "run/systemd/system/a": "", "proc/self/ns/x": "", "proc/1/x": "", "sys/module/lpatch/a": "",
		"var/lib/dpkg/status":           "Package: lpatch\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n",
		"var/lib/dpkg/info/lpatch.list": "/.\n", "var/lib/dpkg/info/format": "1\n", "var/lib/dpkg/triggers/Unincorp": "",
		"var/lib/apt/lists/partial/x": "", "var/cache/apt/archives/partial/x": "", "var/log/apt/x": "",
		"etc/apt/sources.list.d/x": "", "etc/apt/preferences.d/x": "", "etc/apt/trusted.gpg.d/x": "", "etc/apt/apt.conf.d/x": "",
		"sbin/lpctl": "#!/bin/sh\necho \"$*\" >>/tmp/log\n",
		"apt.conf": fmt.Sprintf("Dir \"%[1]s/\";\nDir::State::status \"%[1]s/var/lib/dpkg/status\";\nDir::Bin::methods \"/usr/lib/apt/methods\";\n"+
			"Dir::Bin::dpkg \"/usr/bin/dpkg\";\nDPkg::Options { \"--root=%[1]s\"; };\nAPT::Sandbox::User \"root\";\nAPT::Get::Assume-Yes \"true\";\n", dir),
		"wrap/apt-get":    wrap("apt-get"),
		"wrap/dpkg-query": wrap("dpkg-query --admindir=" + dir + "/var/lib/dpkg"),
	})
	text := `mkdir -p "$0/bin" "$0/var/lib/dpkg/updates" && cp /bin/busybox "$0/bin" && chroot "$0" /bin/busybox --install -s /bin
		chmod +x "$0"/sbin/lpctl "$0"/wrap/* && ln -s / "$0/proc/1/root" && ln -s 'pid:[4026531836]' "$0/proc/self/ns/pid"
		install -D -t "$0/usr/lib/lpctl" ../../scripts/packaging/lpatch-package ../../scripts/packaging/lpatch-runs`
	if out, err := exec.Command("bash", "-ec", text, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
