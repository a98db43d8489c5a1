// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"lpatch/pkg/version"
)

// TestPackage is about lpatch's own packages, in a system that came up by another initramfs: what is patched stays so while
// they are upgraded, removed, installed again and purged. Its parts come one after another. DKMS has built the module of
// revision 2 when the system was made; here are no headers, as on machines that do not need a compiler any more.
func TestPackage(t *testing.T) {
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"first process", firstProcess}, {"module", module}, {"installed", installed}, {"upgraded", upgraded},
		{"removed", lpatchRemoved}, {"installed again", installedAgain}, {"purged", purged},
	} {
		if !t.Run(part.name, part.test) {
			t.Log(sh(t, "cat /proc/modules; lpctl boot list 2>&1; lpctl status 2>&1; dpkg -l 'lpatch*'; true"))
			return
		}
	}
}

// module looks at what DKMS has made of the package's sources: it is of the version that is installed, for this kernel, and signed.
func module(t *testing.T) {
	release := sh(t, "uname -r")
	for _, c := range []struct{ command, want string }{
		{"dkms status", "lpatch/" + version.Number + "-2, " + release + ", x86_64: installed"},
		{"modinfo --field filename lpatch", "/lib/modules/" + release + "/updates/dkms/lpatch.ko"},
		{"modinfo --field vermagic lpatch | cut -d ' ' -f 1", release},
		{"modinfo --field signer lpatch", "DKMS module signing key"},
		// What runs is what was built: the file is found by what it says of its source, version and all.
		{"cat /sys/module/lpatch/srcversion", sh(t, "modinfo --field srcversion lpatch")},
	} {
		if got := sh(t, c.command); got != c.want {
			t.Errorf("%s says %q, want %q", c.command, got, c.want)
		}
	}
}

// memcached was patched as it started, and is watched by the parts that follow.
var memcached struct{ pid, status, registry string }

// installed starts a server, and has an administrator disable a unit.
func installed(t *testing.T) {
	wantEnabled(t, "enabled", "enabled", "disabled", "disabled")
	sh(t, "systemctl disable lpatch-boot-success.service")
	sh(t, "systemctl start memcached")
	questions["memcached"].want(t, "patched")
	memcached.pid = mainPID(t, "memcached")
	memcached.status = sh(t, "lpctl status --pid "+memcached.pid)
	memcached.registry = registry(t)
	if !strings.Contains(memcached.status, "applied") {
		t.Errorf("of memcached lpctl says\n%s", memcached.status)
	}
}

// registry is what is kept, and that it is registered.
func registry(t *testing.T) string {
	t.Helper()
	return sh(t, `cd /etc/lpctl && find . -type f -name '*.yaml' ! -name boots.yaml | sort | xargs sha256sum
		ls -l /var/lib/lpctl/store
		lpctl boot list | awk '{ print $1, $2, $3 }'`)
}

// upgraded sees that a new version of lpatch drops no patch and forgets none, and leaves to administrators what is theirs.
func upgraded(t *testing.T) {
	sh(t, "dpkg --install /packages/lpatch_"+version.Number+"-3_amd64.deb /packages/lpatch-dkms_"+version.Number+"-3_all.deb")
	wantVersion(t, version.Number+"-3")
	wantSame(t)
}

// wantSame sees that what was patched is so, is told of, and that programs which start are patched; that what was kept is so;
// and that the unit which was disabled has not been enabled.
func wantSame(t *testing.T) {
	t.Helper()
	if got := registry(t); got != memcached.registry {
		t.Errorf("now is kept\n%s\nand before it was\n%s", got, memcached.registry)
	}
	wantEnabled(t, "enabled", "disabled", "disabled", "disabled")
	if got := sh(t, "lpctl status --pid "+memcached.pid); got != memcached.status {
		t.Errorf("of memcached lpctl says\n%s\nand before it was\n%s", got, memcached.status)
	}
	wantRunning(t)
}

// wantRunning asks programs only: lpctl may be gone.
func wantRunning(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/sys/module/lpatch"); err != nil {
		t.Errorf("the module is not loaded any more: %v", err)
	}
	questions["memcached"].want(t, "patched")
	if got := mainPID(t, "memcached"); got != memcached.pid {
		t.Errorf("memcached has been started again: process %s, before %s", got, memcached.pid)
	}
	if got := virtualization(t); got != "patched" {
		t.Errorf("process 1 says %q, want patched", got)
	}
	if got := sh(t, "greeting"); !strings.HasSuffix(got, " patched") {
		t.Errorf("a program that starts says %q, want patched", got)
	}
}

func wantVersion(t *testing.T, want string) {
	t.Helper()
	if got := sh(t, "dpkg-query --show --showformat '${Version} ${db:Status-Status}\n' lpatch lpatch-dkms | sort -u"); got != want+" installed" {
		t.Errorf("installed are %q, want %s", got, want)
	}
}

// wantEnabled asks systemd about the units, in the order that the words have here.
func wantEnabled(t *testing.T, boot, success, watch, metrics string) {
	t.Helper()
	got := sh(t, "systemctl is-enabled lpatch-boot.service lpatch-boot-success.service lpatch-watch.service lpatch-metrics.timer || true")
	if want := strings.Join([]string{boot, success, watch, metrics}, "\n"); got != want {
		t.Errorf("the units are\n%s\nwant\n%s", got, want)
	}
}

// lpatchRemoved sees that what runs stays as it is, and that what was kept is there for when lpatch comes back.
func lpatchRemoved(t *testing.T) {
	sh(t, "dpkg --remove lpatch lpatch-dkms")
	if path, err := exec.LookPath("lpctl"); err == nil {
		t.Errorf("there is %s", path)
	}
	wantRunning(t)
	for _, path := range []string{"/etc/lpctl/boot.d/libc.yaml", "/var/lib/lpctl/store"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("removed too: %v", err)
		}
	}
	if out := sh(t, "find /lib/modules /usr/lib/systemd /usr/src -name '*lpatch*'"); out != "" {
		t.Errorf("left are\n%s", out)
	}
}

// installedAgain finds all as it was: what is patched is known to the kernel.
func installedAgain(t *testing.T) {
	sh(t, "dpkg --install /packages/lpatch_"+version.Number+"-3_amd64.deb")
	wantSame(t)
}

// purged sees that nothing of lpatch is left on the disk. What runs is not changed by that either.
func purged(t *testing.T) {
	sh(t, "dpkg --purge lpatch lpatch-dkms")
	wantRunning(t)
	for _, path := range []string{"/etc/lpctl", "/var/lib/lpctl"} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
	const where = "/etc /usr/bin /usr/lib /usr/sbin /usr/share /usr/src /var/lib"
	if out := sh(t, "find "+where+" -name '*lpatch*' -o -name '*lpctl*'"); out != "" {
		t.Errorf("left are\n%s", out)
	}
}
