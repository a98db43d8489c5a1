// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// needrestartPackages are needrestart of this machine's release, and what it needs and the machine may not have. They are unpacked
// and not installed: needrestart would run with each apt-get from then on.
var needrestartPackages = []string{
	"needrestart", "libproc-processtable-perl", "libmodule-find-perl", "libsort-naturally-perl", "libintl-perl", "libterm-readkey-perl",
}

// TestNeedrestart has the real needrestart look at processes whose program was deleted. Without our configuration, and without the
// module, it lists all. With both it leaves those out of which lpctl, which is a script here, says that they need no restart.
func TestNeedrestart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("as another user, needrestart looks at nobody else's processes")
	}
	dir := t.TempDir()
	const unpack = `. ../../scripts/lib.sh
		fetch() { [ -e "$CACHE/needrestart/complete" ] || { download "$CACHE/needrestart" "$@" && touch "$CACHE/needrestart/complete"; }; }
		locked "$CACHE/.needrestart.lock" fetch "$@"
		for deb in "$CACHE"/needrestart/*.deb; do dpkg-deb -x "$deb" "$0"; done`
	run(t, "bash", slices.Concat([]string{"-euc", unpack, dir}, needrestartPackages)...)
	live, other := deleted(t, filepath.Join(dir, "live")), deleted(t, filepath.Join(dir, "other"))
	said := fmt.Sprintf("PID  RESTART  COMM  SERVICE  WHY\n%d  no  x  x  patched live\n%d  yes  x  no  no\n", live, other)
	filetest.Tree(t, dir, map[string]string{"bin/lpctl": "#!/bin/sh\n[ \"$*\" = needrestart ] && cat <<'END'\n" + said + "END\n"})
	run(t, "chmod", "755", dir+"/bin/lpctl")
	ours := string(read(t, "../../scripts/packaging/needrestart/lpatch.conf"))
	for _, c := range []struct {
		name, conf string
		both       bool
	}{
		{"without", "", true},
		{"no module", strings.ReplaceAll(ours, "/sys/module/lpatch", "/sys/module/none"), true},
		{"no lpctl", strings.ReplaceAll(module(ours, dir), "exec lpctl", "exec nolpctl"), true},
		{"another needrestart", strings.ReplaceAll(module(ours, dir), "nr_ptable", "nr_table"), true},
		{"with", module(ours, dir), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			listed, out := needrestart(t, dir, c.conf)
			if !listed[other] || listed[live] != c.both {
				t.Errorf("listed are %v of %d and %d\n%s", listed, live, other, out)
			}
			note := fmt.Sprintf("lpatch: patched live, no restart needed: %d\n", live)
			if strings.Contains(out, note) == c.both || !c.both && strings.Count(out, "lpatch:") != 1 {
				t.Errorf("it does not say that one is left out, or it does:\n%s", out)
			}
		})
	}
}

// module has the configuration look for the module where there is a directory.
func module(conf, dir string) string { return strings.ReplaceAll(conf, "/sys/module/lpatch", dir) }

// deleted runs a program that is deleted then.
func deleted(t *testing.T, path string) (pid int) {
	t.Helper()
	run(t, "cp", "/bin/sleep", path)
	cmd := exec.Command(path, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// needrestart runs it with a configuration in conf.d, and returns the pids of which it says that they use what is obsolete.
func needrestart(t *testing.T, dir, conf string) (listed map[int]bool, out string) {
	t.Helper()
	etc := t.TempDir()
	settings := strings.ReplaceAll(string(read(t, dir+"/etc/needrestart/needrestart.conf")), "/etc/needrestart/conf.d", etc+"/conf.d")
	settings += fmt.Sprintf("\n$nrconf{hook_d} = $nrconf{notify_d} = $nrconf{restart_d} = '%s/none'; # which tell of services\n", etc)
	filetest.Tree(t, etc, map[string]string{"needrestart.conf": settings, "conf.d/lpatch.conf": conf, "none/.x": ""})
	perl := strings.TrimSpace(run(t, "perl", "-MConfig", "-e", "print $Config{vendorarch}"))
	cmd := exec.Command("perl", "-I", dir+"/usr/share/perl5", "-I", dir+perl, dir+"/usr/sbin/needrestart", "-c", etc+"/needrestart.conf", "-v", "-l", "-r", "l")
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("needrestart: %v\n%s", err, text)
	}
	listed = map[int]bool{}
	for line := range strings.Lines(string(text)) {
		var pid int
		if n, _ := fmt.Sscanf(line, "[main] #%d uses obsolete binary", &pid); n == 1 {
			listed[pid] = true
		}
	}
	return listed, string(text)
}
