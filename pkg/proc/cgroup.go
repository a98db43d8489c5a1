// SPDX-License-Identifier: GPL-2.0

package proc

import (
	"os"
	"path"
	"slices"
	"strings"
)

// cgroupMount is where the hierarchy of control groups is mounted; paths in /proc/PID/cgroup start below it.
const cgroupMount = "/sys/fs/cgroup"

// ParseCgroup reads the content of /proc/PID/cgroup: the paths of the control groups of the unified hierarchy and of
// systemd's own, which alone follow the units.
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

// ByCgroup returns the processes in a control group and in those below it. The name is a path in the hierarchy, with or
// without the place where it is mounted. See Select for what could not be looked at.
func (f FS) ByCgroup(name string) (list []Process, unseen []error, err error) {
	group := path.Clean("/" + strings.TrimPrefix(path.Clean("/"+name), cgroupMount))
	return f.byCgroup(func(p string) bool { return group == "/" || p == group || strings.HasPrefix(p, group+"/") })
}

// ByUnit returns the processes of a unit of the system's manager; a name without a suffix is a service's. Those of other
// managers, of users and in containers, may have any name, and are no more than control groups here. See Select for what could
// not be looked at.
func (f FS) ByUnit(name string) (list []Process, unseen []error, err error) {
	if path.Ext(name) == "" {
		name += ".service"
	}
	return f.byCgroup(func(p string) bool { return slices.Contains(systemUnits(p), name) })
}

// systemUnits are the units of the system's manager that a control group lies in: its slices, and the one unit in the last of
// these. What is below that has been made by whoever runs there.
func systemUnits(group string) []string {
	units := strings.Split(strings.TrimPrefix(group, "/"), "/")
	last := slices.IndexFunc(units, func(u string) bool { return path.Ext(u) != ".slice" })
	if last < 0 {
		return units
	}
	return units[:last+1]
}

// Unit is the unit of the system's manager that a process belongs to, "" if it is in none or in slices alone. A container that the
// manager was asked for is one, and so is the manager of a user.
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

// Units are the units of the system's manager that processes belong to, but for those of processes that cannot be looked at.
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

// unitSuffixes are those of units that have processes of their own.
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
