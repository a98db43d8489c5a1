// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/protocol"
)

var mounts = []struct{ source, target, kind, data string }{
	{"proc", "/proc", "proc", ""},
	{"sysfs", "/sys", "sysfs", ""},
	{"devtmpfs", "/dev", "devtmpfs", ""},
	{"devpts", "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666"},
	{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", ""},
	{"debugfs", "/sys/kernel/debug", "debugfs", ""},
	{"tracefs", "/sys/kernel/tracing", "tracefs", ""},
}

// links that devtmpfs does not make by itself.
var links = map[string]string{
	"/dev/fd":     "/proc/self/fd",
	"/dev/stdin":  "/proc/self/fd/0",
	"/dev/stdout": "/proc/self/fd/1",
	"/dev/stderr": "/proc/self/fd/2",
	"/etc/mtab":   "/proc/self/mounts",
}

// mountAll mounts what programs expect. /tmp and the like are in the initramfs, which is a tmpfs.
func mountAll() error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for path, target := range links {
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// The kernel makes a root of tmpfs for everybody to write to, which no system has.
	if err := os.Chmod("/", 0o755); err != nil {
		return err
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("lpatch")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return interfaceUp("lo", nil)
}

// networkUp loads the driver of the network card and gives that its address.
func networkUp() error {
	for _, name := range protocol.NetworkModules {
		path := filepath.Join(protocol.ModulesDir, name+".ko")
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := loadModule(path, ""); err != nil {
			return err
		}
	}
	return interfaceUp("eth0", net.ParseIP(protocol.Address).To4())
}

// interfaceUp gives a network interface its address, unless that is nil, and lets it work.
func interfaceUp(name string, address net.IP) error {
	family := unix.AF_UNIX // a kernel may have no other
	if address != nil {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if address != nil {
		if err := ifr.SetInet4Addr(address); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr); err != nil {
			return fmt.Errorf("address of %s: %w", name, err)
		}
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("%s up: %w", name, err)
	}
	return nil
}

// setSysctls makes the kernel's own watchdogs fatal, and lets its log come out in full from here on: the boot, of
// which only warnings were of interest, is over. With record-cmd the kernel overwrites an instruction of its scheduler each
// time that a probe is switched on or off, and an emulated processor was seen to execute the breakpoint that is there
// meanwhile (Oops: int3 in __schedule()).
func setSysctls() error {
	for path, value := range map[string]string{
		"/proc/sys/kernel/printk":                "8",
		"/proc/sys/kernel/panic_on_rcu_stall":    "1",
		"/proc/sys/kernel/hung_task_panic":       "1",
		"/sys/kernel/tracing/options/record-cmd": "0",
	} {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// openPort opens a serial port for output as it is: no translation of line ends, no echo.
func openPort(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Ispeed, t.Ospeed = unix.B115200, unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// drain waits until all that was written to a port is out.
func drain(port *os.File) {
	// Best effort: what does not arrive, the host misses.
	_ = unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1)
}

func loadModule(path, args string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), args, 0); err != nil {
		return fmt.Errorf("load %s: %w (the kernel's log says why)", path, err)
	}
	return nil
}
