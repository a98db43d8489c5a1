// SPDX-License-Identifier: GPL-2.0

//go:build vm

package inside

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// greetEntry is the boot entry of the package lpatch-fix-greet.
const greetEntry = "/etc/lpctl/boot.d/greet-fix.yaml"

// patchPackage is about a service and a package that has a patch for its version 1, as the guide for distributions says: it
// keeps no upgrade from coming, and what runs stays patched until it is restarted. The packages come from an archive.
func patchPackage(t *testing.T) {
	publish(t, "1")
	sh(t, apt+"install greet && systemctl start greet")
	wantGreeting(t, "Helo")
	g := &greet{pid: mainPID(t, "greet")}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"installed", g.installed}, {"exact dependency", g.exact}, {"other patch", g.otherPatch}, {"security update", g.update},
		{"removed", g.removed}, {"restarted", g.restarted}, {"beside another version", g.besideOther}, {"downgraded", g.downgraded},
		{"without the program", g.withoutProgram},
	} {
		if !t.Run(part.name, part.test) {
			t.Log(sh(t, "dpkg -l 'greet*' 'lpatch-fix-*'; cat "+greetEntry+"; tail -n 3 /run/greet.log; lpctl boot list 2>&1; lpctl status; true"))
			return
		}
	}
	sh(t, apt+"purge greet lpatch-fix-greet") // lpatch cannot be removed while a patch in a package needs it
}

// apt is how it is called: it asks nothing.
const apt = "DEBIAN_FRONTEND=noninteractive apt-get --yes "

// publish has the archive contain these parts.
func publish(t *testing.T, parts ...string) {
	t.Helper()
	var list strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&list, "deb [trusted=yes] file:/archive/%s ./\n", part)
	}
	if err := os.WriteFile("/etc/apt/sources.list", []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	sh(t, apt+"update")
}

// wantGreeting waits until the service greets so: it does ten times a second.
func wantGreeting(t *testing.T, want string) {
	t.Helper()
	wait(t, "greeting "+want, func() error {
		out, err := exec.Command("tail", "-n", "1", "/run/greet.log").Output()
		if err == nil && !strings.HasPrefix(string(out), want) {
			err = fmt.Errorf("greet says %q", out)
		}
		return err
	})
}

func wantVersionOf(t *testing.T, name, want string) {
	t.Helper()
	if got := sh(t, "dpkg-query --show --showformat '${Version} ${db:Status-Status}' "+name); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// wantEntry sees whether there is an entry, here and in the kernel.
func wantEntry(t *testing.T, want bool) {
	t.Helper()
	_, err := os.Stat(greetEntry)
	if list := sh(t, "lpctl boot list"); (err == nil) != want || strings.Contains(list, "greet-fix ") != want {
		t.Errorf("an entry is expected: %t, but: %v\n%s", want, err, list)
	}
}

// wantOutput sees that a command said, or did not say, a line with this in it.
func wantOutput(t *testing.T, out, part string, want bool) {
	t.Helper()
	if strings.Contains(out, part) != want {
		t.Errorf("that %q is said is expected: %t, but this is\n%s", part, want, out)
	}
}

type greet struct {
	pid string // of the service
}

// patched sees that the process is the one from the beginning, and is patched.
func (g *greet) patched(t *testing.T, greeting string) {
	t.Helper()
	wantGreeting(t, greeting)
	if got := mainPID(t, "greet"); got != g.pid {
		t.Errorf("the service has been restarted: process %s, before %s", got, g.pid)
	}
	wantOutput(t, sh(t, "lpctl status --pid "+g.pid+" | grep applied"), "greet-fix ", true)
}

func (g *greet) installed(t *testing.T) {
	sh(t, apt+"install lpatch-fix-greet")
	wantVersionOf(t, "lpatch-fix-greet", "1 installed")
	wantEntry(t, true)
	g.patched(t, "Hello,")
}

// exact is what comes of a package that depends on the very version: no security update.
func (g *greet) exact(t *testing.T) {
	sh(t, apt+"install greet-exact")
	publish(t, "1", "2")
	wantOutput(t, sh(t, apt+"--simulate upgrade"), "kept back:\n  greet\n", true)
	wantOutput(t, sh(t, apt+"--simulate dist-upgrade"), "REMOVED:\n  greet-exact\n", true)
	sh(t, apt+"purge greet-exact")
}

// otherPatch upgrades the package of the patch. The old patch is in effect until the new one is.
func (g *greet) otherPatch(t *testing.T) {
	before := read(t, greetEntry)
	sh(t, "dpkg --unpack /archive/next/lpatch-fix-greet_2_amd64.deb")
	wantEntry(t, true)
	if read(t, greetEntry) != before {
		t.Error("the entry is another before the package is configured")
	}
	g.patched(t, "Hello,")
	sh(t, "dpkg --configure lpatch-fix-greet")
	wantVersionOf(t, "lpatch-fix-greet", "2 installed")
	wantEntry(t, true)
	if read(t, greetEntry) == before {
		t.Error("the entry is that of the old patch")
	}
	g.patched(t, "Good day,")
}

// update has the new version of the program come, beside which the package stays.
func (g *greet) update(t *testing.T) {
	out := sh(t, apt+"upgrade")
	wantOutput(t, out, "kept back", false)
	wantOutput(t, out, "greet-fix is superseded: /usr/bin/greet has build-id ", true)
	wantVersionOf(t, "greet", "2 installed")
	g.patched(t, "Good day,")
	wantOutput(t, sh(t, apt+"dist-upgrade"), "REMOVED", false)
	wantVersionOf(t, "lpatch-fix-greet", "2 installed")
	g.patched(t, "Good day,")
}

// removed takes the package out, which ends the entry and nothing else, and then purges it, which reverts what runs.
func (g *greet) removed(t *testing.T) {
	sh(t, apt+"remove lpatch-fix-greet")
	wantEntry(t, false)
	g.patched(t, "Good day,")
	wantOutput(t, sh(t, apt+"purge lpatch-fix-greet"), "reverted greet-fix", true)
	wantEntry(t, false)
	wantGreeting(t, "Helo")
	if got := mainPID(t, "greet"); got != g.pid {
		t.Errorf("the service has been restarted: process %s, before %s", got, g.pid)
	}
}

// restarted is when the new file is run, and no patch has a part in it.
func (g *greet) restarted(t *testing.T) {
	sh(t, "systemctl restart greet")
	wantGreeting(t, "Hello,")
	wantOutput(t, sh(t, "lpctl status"), "greet-fix ", false)
}

// besideOther installs the package where it has nothing to do.
func (g *greet) besideOther(t *testing.T) {
	out := sh(t, apt+"install lpatch-fix-greet")
	wantOutput(t, out, "greet-fix: this system does not have the file that the patch is for; nothing is done about what starts", true)
	wantOutput(t, out, "try again", false)
	wantVersionOf(t, "lpatch-fix-greet", "1 installed")
	wantEntry(t, false)
	wantGreeting(t, "Hello,")
}

// downgraded has the version come back that the patch is for.
func (g *greet) downgraded(t *testing.T) {
	sh(t, apt+"--allow-downgrades install greet=1")
	wantEntry(t, true)
	sh(t, "systemctl restart greet")
	wantGreeting(t, "Hello,")
	g.pid = mainPID(t, "greet")
	g.patched(t, "Hello,")
}

// withoutProgram removes both, and installs the package where there is no program.
func (g *greet) withoutProgram(t *testing.T) {
	sh(t, "systemctl stop greet")
	sh(t, apt+"purge greet lpatch-fix-greet")
	wantEntry(t, false)
	out := sh(t, apt+"install lpatch-fix-greet")
	wantOutput(t, out, "greet-fix: this system does not have the file that the patch is for; nothing is done about what starts", true)
	wantVersionOf(t, "lpatch-fix-greet", "1 installed")
}
