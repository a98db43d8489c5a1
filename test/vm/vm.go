// SPDX-License-Identifier: GPL-2.0

// Package vm runs scripts and test cases in virtual machines that run distribution kernels: see scripts/vm-run
// for the command. A machine that does not say that it is done has failed.
package vm

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"lpatch/test/vm/protocol"
)

// Config says what to run and on which machine. The zero value of a field means what its comment says.
type Config struct {
	Kernel  string        // a name of test/kernels.yaml, or one that LooksForErrors
	CPUs    int           // 2
	MemMiB  int           // 1024, or 2048 for a kernel that LooksForErrors
	Timeout time.Duration // for the whole run: 10 minutes

	Script string   // a file on the host, run with the guest's /bin/sh; an ELF file is run as it is
	Args   []string // the script's arguments
	Files  []File   // what else to copy into the guest
	Dir    string   // the script's working directory: that of this process
	Env    []string // more environment for it, as NAME=value

	Disks []string               // files on the host, for /dev/nvme0n1 and so on; what the guest writes is there at once
	Ports map[int]int            // TCP ports of 127.0.0.1, and those of the machine that they lead to; it reaches nobody by itself
	Start func(qemu *os.Process) // called when the machine has been started

	Firmware *Firmware // what starts the kernel: QEMU itself

	// Count has the machine's clock count instructions, of all processors together, and not time: 1 ns is one. It is emulated
	// then, one processor at a time, and what the host does meanwhile counts for nothing.
	Count bool

	Module     string // file to load as the module: lpatch.ko, as built for that kernel; NoModule for none
	ModuleArgs string // its parameters
	Cmdline    string // more words for the kernel's command line
	Verbose    bool   // let the kernel log all it has to say from the start; it goes to KernelLog

	Stdout, Stderr io.Writer // what the script prints: thrown away
	KernelLog      io.Writer // thrown away, but the end of it is in a Failure
}

// NoModule as Config.Module leaves the kernel as it came.
const NoModule = "none"

// File is a file or directory to copy into the guest. An empty Guest means the same path as on the host.
type File struct{ Host, Guest string }

// Result is what came of a machine that ended in an orderly way.
type Result struct {
	Status  int           // the script's exit status
	Release string        // the kernel's release
	Boot    time.Duration // from the start of QEMU to the start of the script
	Total   time.Duration
}

// Run boots a machine, runs cfg.Script in it and waits for the end. The error is a *Failure when the machine or its
// kernel failed; a script that ran and failed is no error.
func Run(ctx context.Context, cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	job, err := scriptJob(&cfg)
	if err != nil {
		return Result{}, err
	}
	return run(ctx, cfg, job, nil)
}

func (cfg Config) withDefaults() Config {
	if cfg.CPUs == 0 {
		cfg.CPUs = 2
	}
	if cfg.MemMiB == 0 {
		cfg.MemMiB = 1024
		if LooksForErrors(cfg.Kernel) {
			cfg.MemMiB = 2048
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Minute
	}
	for _, w := range []*io.Writer{&cfg.Stdout, &cfg.Stderr, &cfg.KernelLog} {
		if *w == nil {
			*w = io.Discard
		}
	}
	return cfg
}

// newJob fills in what scripts and cases have in common.
func newJob(cfg Config) (protocol.Job, error) {
	job := protocol.Job{Dir: cfg.Dir, Env: append([]string{
		"LPATCH_KERNEL=" + cfg.Kernel,
		"LPATCH_SLOWNESS=" + strconv.Itoa(Slowness(cfg.Kernel)),
	}, cfg.Env...)}
	if job.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return job, err
		}
		job.Dir = dir
	}
	job.ModuleArgs = cfg.ModuleArgs
	job.Network = len(cfg.Ports) > 0
	return job, nil
}

func scriptJob(cfg *Config) (protocol.Job, error) {
	job, err := newJob(*cfg)
	if err != nil {
		return job, err
	}
	script, err := filepath.Abs(cfg.Script)
	if err != nil {
		return job, err
	}
	if f := openELF(script); f != nil {
		f.Close()
		job.Argv = append([]string{script}, cfg.Args...)
	} else {
		job.Argv = append([]string{"/bin/sh", script}, cfg.Args...)
	}
	cfg.Files = append([]File{{Host: script, Guest: script}}, cfg.Files...)
	return job, nil
}

// run boots a machine that does the job; see, if not nil, gets each event of the guest.
func run(ctx context.Context, cfg Config, job protocol.Job, see func(protocol.Event)) (Result, error) {
	m, err := newMachine(ctx, cfg)
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(m.dir)
	m.see = see
	if cfg.Module != "" {
		m.kernel.module = cfg.Module
	}
	job.Module = m.kernel.module != "" && m.kernel.module != NoModule
	return m.boot(ctx, job)
}

// newMachine finds what the machine needs. The caller removes its directory in the end.
func newMachine(ctx context.Context, cfg Config) (*machine, error) {
	k, err := findKernel(cfg.Kernel)
	if err != nil {
		return nil, err
	}
	accel := "icount"
	if !cfg.Count {
		if accel, err = accelerator(ctx, k); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "lpatch-vm-")
	if err != nil {
		return nil, err
	}
	return &machine{cfg: cfg, kernel: k, dir: dir, accel: accel}, nil
}
