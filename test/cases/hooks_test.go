// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/protocol"
)

// TestFtraceOff loads the module where ftrace calls nobody, and tries to switch ftrace off while lpatch needs it.
//
//machine:reloads
func TestFtraceOff(t *testing.T) {
	const enabled = "/proc/sys/kernel/ftrace_enabled"
	set := func(value string) error { return os.WriteFile(enabled, []byte(value), 0) }
	if err := set("0"); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("switching ftrace off: %v, want EBUSY", err)
	}
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer loadModule(t)
	if err := set("0"); err != nil {
		t.Fatal(err)
	}
	f := open(t, protocol.ModulePath)
	err := unix.FinitModule(int(f.Fd()), "", 0)
	if on := set("1"); on != nil {
		t.Fatal(on)
	}
	if err != unix.EBUSY {
		t.Fatalf("loading lpatch: %v, want EBUSY", err)
	}
}
