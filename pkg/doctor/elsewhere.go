// SPDX-License-Identifier: GPL-2.0

package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Elsewhere returns an error if this process is not in the system that the kernel has booted: in a chroot, in a container or
// in an image under construction, boot entries do not concern the programs that start on this machine. It also returns an
// error if this is unknown.
func (m Machine) Elsewhere() error {
	const outside = "boot entries are about what the kernel runs; run lpctl outside of it"
	first, err := os.Stat(filepath.Join(m.Proc, "1/root"))
	if err != nil {
		return fmt.Errorf("whether this is a chroot cannot be told: %w; boot entries are about what the kernel runs: run lpctl there as root, "+
			"with /proc mounted", err)
	}
	here, err := os.Stat(m.Root)
	if err != nil {
		return err
	}
	switch {
	case !os.SameFile(first, here):
		return errors.New("this is a chroot, as process 1 has another root, and " + outside)
	case !m.inNamespace("pid", initialPIDs):
		return errors.New("this is a container, as it has a pid namespace of its own, and " + outside)
	}
	return nil
}
