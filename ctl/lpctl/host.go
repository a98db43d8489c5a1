// SPDX-License-Identifier: GPL-2.0

package main

import (
	"io"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/boot"
	"lpatch/pkg/doctor"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/sign"
)

// kernel is a connection to the module.
type kernel interface {
	apply.Kernel
	apply.BootKernel
	Info() (lpnl.Info, error)
	Gates() ([]lpnl.Gate, error)
	Drain() (int, error)
	KeyAdd(cert []byte, expires time.Time) error
	KeyRevoke(cert []byte) error
	KeyLock() error
	io.Closer
}

// listener receives events.
type listener interface {
	Receive() (lpnl.Report, error)
	io.Closer
}

// host is the machine that lpctl works on; tests make one up.
type host struct {
	connect         func() (kernel, error)                           // to the module
	listen          func() (listener, error)                         // to its events
	machine         func() (doctor.Machine, error)                   // what doctor looks at
	elsewhere       func() error                                     // an error if the kernel runs another system than this
	countKeys       func(keyring int) (usable, ended int, err error) // in a keyring
	proc            proc.FS                                          // where processes are looked up
	registry        boot.Registry                                    // of boot entries
	commandLinePath string                                           // has the kernel's command line
	bootIDPath      string                                           // has the kernel's name for this boot
	journalPath     string                                           // where systemd-journald takes messages with fields
}

// thisHost is the machine that lpctl runs on.
func thisHost() *host {
	return &host{
		connect:         func() (kernel, error) { return lpnl.Dial() },
		listen:          func() (listener, error) { return lpnl.DialEvents() },
		machine:         doctor.Here,
		elsewhere:       runsElsewhere,
		countKeys:       func(keyring int) (usable, ended int, err error) { return sign.Keyring(keyring).Count() },
		proc:            proc.New("/proc"),
		registry:        boot.Registry{Root: "/"},
		commandLinePath: "/proc/cmdline",
		bootIDPath:      "/proc/sys/kernel/random/boot_id",
		journalPath:     "/run/systemd/journal/socket",
	}
}

// runsElsewhere tells whether the kernel runs another system than this.
func runsElsewhere() error {
	m, err := doctor.Here()
	if err != nil {
		return err
	}
	return m.Elsewhere()
}
