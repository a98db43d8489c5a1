// SPDX-License-Identifier: GPL-2.0

package packages

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// services are the units of systemd that run something.
func services(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("../../scripts/packaging/systemd/*.service")
	if err != nil || len(list) == 0 {
		t.Fatalf("there are %v, %v", list, err)
	}
	return list
}

// TestUnits has systemd judge how much of the machine each unit gets to, from 0 to 10: 2 is what a service takes that runs as root
// and asks the kernel module, with access to little else. And none may wait for ever, which oneshot services do if nothing is said.
func TestUnits(t *testing.T) {
	for _, path := range services(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", path).CombinedOutput()
			if err != nil {
				t.Errorf("systemd-analyze security: %v\n%s", err, out)
			}
			if value := unitValue(t, path, "TimeoutStartSec"); value == "" || value == "infinity" || value == "0" {
				t.Errorf("it may start for ever: TimeoutStartSec is %q", value)
			}
		})
	}
}

// TestBootUnitWaits has systemd tell what the unit that is early in the boot waits for: local file systems, and nothing that comes
// later, or that is remote, which options of a unit may add.
func TestBootUnitWaits(t *testing.T) {
	const unit = "lpatch-boot.service"
	text := string(read(t, "../../scripts/packaging/systemd/"+unit))
	for _, program := range []string{"modprobe", "lpctl"} { // which need not be there
		text = regexp.MustCompile(`(=\+?)`+program+` `).ReplaceAllString(text, "$1/bin/true ")
	}
	path := filepath.Join(t.TempDir(), unit)
	filetest.Tree(t, filepath.Dir(path), map[string]string{unit: text})
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", path)
	cmd.Env = append(cmd.Environ(), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze verify: %v\n%s", err, out)
	}
	_, unitText, _ := strings.Cut(string(out), "-> Unit "+unit+":")
	unitText, _, _ = strings.Cut(unitText, "-> Unit ")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\s+((?:After|Requires|Wants|RequiresMountsFor|WantsMountsFor): \S+)`).FindAllStringSubmatch(unitText, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	want := []string{"After: local-fs.target", "After: system.slice", "Requires: system.slice"}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", unit, got, want)
	}
}

// unitValue is what a unit's file says last of one thing.
func unitValue(t *testing.T, path, name string) string {
	t.Helper()
	value := ""
	for line := range strings.Lines(string(read(t, path))) {
		if v, found := strings.CutPrefix(line, name+"="); found {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// TestMetricsUnit is the attack by the user whose the collector's directory is: links in the place of what lpctl might write
// there. Nothing that they lead to is changed, and the metrics are where they should be.
func TestMetricsUnit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root")
	}
	const unit, secret, metrics = "../../scripts/packaging/systemd/lpatch-metrics.service", "root's\n", "lpatch_up 1\n"
	r := newRPMRoot(t)
	filetest.Tree(t, r.dir, map[string]string{"etc/victim": secret, "var/lib/prometheus/node-exporter/x": "", "run/lpatch-metrics/old": ""})
	hostile := filepath.Join(r.dir, "var/lib/prometheus/node-exporter")
	ours := filepath.Join(r.dir, "run/lpatch-metrics")
	if err := os.Chown(hostile, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{hostile + "/lpatch.prom", hostile + "/lpatch.prom.new", ours + "/lpatch.prom.new"} {
		if err := os.Symlink("/etc/victim", link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "sbin/lpctl"), []byte("#!/bin/sh\necho lpatch_up 1\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	where := strings.ReplaceAll(cmp.Or(unitValue(t, unit, "WorkingDirectory"), "/"), "%t", "/run")
	cmd := exec.Command("chroot", r.dir, "/bin/sh", "-c", "cd "+where+" && "+unitValue(t, unit, "ExecStart"))
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 { // as lpctl's
		t.Errorf("the unit's command: %v\n%s", err, out)
	}
	if got := string(read(t, filepath.Join(r.dir, "etc/victim"))); got != secret {
		t.Errorf("root was had write %q", got)
	}
	if got := string(read(t, filepath.Join(ours, "lpatch.prom"))); got != metrics {
		t.Errorf("the metrics are %q, want %q", got, metrics)
	}
	if left, err := filepath.Glob(ours + "/*.new"); len(left) > 0 || err != nil {
		t.Errorf("%v is left, %v", left, err)
	}
}
