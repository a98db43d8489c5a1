// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lpatch/pkg/boot"
)

// withEntry returns a machine with one boot entry that systemd registers.
func withEntry(t *testing.T) Machine {
	t.Helper()
	m := made(t)
	e := &boot.Entry{Name: "fix", Images: []boot.Image{{Path: "/usr/bin/prog"}}, OnFailure: boot.Run, Boots: 1}
	if err := m.Registry.Add(e, []byte("the patch")); err != nil {
		t.Fatal(err)
	}
	write(t, m, "run/systemd/system/x", "")
	write(t, m, "sys/module/lpatch/parameters/boot", "Y\n")
	link(t, m, "etc/systemd/system/sysinit.target.wants/lpatch-boot.service", "/usr/lib/systemd/system/lpatch-boot.service")
	link(t, m, "etc/systemd/system/multi-user.target.wants/lpatch-boot-success.service", "/x")
	write(t, m, "lib/systemd/system/lpatch-boot.service", "")
	write(t, m, "usr/lib/systemd/system/lpatch-boot-success.service", "")
	return m
}

func chmod(t *testing.T, m Machine, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(m.path(name), mode); err != nil {
		t.Fatal(err)
	}
}

// TestBoot introduces one problem in the configuration of boot entries.
func TestBoot(t *testing.T) {
	const (
		switchedOn = "ok boot: programs are patched as they start, if there are entries for them"
		kept       = `ok boot entries: 1, each with its patch; "lpctl boot sync" compares them with what runs`
		registered = "ok boot services: systemd registers the entries at each boot"
		others     = "; nothing in it is trusted; see what others have put there, then "
	)
	untrusted := func(name string, mode int) string {
		return fmt.Sprintf(`FAIL boot entries: ROOT/%s may be written by others (mode %04o)%s"chown root: ROOT/%[1]s && chmod go-w ROOT/%[1]s"`,
			name, mode, others)
	}
	var store string
	for _, c := range []struct {
		name   string
		loaded bool
		spoil  func(*testing.T, Machine)
		want   []string
	}{
		{"nothing", true, func(*testing.T, Machine) {}, []string{switchedOn, kept, registered}},
		{"not loaded", false, func(*testing.T, Machine) {}, []string{"ok boot: nothing switches boot patches off", kept, registered}},
		{"switched off", true, func(t *testing.T, m Machine) { write(t, m, "sys/module/lpatch/parameters/boot", "N\n") }, []string{
			"FAIL boot: the module was loaded with boot=off: no program is patched as it starts; look for " +
				`"options lpatch boot=off" in /etc/modprobe.d, then "rmmod lpatch" and "modprobe lpatch"`, kept, registered}},
		{"to be switched off", false, func(t *testing.T, m Machine) { write(t, m, "run/modprobe.d/x.conf", "options lpatch boot=Off\n") }, []string{
			`FAIL boot: /run/modprobe.d/x.conf has "options lpatch boot=Off": once lpatch is loaded, no program is patched as it starts; ` +
				"take that out", kept, registered}},
		{"to be switched on", false, func(t *testing.T, m Machine) {
			write(t, m, "etc/modprobe.d/x.conf", "options lpatch boot=0 require_signature\noptions lpatch boot=1\n")
		}, []string{"ok boot: nothing switches boot patches off", kept, registered}},
		{"no units", true, func(t *testing.T, m Machine) { remove(t, m, "usr/lib") }, []string{switchedOn, kept,
			"FAIL boot services: there are boot entries, and there is no lpatch-boot-success.service for systemd to start, so they would be " +
				`lost or disabled; install lpatch again: its package, or "sudo make install" in its source`}},
		{"no sysfs", true, func(t *testing.T, m Machine) { remove(t, m, "sys") }, []string{
			`FAIL boot: /sys does not show whether the module was loaded with boot=off; "mount -t sysfs sysfs /sys" mounts it`, kept,
			registered}},
		{"command line", false, func(t *testing.T, m Machine) { write(t, m, "proc/cmdline", "ro lpatch.boot=off\n") }, []string{
			"FAIL boot: lpatch.boot=off is on the kernel's command line: no program is patched as it starts; boot without it", kept,
			registered}},
		{"no command line", true, func(t *testing.T, m Machine) { remove(t, m, "proc/cmdline") }, []string{
			"FAIL boot: whether lpatch.boot=off is on the kernel's command line cannot be told: open ROOT/proc/cmdline: " +
				"no such file or directory", kept, registered}},
		{"entries", true, func(t *testing.T, m Machine) { chmod(t, m, "etc/lpctl/boot.d", 0o777) }, []string{switchedOn,
			untrusted("etc/lpctl/boot.d", 0o777), registered}},
		{"entry", true, func(t *testing.T, m Machine) { chmod(t, m, "etc/lpctl/boot.d/fix.yaml", 0o664) }, []string{switchedOn,
			untrusted("etc/lpctl/boot.d/fix.yaml", 0o664), registered}},
		{"directory of entries", true, func(t *testing.T, m Machine) { chmod(t, m, "etc/lpctl", 0o775) }, []string{switchedOn,
			untrusted("etc/lpctl", 0o775), registered}},
		{"etc", true, func(t *testing.T, m Machine) { chmod(t, m, "etc", 0o757) }, []string{switchedOn, untrusted("etc", 0o757),
			registered}},
		{"store", true, func(t *testing.T, m Machine) { chmod(t, m, "var/lib/lpctl/store", 0o777) }, []string{switchedOn,
			untrusted("var/lib/lpctl/store", 0o777), registered}},
		{"directory of the store", true, func(t *testing.T, m Machine) { chmod(t, m, "var/lib/lpctl", 0o777) }, []string{switchedOn,
			untrusted("var/lib/lpctl", 0o777), registered}},
		{"broken", true, func(t *testing.T, m Machine) { write(t, m, "etc/lpctl/boot.d/fix.yaml", "name: fix\nsha256: x\n") }, []string{
			switchedOn, `FAIL boot entries: ROOT/etc/lpctl/boot.d/fix.yaml: sha256 "x" is none; mend it, or "lpctl boot remove fix"`,
			registered}},
		{"another name", true, func(t *testing.T, m Machine) {
			if err := os.Rename(m.path("etc/lpctl/boot.d/fix.yaml"), m.path("etc/lpctl/boot.d/fox.yaml")); err != nil {
				t.Fatal(err)
			}
		}, []string{switchedOn, `FAIL boot entries: ROOT/etc/lpctl/boot.d/fox.yaml: the entry in it is named "fix"; rename the file`,
			registered}},
		{"no patch", true, func(t *testing.T, m Machine) { remove(t, m, "var/lib/lpctl/store") }, []string{switchedOn,
			"FAIL boot entries: the patch of the entry fix is gone from /var/lib/lpctl; add the entry again", registered}},
		{"damaged", true, func(t *testing.T, m Machine) { write(t, m, store, "another") }, []string{switchedOn,
			"FAIL boot entries: ROOT/STORE is damaged; add the boot entry fix again", registered}},
		{"disabled", true, func(t *testing.T, m Machine) {
			entries, _ := m.Registry.List()
			if err := m.Registry.Begin("boot 0", entries); err != nil {
				t.Fatal(err)
			}
		}, []string{switchedOn, `FAIL boot entries: fix is disabled: it was active in 1 boot that did not reach "lpctl boot success"; ` +
			"add it again to try it again", registered}},
		{"count", true, func(t *testing.T, m Machine) { write(t, m, "etc/lpctl/boots.yaml", "entries: {fix: }\n") }, []string{switchedOn,
			`FAIL boot entries: ROOT/etc/lpctl/boots.yaml: the number of boots of "fix" is not one; if you remove the file, ` +
				"all entries begin at 0", registered}},
		{"services", true, func(t *testing.T, m Machine) { remove(t, m, "etc/systemd") }, []string{switchedOn, kept,
			"FAIL boot services: there are boot entries, and systemd does not start lpatch-boot.service lpatch-boot-success.service at " +
				`boot, so they would be lost or disabled; "systemctl unmask lpatch-boot.service lpatch-boot-success.service && ` +
				`systemctl enable lpatch-boot.service lpatch-boot-success.service"`}},
		{"masked", true, func(t *testing.T, m Machine) { link(t, m, "etc/systemd/system/lpatch-boot.service", "/dev/null") }, []string{
			switchedOn, kept, "FAIL boot services: there are boot entries, and systemd does not start lpatch-boot.service at boot, so " +
				`they would be lost or disabled; "systemctl unmask lpatch-boot.service && systemctl enable lpatch-boot.service"`}},
		{"no systemd", true, func(t *testing.T, m Machine) { remove(t, m, "run") }, []string{switchedOn, kept}},
		{"no entries", true, func(t *testing.T, m Machine) { remove(t, m, "etc/lpctl"); remove(t, m, "etc/systemd") }, []string{switchedOn,
			"ok boot entries: none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := withEntry(t)
			found, err := filepath.Glob(m.path("var/lib/lpctl/store/*.lp"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			store = strings.TrimPrefix(found[0], m.Root+"/")
			c.spoil(t, m)
			var got []string
			for _, k := range m.Boot(c.loaded) {
				word := "FAIL"
				if k.OK {
					word = "ok"
				}
				text := fmt.Sprintf("%s %s: %s", word, k.Name, k.Message)
				got = append(got, strings.ReplaceAll(strings.ReplaceAll(text, m.Root, "ROOT"), store, "STORE"))
			}
			if g, w := strings.Join(got, "\n"), strings.Join(c.want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
}
