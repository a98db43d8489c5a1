// SPDX-License-Identifier: GPL-2.0

// Package protocol is what the VM harness on the host (test/vm) and init in the guest (test/guest) tell each other:
// a job in the initramfs on the way in, lines of JSON on a serial port on the way out.
package protocol

import "time"

// Where the guest finds its job and the files that come with it.
const (
	JobPath    = "/.lpatch/job.json"
	ModulePath = "/.lpatch/lpatch.ko"
	// ModulesDir has modules of the kernel's own, unless they are built in. Nobody loads them but who needs them.
	ModulesDir = "/.lpatch/modules"
)

// Address is the guest's own on QEMU's network, if it has a card.
const Address = "10.0.2.15"

// NetworkModules are the driver of that card, in the order in which they are loaded, as far as they are not built in.
var NetworkModules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover", "virtio_net",
}

// The guest's serial ports. The kernel has ttyS0 for its log.
const (
	StdoutPort  = "/dev/ttyS1"
	StderrPort  = "/dev/ttyS2"
	ControlPort = "/dev/ttyS3"
)

// SkipStatus is the exit status of a case that cannot run here (as in the kernel's own selftests).
const SkipStatus = 4

// Job is what the guest is to do: run Argv, or, if there are Cases, those one after another.
type Job struct {
	Argv  []string `json:"argv,omitempty"`
	Dir   string   `json:"dir"`
	Env   []string `json:"env,omitempty"`
	Cases []Case   `json:"cases,omitempty"`
	// Module says that ModulePath is to be loaded first, with ModuleArgs.
	Module     bool   `json:"module,omitempty"`
	ModuleArgs string `json:"module_args,omitempty"`
	// Network says that there is a network card.
	Network bool `json:"network,omitempty"`
}

// Case is one test: a script for the guest's shell.
type Case struct {
	Name    string        `json:"name"`
	Script  string        `json:"script"`
	Args    []string      `json:"args,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

// The kinds of Event, in the order in which they may come. A guest that has not said Done has failed, whatever
// it said before.
const (
	Boot  = "boot"  // init runs, the module (if any) is loaded
	Start = "start" // Case begins
	Pass  = "pass"
	Fail  = "fail"
	Skip  = "skip"
	Error = "error" // the guest cannot go on; Log says why
	Done  = "done"  // all was run; Status is the script's
)

// Event is one line on the control port.
type Event struct {
	Event  string        `json:"event"`
	Case   string        `json:"case,omitempty"`
	Log    string        `json:"log,omitempty"`
	Status int           `json:"status,omitempty"`
	Time   time.Duration `json:"time,omitempty"`
}
