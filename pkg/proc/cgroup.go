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
// without the place where it is mounted.
func (f FS) ByCgroup(name string) ([]Process, error) {
	group := path.Clean("/" + strings.TrimPrefix(path.Clean("/"+name), cgroupMount))
	return f.byCgroup(func(p string) bool { return group == "/" || p == group || strings.HasPrefix(p, group+"/") })
}

// ByUnit returns the processes of a systemd unit; a name without a suffix is a service's.
func (f FS) ByUnit(name string) ([]Process, error) {
	if path.Ext(name) == "" {
		name += ".service"
	}
	return f.byCgroup(func(p string) bool { return slices.Contains(strings.Split(p, "/"), name) })
}

func (f FS) byCgroup(match func(path string) bool) ([]Process, error) {
	all, err := f.Processes()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p Process) bool {
		text, err := os.ReadFile(f.path(p.PID, "cgroup"))
		return err != nil || !slices.ContainsFunc(ParseCgroup(string(text)), match)
	}), nil
}
