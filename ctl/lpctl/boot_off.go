// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"lpatch/pkg/boot"
)

// errBootOff is why nothing is registered: somebody wants the machine to come up as its files are.
var errBootOff = errors.New("lpatch.boot=off is on the kernel's command line")

// bootIsOff tells whether the kernel's command line switches boot patches off.
func (h *host) bootIsOff() (bool, error) {
	line, err := os.ReadFile(h.commandLinePath)
	if err != nil {
		return false, err
	}
	return boot.IsOff(string(line)), nil
}

// refuseIfOff keeps from what would undo lpatch.boot=off. That nothing is registered then is not what the entries ask for.
func (h *host) refuseIfOff() error {
	off, err := h.bootIsOff()
	if err == nil && off {
		return refused(fmt.Errorf("%w; entries stay kept for a boot without it", errBootOff))
	}
	return err
}
