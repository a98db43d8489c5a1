package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// commandLinePath is where the kernel's command line is read; tests replace it.
var commandLinePath = "/proc/cmdline"

// errBootOff is why nothing is registered: somebody wants the machine to come up as its files are.
var errBootOff = errors.New("lpatch.boot=off is on the kernel's command line")

// bootIsOff tells whether lpatch.boot=off, or another word for it that the kernel knows (kstrtobool), is on the kernel's
// command line; the last one counts. modprobe gives it to the module too, which then refuses boot entries; insmod and
// the like do not.
func bootIsOff() (bool, error) {
	line, err := os.ReadFile(commandLinePath)
	if err != nil {
		return false, err
	}
	off := false
	for word := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(word, "lpatch.boot="); ok {
			value = strings.ToLower(value)
			off = strings.HasPrefix(value, "0") || strings.HasPrefix(value, "n") || strings.HasPrefix(value, "of")
		}
	}
	return off, nil
}

// refuseIfOff keeps from what would undo lpatch.boot=off. That nothing is registered then is not what the entries ask for.
func refuseIfOff() error {
	off, err := bootIsOff()
	if err == nil && off {
		return refused(fmt.Errorf("%w; entries stay kept for a boot without it", errBootOff))
	}
	return err
}
