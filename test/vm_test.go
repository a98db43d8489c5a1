// SPDX-License-Identifier: GPL-2.0

// Package test runs the test cases of test/cases in virtual machines, one for each kernel. LPATCH_VM selects the
// kernels (test/vm.TestKernels), LPATCH_CASES, a regular expression, the cases.
package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lpatch/test/vm"
)

// caseTimeout is for one case, machineTimeout for all of them. Emulation is slow, and other machines may run on the same
// processors; vm.Slowness comes on top.
const (
	caseTimeout    = 10 * time.Minute
	machineTimeout = time.Hour
)

// lockdownKernel is locked down in a machine of its own, for it stays so. What is looked at is the same on all kernels.
const lockdownKernel = "6.12"

func TestCases(t *testing.T) {
	kernels, err := vm.TestKernels()
	if err != nil {
		t.Fatal(err)
	}
	if len(kernels) == 0 {
		t.Skip("LPATCH_VM selects no kernels")
	}
	binary := buildCases(t)
	cases := listCases(t, binary)
	files := guestFiles(t, binary)
	for _, kernel := range kernels {
		t.Run(kernel, func(t *testing.T) {
			if strings.HasSuffix(kernel, "-noprobes") {
				t.Skip("lpatch does not work on this kernel, as test/tree tests")
			}
			runCases(t, vm.Config{Kernel: kernel, Files: files, Dir: "/tmp"}, cases)
		})
	}
	if slices.Contains(kernels, lockdownKernel) {
		t.Run("lockdown", func(t *testing.T) {
			script := "LPATCH_KEEP_MODULE=1 exec /cases.test -test.v -test.run '^TestHelperLockdown$'"
			runCases(t, vm.Config{Kernel: lockdownKernel, Files: files, Dir: "/tmp"}, []vm.Case{{Name: "Lockdown", Script: script}})
		})
	}
}

func runCases(t *testing.T, cfg vm.Config, cases []vm.Case) {
	if err := vm.Prepare(cfg, t.Output()); err != nil {
		t.Fatal(err)
	}
	slowness := time.Duration(vm.Slowness(cfg.Kernel))
	cfg.Timeout = slowness * machineTimeout
	cases = casesFor(t, cfg.Kernel, cases)
	if len(cases) == 0 {
		t.Skip("LPATCH_CASES selects no case that runs on this kernel")
	}
	for i := range cases {
		cases[i].Timeout = slowness * caseTimeout
	}
	_, err := vm.WatchCases(t.Context(), cfg, cases, func(r vm.CaseResult) {
		t.Run(r.Name, func(t *testing.T) {
			t.Logf("%s in %v\n%s", r.Outcome, r.Time.Round(time.Millisecond), r.Log)
			if r.Outcome != vm.Passed {
				t.Fail() // a skip too: nothing that these kernels run on lacks anything
			}
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// casesFor leaves out those that the kernel is not built for, and says so.
func casesFor(t *testing.T, kernel string, all []vm.Case) []vm.Case {
	t.Helper()
	wanted, err := regexp.Compile(os.Getenv("LPATCH_CASES"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []vm.Case
	for _, c := range all {
		if !wanted.MatchString(c.Name) {
			continue
		}
		if why := leftOut(t, kernel, c.Name); why != "" {
			t.Logf("%s is left out: %s", c.Name, why)
			continue
		}
		cases = append(cases, c)
	}
	return cases
}

// leftOut says why a case does not run on a kernel, or "" if it does.
func leftOut(t *testing.T, kernel, name string) string {
	t.Helper()
	option := func(name string) string {
		value, err := vm.Option(kernel, name)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	d := casesDirectives(t)[name]
	switch {
	case d.only != "" && d.only != kernel:
		return fmt.Sprintf("it runs on kernel %s only", d.only)
	case kernel == "6.1" && d.slow:
		return "it takes long, and kernel 6.12 shows what lpctl does, kernel 6.12-rt what threads that preempt each other do"
	case kernel == "6.12-rt" && !d.preempts:
		return "kernel 6.12, the same source, shows it"
	}
	for _, need := range d.needs {
		if value := option(need); value != "y" && value != "m" {
			return fmt.Sprintf("kernel %s has no %s", kernel, need)
		}
	}
	if d.absent != "" && option(d.absent) == "y" {
		return fmt.Sprintf("kernel %s has %s", kernel, d.absent)
	}
	if d.reloads && option("CONFIG_LPATCH") == "y" {
		return fmt.Sprintf("lpatch is built into kernel %s, and the case loads it", kernel)
	}
	return ""
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// buildCases compiles test/cases and returns the path of the test binary.
func buildCases(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cases.test")
	run(t, "go", "test", "-c", "-tags", "vm", "-o", binary, "lpatch/test/cases")
	return binary
}

// listCases makes a case of each test but the helpers.
func listCases(t *testing.T, binary string) []vm.Case {
	t.Helper()
	var cases []vm.Case
	for name := range strings.Lines(run(t, binary, "-test.list", ".")) {
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "TestHelper") {
			continue
		}
		cases = append(cases, vm.Case{
			Name:   strings.TrimPrefix(name, "Test"),
			Script: "exec /cases.test -test.v -test.run '^" + name + "$'",
		})
	}
	return cases
}

// guestFiles are the test binary, the programs and patches that the tests use, and the tools that they start.
func guestFiles(t *testing.T, binary string) []vm.File {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fixtures")
	run(t, "./fixtures", dir)
	files := []vm.File{{Host: binary, Guest: "/cases.test"}}
	for _, tool := range []string{"strace", "unshare"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatalf("%s is needed (make deps): %v", tool, err)
		}
		files = append(files, vm.File{Host: path, Guest: "/usr/bin/" + tool})
	}
	files = append(files, debuggerFiles(t)...)
	programs, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		files = append(files, vm.File{Host: p, Guest: "/fixtures/" + filepath.Base(p)})
	}
	return files
}

// debuggerFiles are gdb and the part of Python's library without which it does not start.
func debuggerFiles(t *testing.T) []vm.File {
	t.Helper()
	gdb, err := exec.LookPath("gdb")
	if err != nil {
		t.Fatalf("gdb is needed (make deps): %v", err)
	}
	files := []vm.File{{Host: gdb, Guest: "/usr/bin/gdb"}}
	for _, pattern := range []string{"/usr/lib/python3*/*.py", "/usr/lib/python3*/encodings"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			files = append(files, vm.File{Host: p, Guest: p})
		}
	}
	return files
}
