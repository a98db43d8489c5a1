// SPDX-License-Identifier: GPL-2.0

// Command vm-run runs a script in a virtual machine with a distribution kernel and lpatch; scripts/vm-run starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lpatch/test/vm"
)

// failStatus is the exit status when the machine failed, not the script.
const failStatus = 125

// interruptStatus is what a shell gives for a command that a Ctrl-C ended.
const interruptStatus = 130

const usage = `Usage: scripts/vm-run [OPTION]... SCRIPT [ARG]...

Boot a virtual machine with the lpatch module loaded and lpctl in PATH, run SCRIPT in it as root, print what it prints
and exit with its status; with status 125 if the machine or its kernel failed (a panic, a warning, no end).
SCRIPT is a script for a POSIX shell (- for standard input) or a program; the usual tools are busybox's.

`

type fileList []vm.File

func (l *fileList) String() string { return "" }

func (l *fileList) Set(arg string) error {
	host, guest, _ := strings.Cut(arg, ":")
	*l = append(*l, vm.File{Host: host, Guest: guest})
	return nil
}

func main() {
	cfg, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	status := failStatus
	if err == nil {
		status, err = run(cfg)
	}
	if err != nil {
		explain(err)
	}
	os.Exit(status)
}

// run gives the status to exit with, and what to say if that is not the script's.
func run(cfg vm.Config) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if os.Getenv("LPATCH_NO_BUILD") == "" {
		if err := vm.Prepare(cfg, os.Stderr); err != nil {
			return failStatus, err
		}
	}
	if cfg.Script == "-" {
		script, err := saveStdin()
		if err != nil {
			return failStatus, err
		}
		defer os.Remove(script)
		cfg.Script = script
	}
	result, err := vm.Run(ctx, cfg)
	if ctx.Err() != nil {
		return interruptStatus, errors.New("interrupted")
	}
	if err != nil {
		return failStatus, err
	}
	if cfg.Verbose {
		fmt.Fprintf(os.Stderr, "vm-run: kernel %s, booted in %.1f s, %.1f s in all\n",
			result.Release, result.Boot.Seconds(), result.Total.Seconds())
	}
	return result.Status, nil
}

func parse(args []string) (vm.Config, error) {
	cfg := vm.Config{Stdout: os.Stdout, Stderr: os.Stderr}
	flags := flag.NewFlagSet("vm-run", flag.ContinueOnError)
	flags.StringVar(&cfg.Kernel, "k", "6.1", "`KERNEL` to boot: a name in test/kernels.yaml, or debug or kcsan")
	flags.IntVar(&cfg.CPUs, "c", 2, "number of `CPUS`")
	flags.IntVar(&cfg.MemMiB, "m", 0, "memory, in `MIB` (default 1024, or 2048 for debug and kcsan)")
	flags.Func("t", "`SECONDS` (or 5m, …) after which the machine counts as hung (default 600)", func(arg string) (err error) {
		cfg.Timeout, err = parseTime(arg)
		return err
	})
	flags.StringVar(&cfg.Module, "M", "", "load `FILE` instead of the lpatch.ko built here; none to load nothing")
	flags.StringVar(&cfg.Cmdline, "a", "", "more `WORDS` for the kernel's command line")
	flags.BoolVar(&cfg.Count, "i", false, "have the machine's clock count instructions instead of time, 1 ns for each")
	flags.BoolVar(&cfg.Verbose, "v", false, "show the kernel's log, on stderr")
	flags.Var((*fileList)(&cfg.Files), "f",
		"copy `HOST[:GUEST]`, a file or directory, with the libraries it needs; to the same path if GUEST is not given,\n"+
			"with a link in the working directory, which is called the same in the guest as here")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if flags.NArg() == 0 {
		return cfg, errors.New("no script given (-h explains)")
	}
	if cfg.Verbose {
		cfg.KernelLog = os.Stderr
	}
	cfg.Script, cfg.Args = flags.Arg(0), flags.Args()[1:]
	return cfg, nil
}

func parseTime(arg string) (time.Duration, error) {
	if n, err := strconv.Atoi(arg); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(arg)
}

func saveStdin() (string, error) {
	f, err := os.CreateTemp("", "vm-run-script-")
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = io.Copy(f, os.Stdin)
	return f.Name(), err
}

// explain says why there is no result of the script.
func explain(err error) {
	var failure *vm.Failure
	if errors.As(err, &failure) && failure.Log != "" {
		fmt.Fprintf(os.Stderr, "---- end of the guest's kernel log ----\n%s\n----\n", strings.TrimSpace(failure.Log))
	}
	fmt.Fprintln(os.Stderr, "vm-run:", err)
}
