// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"os"
	"strings"
	"testing"
)

// TestElsewhere checks a chroot, a container, and an unknown environment.
func TestElsewhere(t *testing.T) {
	const outside = ", and boot entries are about what the kernel runs; run lpctl outside of it"
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, Machine)
		want  string
	}{
		{"nothing", func(*testing.T, Machine) {}, ""},
		{"a link", func(t *testing.T, m Machine) { link(t, m, "proc/1/root", m.Root+"/.") }, ""},
		{"chroot", func(t *testing.T, m Machine) { link(t, m, "proc/1/root", "/") }, "this is a chroot, as process 1 has another root" + outside},
		{"container", func(t *testing.T, m Machine) { link(t, m, "proc/self/ns/pid", "pid:[4026532281]") },
			"this is a container, as it has a pid namespace of its own" + outside},
		{"no proc", func(t *testing.T, m Machine) { remove(t, m, "proc") }, "whether this is a chroot cannot be told: stat ROOT/proc/1/root: " +
			"no such file or directory; boot entries are about what the kernel runs: run lpctl there as root, with /proc mounted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := made(t)
			link(t, m, "proc/1/root", m.Root)
			c.spoil(t, m)
			got := ""
			if err := m.Elsewhere(); err != nil {
				got = strings.ReplaceAll(err.Error(), m.Root, "ROOT")
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestElsewhereHere examines this machine. The tests may run in a container.
func TestElsewhereHere(t *testing.T) {
	if _, err := os.Stat("/proc/1/root"); err != nil {
		t.Skip("process 1 cannot be looked at here: ", err)
	}
	m, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Elsewhere(); err != nil && strings.Contains(err.Error(), "chroot") {
		t.Error(err)
	}
}
