// SPDX-License-Identifier: GPL-2.0

// Package doctor examines whether a machine can be used for live patching, and explains what to do otherwise. All information
// comes from files below a root directory and from a proc file system, so that tests can provide their own. Nothing is
// modified.
package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lpatch/pkg/boot"
	"lpatch/pkg/proc"
)

// Check is the result of one check.
type Check struct {
	Name    string `json:"check"`
	OK      bool   `json:"ok"`
	Message string `json:"message"` // result, and what to do if it is not OK
}

func ok(name, format string, args ...any) Check {
	return Check{name, true, fmt.Sprintf(format, args...)}
}

func bad(name, format string, args ...any) Check {
	return Check{name, false, fmt.Sprintf(format, args...)}
}

// Machine is the machine to be examined.
type Machine struct {
	Root    string // root directory, normally "/"
	Proc    string // mount point of the proc file system
	PID     int    // PID of this process
	Release string // kernel release as returned by uname(2)
	Arch    string // architecture of the kernel: x86_64

	Registry boot.Registry
}

// Here returns the machine on which this program runs.
func Here() (Machine, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Machine{}, err
	}
	return Machine{Root: "/", Proc: "/proc", PID: os.Getpid(), Registry: boot.Registry{Root: "/"},
		Release: unix.ByteSliceToString(u.Release[:]), Arch: unix.ByteSliceToString(u.Machine[:])}, nil
}

func (m Machine) path(name string) string { return filepath.Join(m.Root, name) }

func (m Machine) exists(name string) bool {
	_, err := os.Stat(m.path(name))
	return err == nil
}

// read returns the content of a file, or "" if it cannot be read.
func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// hasWord reports whether the kernel's command line contains a word with this prefix.
func (m Machine) hasWord(prefix string) bool {
	for word := range strings.FieldsSeq(read(filepath.Join(m.Proc, "cmdline"))) {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// System performs the checks that do not involve the module.
func (m Machine) System() []Check {
	return []Check{m.Processes(), m.Capabilities(), m.Kernel(), m.MapFiles()}
}

// The inode numbers of the initial namespaces: PROC_PID_INIT_INO and PROC_USER_INIT_INO in include/linux/proc_ns.h of the
// kernel.
const (
	initialPIDs  = "pid:[4026531836]"
	initialUsers = "user:[4026531837]"
)

// Processes reports whether all processes of the machine are visible.
func (m Machine) Processes() Check {
	const name = "processes"
	self, err := os.Readlink(filepath.Join(m.Proc, "self"))
	switch {
	case errors.Is(err, os.ErrNotExist) && !exists(filepath.Join(m.Proc, "sys")) && !exists(filepath.Join(m.Proc, "1")):
		return bad(name, `there is no /proc, so no process is to be seen; "mount -t proc proc /proc" mounts it`)
	case err != nil, self != strconv.Itoa(m.PID):
		return bad(name, "/proc shows the processes of another pid namespace than that of lpctl; run lpctl outside of the container")
	}
	if !m.inNamespace("pid", initialPIDs) {
		return bad(name, "this is not the initial pid namespace, so processes outside of it are not to be seen; "+
			"run lpctl outside of the container")
	}
	if _, err := os.ReadFile(filepath.Join(m.Proc, "1/status")); err != nil {
		return bad(name, "process 1 is hidden, so /proc hides processes (hidepid=): run lpctl as root, or "+
			`"mount -o remount,hidepid=0 /proc"`)
	}
	if !exists(filepath.Join(m.Proc, "sys/kernel")) || !exists(filepath.Join(m.Proc, "cmdline")) {
		return bad(name, `/proc shows processes and nothing else (subset=pid); "mount -o remount,subset= /proc", or mount another`)
	}
	if err := m.readInit(); err != nil {
		return bad(name, "process 1 cannot be looked at: %v; a container or a security module (AppArmor, SELinux, Yama) forbids it: "+
			"run lpctl outside of that", err)
	}
	return ok(name, "all processes of this machine are visible")
}

// inNamespace reports whether this process is in the initial namespace of a kind. The file is missing if the kernel does not
// support such namespaces.
func (m Machine) inNamespace(kind, initial string) bool {
	name, err := os.Readlink(filepath.Join(m.Proc, "self/ns", kind))
	return name == initial || errors.Is(err, os.ErrNotExist)
}

// readInit reads from process 1 what has to be read from every target. A lack of CAP_SYS_PTRACE is ignored, because another
// check reports it.
func (m Machine) readInit() error {
	if effective, _ := m.effective(); effective&(1<<unix.CAP_SYS_PTRACE) == 0 {
		return nil
	}
	if _, err := os.Readlink(filepath.Join(m.Proc, "1/exe")); err != nil {
		return err
	}
	_, err := os.ReadFile(filepath.Join(m.Proc, "1/maps"))
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// needed lists the capabilities that the kernel module requires.
var needed = []struct {
	bit  int
	name string
}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}}

// effective returns the effective capabilities of this process as a bit mask.
func (m Machine) effective() (uint64, error) {
	text, err := os.ReadFile(filepath.Join(m.Proc, "self/status"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(proc.ParseStatus(string(text))["CapEff"], 16, 64)
}

// Capabilities reports whether this process has the capabilities that the module requires.
func (m Machine) Capabilities() Check {
	const name = "capabilities"
	effective, err := m.effective()
	if errors.Is(err, fs.ErrNotExist) {
		return bad(name, "they cannot be told without /proc")
	} else if err != nil {
		return bad(name, "cannot read CapEff of /proc/self/status: %v", err)
	}
	for _, n := range needed {
		if effective&(1<<n.bit) == 0 {
			return bad(name, "%s is missing; run lpctl as root", n.name)
		}
	}
	if !m.inNamespace("user", initialUsers) {
		return bad(name, "this is not the initial user namespace; run lpctl outside of the container")
	}
	return ok(name, "CAP_SYS_ADMIN and CAP_SYS_PTRACE")
}

// Kernel reports whether the module supports this kernel.
func (m Machine) Kernel() Check {
	const name = "kernel"
	major, rest, _ := strings.Cut(m.Release, ".")
	minor := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if len(minor) == 0 {
		minor = []string{"0"}
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor[0])
	switch {
	case m.Arch != "x86_64":
		return bad(name, "%s on %s; only x86-64 is supported", m.Release, m.Arch)
	case errors.Join(err1, err2) != nil, a < 6, a == 6 && b < 1:
		return bad(name, "%s is older than 6.1; boot a newer kernel", m.Release)
	}
	return ok(name, "%s on x86-64", m.Release)
}

// MapFiles reports whether images can be opened through /proc/PID/map_files, using this program.
func (m Machine) MapFiles() Check {
	const name = "map_files"
	p := proc.New(m.Proc)
	maps, err := p.Maps(m.PID)
	if err != nil {
		return bad(name, "the files that processes map cannot be looked at: %v", err)
	}
	for _, mapping := range maps {
		if mapping.Exec && mapping.Inode != 0 {
			f, err := p.OpenMapping(m.PID, mapping)
			if err != nil {
				return bad(name, "%v; run lpctl as root, with /proc mounted", err)
			}
			_ = f.Close()
			return ok(name, "/proc/PID/map_files can be used")
		}
	}
	return bad(name, "process %d, which is lpctl, seems to map no program", m.PID)
}
