// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"os"
	"path"
	"slices"
	"strings"
)

// cgroupMount is the mount point of the cgroup hierarchy. Paths in /proc/PID/cgroup are relative to it.
const cgroupMount = "/sys/fs/cgroup"

// ParseCgroup parses the content of /proc/PID/cgroup. It returns the paths in the unified hierarchy and in systemd's named
// hierarchy; no other hierarchy reflects units.
func ParseCgroup(text string) []string {
	var paths []string
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && (f[1] == "" || f[1] == "name=systemd") {
			paths = append(paths, strings.TrimSuffix(f[2], " (deleted)"))
		}
	}
	return paths
}

// ByCgroup returns the processes in a cgroup and its descendants. name is a path in the hierarchy, with or without the mount
// point. See Select for unseen.
func (f FS) ByCgroup(name string) (list []Process, unseen []error, err error) {
	group := path.Clean("/" + strings.TrimPrefix(path.Clean("/"+name), cgroupMount))
	return f.byCgroup(func(p string) bool { return group == "/" || p == group || strings.HasPrefix(p, group+"/") })
}

// ByUnit returns the processes of a unit of the system manager. A name without a suffix denotes a service. Units of other
// managers, those of users and in containers, can have any name and are treated as plain cgroups. See Select for unseen.
func (f FS) ByUnit(name string) (list []Process, unseen []error, err error) {
	if path.Ext(name) == "" {
		name += ".service"
	}
	return f.byCgroup(func(p string) bool { return slices.Contains(systemUnits(p), name) })
}

// systemUnits returns the units of the system manager that contain a cgroup: its slices and the unit in the innermost slice.
// Cgroups below this unit are created by the processes in it.
func systemUnits(group string) []string {
	units := strings.Split(strings.TrimPrefix(group, "/"), "/")
	last := slices.IndexFunc(units, func(u string) bool { return path.Ext(u) != ".slice" })
	if last < 0 {
		return units
	}
	return units[:last+1]
}

// Unit returns the unit of the system manager that a process belongs to, or "" if it is in no unit or only in slices.
// Containers created by the system manager are units, and so are user managers.
func (f FS) Unit(pid int) (string, error) {
	text, err := os.ReadFile(f.path(pid, "cgroup"))
	if err != nil {
		return "", explain(pid, err)
	}
	for _, group := range ParseCgroup(string(text)) {
		units := systemUnits(group)
		if last := units[len(units)-1]; slices.Contains(unitSuffixes, path.Ext(last)) {
			return last, nil
		}
	}
	return "", nil
}

// Units returns the units of the system manager that have processes. Processes that cannot be inspected are ignored.
func (f FS) Units() ([]string, error) {
	pids, err := f.pids()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, pid := range pids {
		if unit, err := f.Unit(pid); err == nil && unit != "" {
			list = append(list, unit)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// unitSuffixes lists the suffixes of unit types that can have processes.
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

func (f FS) byCgroup(match func(path string) bool) ([]Process, []error, error) {
	return f.Select(func(p Process) (bool, error) {
		text, err := os.ReadFile(f.path(p.PID, "cgroup"))
		if err != nil {
			return false, explain(p.PID, err)
		}
		return slices.ContainsFunc(ParseCgroup(string(text)), match), nil
	})
}
