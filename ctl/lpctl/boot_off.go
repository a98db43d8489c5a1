package main

import (
	"errors"
	"os"

	"lpatch/pkg/boot"
)

// commandLinePath is where the kernel's command line is read; tests replace it.
var commandLinePath = "/proc/cmdline"

// errBootOff is why nothing is registered: somebody wants the machine to come up as its files are.
var errBootOff = errors.New("lpatch.boot=off is on the kernel's command line")

// bootIsOff tells whether the kernel's command line switches boot patches off.
func bootIsOff() (bool, error) {
	line, err := os.ReadFile(commandLinePath)
	if err != nil {
		return false, err
	}
	return boot.IsOff(string(line)), nil
}
