// SPDX-License-Identifier: GPL-2.0

// Command guest is init, process 1, of the virtual machines that test/vm boots: it sets the machine up, does its job
// (test/vm/protocol) and ends the machine. Whatever goes wrong it reports if it can; if not, the machine ends without
// the word that says all is well.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/protocol"
)

// guest is the machine from the inside.
type guest struct {
	job            protocol.Job
	stdout, stderr *os.File
	control        *os.File
	env            []string
}

func main() {
	g := &guest{}
	err := g.setUp()
	if err == nil {
		err = g.work()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err) // the kernel's console
		g.report(protocol.Event{Event: protocol.Error, Log: err.Error()})
	}
	g.end()
}

// setUp gets the machine to where a script can run.
func (g *guest) setUp() error {
	if err := mountAll(); err != nil {
		return err
	}
	if err := setSysctls(); err != nil {
		return err
	}
	for _, port := range []struct {
		path string
		file **os.File
	}{{protocol.ControlPort, &g.control}, {protocol.StdoutPort, &g.stdout}, {protocol.StderrPort, &g.stderr}} {
		f, err := openPort(port.path)
		if err != nil {
			return err
		}
		*port.file = f
	}
	data, err := os.ReadFile(protocol.JobPath)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &g.job); err != nil {
		return fmt.Errorf("%s: %w", protocol.JobPath, err)
	}
	g.env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "USER=root", "SHELL=/bin/sh", "TERM=dumb", "LANG=C",
	}, g.job.Env...)
	if err := os.Chdir(g.job.Dir); err != nil {
		return err
	}
	if g.job.Network {
		if err := networkUp(); err != nil {
			return err
		}
	}
	if g.job.Module {
		return loadModule(protocol.ModulePath, g.job.ModuleArgs)
	}
	return nil
}

// work does the job.
func (g *guest) work() error {
	g.report(protocol.Event{Event: protocol.Boot})
	if len(g.job.Cases) > 0 {
		if err := g.runCases(); err != nil {
			return err
		}
		g.report(protocol.Event{Event: protocol.Done})
		return nil
	}
	status, err := g.runScript()
	if err != nil {
		return err
	}
	g.report(protocol.Event{Event: protocol.Done, Status: status})
	return nil
}

// report sends one line to the host.
func (g *guest) report(e protocol.Event) {
	if g.control == nil {
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		line = []byte(`{"event":"error","log":"init cannot encode an event"}`)
	}
	// There is nobody to tell of an error here: silence is what tells the host.
	_, _ = g.control.Write(append(line, '\n'))
}

// end waits until the host has all that was written and ends the machine. Restart, not power-off: QEMU was told to
// end at a restart, and that works without ACPI.
func (g *guest) end() {
	for _, port := range []*os.File{g.stdout, g.stderr, g.control} {
		if port != nil {
			drain(port)
		}
	}
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintln(os.Stderr, "init: reboot:", err) // and when init returns the kernel panics: a failure, as it should be
}
