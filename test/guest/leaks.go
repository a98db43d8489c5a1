// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/klog"
)

// Where the kernel's leak detector is spoken to, if the kernel has one.
const kmemleak = "/sys/kernel/debug/kmemleak"

// Younger memory is not reported: MSECS_MIN_AGE in the kernel's mm/kmemleak.c.
const kmemleakAge = 5 * time.Second

// checkLeaks looks for memory that the module allocated and nothing refers to any more: with the module still there,
// and again when it is gone, with all that only its lists referred to. It does nothing on a kernel that does not keep
// account of it.
func checkLeaks() error {
	if _, err := os.Stat(kmemleak); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	start, size, err := moduleText()
	if err != nil || start == 0 {
		return err
	}
	if err := scanLeaks(start, start+size); err != nil {
		return err
	}
	// The cases are over, so nothing holds it: settle saw to that.
	if err := unix.DeleteModule("lpatch", unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("remove the module after the last case: %w", err)
	}
	return scanLeaks(start, start+size)
}

// moduleText says where the module lies, and 0 if it is not loaded.
func moduleText() (start, size uint64, err error) {
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(modules)) {
		if strings.HasPrefix(line, "lpatch ") {
			return parseModule(line)
		}
	}
	return 0, 0, nil
}

// parseModule reads a line of /proc/modules: name, size, users, by whom, state, address.
func parseModule(line string) (start, size uint64, err error) {
	var name, by, state string
	var users int
	if _, err := fmt.Sscanf(line, "%s %d %d %s %s %v", &name, &size, &users, &by, &state, &start); err != nil {
		return 0, 0, fmt.Errorf("/proc/modules: %q: %w", line, err)
	}
	return start, size, nil
}

// scanLeaks makes the kernel look. Twice: what a register or a stale stack slot refers to by chance is found then.
func scanLeaks(start, end uint64) error {
	for range 2 {
		time.Sleep(kmemleakAge)
		if err := os.WriteFile(kmemleak, []byte("scan"), 0); err != nil {
			return fmt.Errorf("kmemleak: %w", err)
		}
	}
	report, err := os.ReadFile(kmemleak)
	if err != nil {
		return err
	}
	if leaks := klog.Leaks(string(report), start, end); len(leaks) > 0 {
		return fmt.Errorf("the module leaked memory:\n%s", strings.Join(leaks, ""))
	}
	return nil
}
