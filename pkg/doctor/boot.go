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

// Boot checks what is needed to patch programs as they start.
func (m Machine) Boot(loaded bool) []Check {
	list := []Check{m.bootSwitch(loaded)}
	entries, checks := m.bootEntries()
	list = append(list, checks...)
	if entries && m.exists("run/systemd/system") {
		list = append(list, m.bootUnits())
	}
	return list
}

// bootSwitch reports whether boot entries are disabled.
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

// bootEntries checks the entries, their patches and directories. It returns one Check for each problem.
func (m Machine) bootEntries() (any bool, checks []Check) {
	const name = "boot entries"
	for _, err := range m.Registry.Untrusted() {
		// the directories of the registry have common parents
		if c := complaint(name, err); !slices.Contains(checks, c) {
			checks = append(checks, c)
		}
	}
	if len(checks) > 0 {
		return true, checks // nothing more is known about its content
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

// complaint returns the Check for a problem in the registry.
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

// disabled returns an error for an entry that is disabled because of failed boots, or if this is unknown.
func (m Machine) disabled(e *boot.Entry) error {
	return m.Registry.Disabled(read(filepath.Join(m.Proc, "sys/kernel/random/boot_id")), e)
}

// units lists the systemd units that register entries at each boot and mark a boot as successful. Without the latter, all
// entries are eventually disabled.
var units = []string{"lpatch-boot.service", "lpatch-boot-success.service"}

// bootUnits reports whether systemd starts these units.
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

// unitDirs lists the directories in which systemd looks for units (systemd.unit(5)).
var unitDirs = []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}

// enabled reports whether a systemd target wants a unit and the unit is not masked.
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

// hasUnit reports whether the file of a unit exists. The links that enable a unit may remain after its removal.
func (m Machine) hasUnit(unit string) bool {
	for _, dir := range unitDirs {
		if m.exists(path.Join(dir, unit)) {
			return true
		}
	}
	return false
}
