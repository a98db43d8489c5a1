// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"context"
	"os"

	"lpatch/test/vm/protocol"
)

// System is a whole installed system: its kernel, its own initramfs, and a disk (/dev/vda) with its root.
type System struct{ Vmlinuz, Initrd, Disk string }

// Boot boots a system with the kernel of that name and waits for its end. Nothing is put into it: what runs there must write
// events to protocol.ControlPort itself, and what it prints to protocol.StdoutPort. The rest is as with Run.
func Boot(ctx context.Context, cfg Config, s System) (Result, error) {
	m, err := newMachine(ctx, cfg.withDefaults())
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(m.dir)
	m.system, m.see = &s, func(protocol.Event) {}
	return m.run(ctx)
}
