// SPDX-License-Identifier: GPL-2.0

// Command registry changes a registry on the disk of a virtual machine until the machine ends.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lpatch/pkg/boot"
	"lpatch/test/power"
)

func main() {
	if err := run("/dev/nvme0n1", "/mnt"); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

// run has the file system write names before contents, and not flush a file because it is renamed: what that breaks is what
// the registry has not seen to itself.
func run(disk, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(disk, dir, "ext4", 0, "data=writeback,noauto_da_alloc,commit=1"); err != nil {
		return fmt.Errorf("mount %s: %w", disk, err)
	}
	r := boot.Registry{Root: dir}
	for i := 1; ; i++ {
		if err := power.Step(r, i); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		fmt.Printf(power.Done, i)
	}
}
