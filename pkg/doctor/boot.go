// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/boot"
)

// Boot checks what patches programs as they start.
func (m Machine) Boot(loaded bool) []Check {
	list := []Check{m.bootSwitch(loaded)}
	entries, checks := m.bootEntries()
	list = append(list, checks...)
	if entries && m.exists("run/systemd/system") {
		list = append(list, m.bootUnits())
	}
	return list
}

// bootSwitch tells whether somebody has switched it off.
func (m Machine) bootSwitch(loaded bool) Check {
	const name = "boot"
	if line, err := os.ReadFile(filepath.Join(m.Proc, "cmdline")); err != nil {
		return bad(name, "whether lpatch.boot=off is on the kernel's command line cannot be told: %v", err)
	} else if boot.IsOff(string(line)) {
		return bad(name, "lpatch.boot=off is on the kernel's command line: no program is patched as it starts; boot without it")
	}
	value := read(m.path("sys/module/lpatch/parameters/boot"))
	later, file := m.option("boot")
	switch {
	case !loaded && later != "" && isNo(later):
		return bad(name, "%s has \"options lpatch boot=%s\": once lpatch is loaded, no program is patched as it starts; take that out",
			file, later)
	case !loaded:
		return ok(name, "nothing switches boot patches off")
	case value == "N":
		return bad(name, "the module was loaded with boot=off: no program is patched as it starts; "+
			"look for \"options lpatch boot=off\" in /etc/modprobe.d, then \"rmmod lpatch\" and \"modprobe lpatch\"")
	case value != "Y":
		return bad(name, "/sys does not show whether the module was loaded with boot=off; \"mount -t sysfs sysfs /sys\" mounts it")
	}
	return ok(name, "programs are patched as they start, if there are entries for them")
}

// bootEntries checks all that is kept, and the directories that it is in. There is a line for each thing that is wrong.
func (m Machine) bootEntries() (any bool, checks []Check) {
	const name = "boot entries"
	for _, err := range m.Registry.Untrusted() {
		// The directories of the registry have some of their parents in common.
		if c := complaint(name, err); !slices.Contains(checks, c) {
			checks = append(checks, c)
		}
	}
	if len(checks) > 0 {
		return true, checks // of what is in there nothing more is known
	}
	entries, wrong := m.Registry.List()
	for _, err := range wrong {
		checks = append(checks, complaint(name, err))
	}
	for _, e := range entries {
		f, err := m.Registry.Patch(e)
		switch {
		case err == nil:
			f.Close()
		case errors.Is(err, fs.ErrNotExist):
			checks = append(checks, bad(name, "the patch of the entry %s is gone from /var/lib/lpctl; add the entry again", e.Name))
		default:
			checks = append(checks, complaint(name, err))
		}
		if err := m.disabled(e); err != nil {
			checks = append(checks, bad(name, "%v", err))
		}
	}
	any = len(entries)+len(wrong) > 0
	switch {
	case len(checks) > 0:
	case any:
		checks = append(checks, ok(name, "%d, each with its patch; \"lpctl boot sync\" compares them with what runs", len(entries)))
	default:
		checks = append(checks, ok(name, "none"))
	}
	return any, checks
}

// complaint says what to do about something wrong in the registry.
func complaint(name string, err error) Check {
	var untrusted *boot.UntrustedError
	if errors.As(err, &untrusted) {
		return bad(name, "%v; see what others have put there, then \"chown root: %s && chmod go-w %[2]s\"", err, untrusted.Path)
	}
	var broken *boot.BrokenError
	if errors.As(err, &broken) {
		return bad(name, "%v; mend it, or \"lpctl boot remove %s\"", err, broken.Name)
	}
	return bad(name, "%v", err)
}

// disabled returns an error for an entry that failed too often, or if that cannot be told.
func (m Machine) disabled(e *boot.Entry) error {
	return m.Registry.Disabled(read(filepath.Join(m.Proc, "sys/kernel/random/boot_id")), e)
}

// units register entries at each boot, and say that a boot went well: without the second all entries are disabled after some.
var units = []string{"lpatch-boot.service", "lpatch-boot-success.service"}

// bootUnits tells whether systemd starts them.
func (m Machine) bootUnits() Check {
	const name = "boot services"
	var missing []string
	for _, unit := range units {
		if !m.enabled(unit) {
			missing = append(missing, unit)
		}
	}
	var gone []string
	for _, unit := range missing {
		if !m.hasUnit(unit) {
			gone = append(gone, unit)
		}
	}
	if len(gone) > 0 {
		return bad(name, "there are boot entries, and there is no %s for systemd to start, so they would be lost or disabled; "+
			"install lpatch again: its package, or \"sudo make install\" in its source", strings.Join(gone, " "))
	}
	if len(missing) == 0 {
		return ok(name, "systemd registers the entries at each boot")
	}
	list := strings.Join(missing, " ")
	return bad(name, "there are boot entries, and systemd does not start %s at boot, so they would be lost or disabled; "+
		"\"systemctl unmask %[1]s && systemctl enable %[1]s\"", list)
}

// unitDirs are where systemd looks for units (systemd.unit(5)).
var unitDirs = []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}

// enabled tells whether a target of systemd wants a unit, and nobody has masked it.
func (m Machine) enabled(unit string) bool {
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system"} {
		if to, err := os.Readlink(m.path(path.Join(dir, unit))); err == nil && to == "/dev/null" {
			return false
		}
	}
	for _, dir := range unitDirs {
		for _, kind := range []string{"wants", "requires"} {
			if found, _ := filepath.Glob(m.path(path.Join(dir, "*."+kind, unit))); len(found) > 0 {
				return m.hasUnit(unit)
			}
		}
	}
	return false
}

// hasUnit tells whether systemd finds a unit's file: a link that wants it stays when that goes.
func (m Machine) hasUnit(unit string) bool {
	for _, dir := range unitDirs {
		if m.exists(path.Join(dir, unit)) {
			return true
		}
	}
	return false
}
