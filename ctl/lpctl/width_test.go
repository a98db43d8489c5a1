// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"lpatch/pkg/boot"
	"lpatch/pkg/doctor"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
	"lpatch/pkg/restart"
	"lpatch/pkg/testutil/applytest"
	"lpatch/pkg/testutil/lpnltest"
)

// terminalOf opens a terminal of so many columns: what is written to one end can be read from the other.
func terminalOf(t *testing.T, columns uint16) (here, there *os.File) {
	t.Helper()
	here, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = here.Close() })
	if err := unix.IoctlSetPointerInt(int(here.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(here.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	there, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = there.Close() })
	if err := unix.IoctlSetWinsize(int(there.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return here, there
}

// seenBy calls f with a terminal, and returns the lines that somebody sees there.
func seenBy(t *testing.T, columns uint16, f func(there *os.File)) []string {
	t.Helper()
	here, there := terminalOf(t, columns)
	f(there)
	fmt.Fprintln(there, "end")
	var text []byte
	for !bytes.HasSuffix(text, []byte("end\r\n")) {
		part := make([]byte, 4096)
		n, err := here.Read(part)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part[:n]...)
	}
	return strings.Split(strings.TrimSuffix(string(text), "end\r\n"), "\r\n")
}

// onTerminal runs lpctl on a terminal, and returns the lines that somebody sees there.
func onTerminal(t *testing.T, h *host, columns uint16, want exitStatus, args ...string) []string {
	t.Helper()
	return seenBy(t, columns, func(there *os.File) {
		var stderr bytes.Buffer
		if status := h.run(append([]string{"lpctl"}, args...), there, &stderr); status != int(want) {
			t.Fatalf("lpctl %s: status %d, want %d\n%s", strings.Join(args, " "), status, want, &stderr)
		}
	})
}

// widest is how many columns a table takes that is seen; what is below it sums up, and is none.
func widest(lines []string) int {
	n := 0
	for _, line := range lines {
		if line == "" {
			break
		}
		n = max(n, utf8.RuneCountInString(line))
	}
	return n
}

// pretend makes up a machine that has nothing below its root, with a fake kernel.
func pretend(t *testing.T, k *lpnltest.Kernel) *host {
	t.Helper()
	root := t.TempDir()
	h := thisHost()
	h.registry = boot.Registry{Root: root, Owner: os.Getuid()}
	h.connect = func() (kernel, error) { return k.Client() }
	h.elsewhere = func() error { return nil }
	h.machine = func() (doctor.Machine, error) {
		return doctor.Machine{Root: root, Proc: root + "/proc", PID: 7, Release: "6.1.0-56-amd64", Arch: "x86_64", Registry: h.registry}, nil
	}
	return h
}

// whole is the widest that a table may be which is not to fit.
const whole = 400

// fits wants what lpctl says on a terminal of so many columns to be no wider than most, and to have a text; if most is whole, it is to
// be wider than the terminal.
func fits(t *testing.T, lines []string, columns uint16, args string, most int, has string) {
	t.Helper()
	n := widest(lines)
	if text := strings.Join(lines, "\n"); n > most || !strings.Contains(text, has) || most == whole && n <= int(columns) {
		t.Errorf("lpctl %s in %d columns is %d wide:\n%s\nand must have %q", args, columns, n, text, has)
	}
}

// TestTablesFit: no line of a table is wider than the terminal, but with --wide, and nothing that says what to do is cut.
func TestTablesFit(t *testing.T) {
	const name = "cve-2026-66373-and-others"
	h := pretend(t, &lpnltest.Kernel{
		Patches: map[string]*lpnltest.Patch{"00": {Name: name}},
		Records: []lpnltest.Record{{Hash: "00", PID: 9999907, Comm: "redis-server", State: lpnl.StateApplied}},
		Boots:   []lpnl.Boot{{Patch: name}},
	})
	root := h.registry.Root
	for _, c := range []struct {
		columns uint16
		args    string
		status  exitStatus
		most    int
		has     string
	}{
		{160, "status", exitDone, 160, "THREADS"}, {80, "status", exitDone, 80, "SERVICE"}, {40, "status", exitDone, 40, "…"},
		{40, "status --by unit", exitDone, 40, "…"}, {40, "status --wide", exitDone, whole, "THREADS"},
		{160, "boot list --root " + root, exitDone, 160, "ON FAILURE"}, {70, "boot list --root " + root, exitDone, 70, "IMAGES"},
		{40, "boot list --root " + root, exitDone, 40, "…"}, {40, "boot list --wide --root " + root, exitDone, whole, "ON FAILURE"},
		{160, "boot sync --root " + root, exitSome, 160, "KEPT"}, {80, "boot sync --root " + root, exitSome, 80, "AGREES"},
		{40, "boot sync --root " + root, exitSome, 40, "…"}, {40, "boot sync --wide --root " + root, exitSome, whole, "DONE"},
		{200, "doctor", exitFailed, 200, "FAIL  capabilities  they cannot be told without"}, {60, "doctor", exitFailed, 60, "FAIL  capabilities  they cannot be told without"},
	} {
		fits(t, onTerminal(t, h, c.columns, c.status, strings.Fields(c.args)...), c.columns, c.args, c.most, c.has)
	}
	narrow, wide := onTerminal(t, h, 50, exitFailed, "doctor"), onTerminal(t, h, 2000, exitFailed, "doctor")
	// Without any space, for a word that is longer than the column goes on in the next line.
	if a, b := strings.Join(strings.Fields(strings.Join(narrow, "")), ""), strings.Join(strings.Fields(strings.Join(wide, "")), ""); a != b {
		t.Errorf("in 50 columns doctor says\n%s\nand in 2000\n%s", strings.Join(narrow, "\n"), strings.Join(wide, "\n"))
	}
}

// TestInspectFits: so it is with what inspect shows.
func TestInspectFits(t *testing.T) {
	spec, err := applytest.Spec("fix", "/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	spec.Functions[0].Why = "changed; it calls what is new, and is called by what has changed as well"
	path := t.TempDir() + "/fix.lp"
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	tables := func(columns uint16, args ...string) []string {
		lines := onTerminal(t, thisHost(), columns, exitDone, append(args, path)...)
		return slices.DeleteFunc(lines[slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "IMAGE") }):], func(line string) bool { return line == "" })
	}
	fits(t, tables(160, "inspect"), 160, "inspect", 160, "changed; it calls what is new, and is called by what has changed as well")
	fits(t, tables(50, "inspect"), 50, "inspect", 50, " as well")
	fits(t, tables(50, "inspect", "--wide"), 50, "inspect --wide", whole, "changed; it calls what is new, and is called by what has changed as well")
}

// patchable starts a program, and makes a patch for it.
func patchable(t *testing.T) (path string, pid int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("opening what others map needs CAP_SYS_ADMIN")
	}
	program := t.TempDir() + "/sleep"
	text, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	spec, err := applytest.Spec("fix", program)
	if err != nil {
		t.Fatal(err)
	}
	path = t.TempDir() + "/fix.lp"
	if err := applytest.Write(path, spec); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return path, cmd.Process.Pid
}

// TestScanFits: so it is with what scan shows, of which the last column says what to do.
func TestScanFits(t *testing.T) {
	path, pid := patchable(t)
	h := pretend(t, &lpnltest.Kernel{})
	scan := "scan " + path + " --pid " + strconv.Itoa(pid)
	for _, c := range []struct {
		columns uint16
		args    string
		most    int
		has     string
	}{{whole, scan, whole - 1, "FILE"}, {80, scan, 80, "WHY"}, {40, scan, 40, "…"}, {40, scan + " --wide", whole, "FILE"}} {
		fits(t, onTerminal(t, h, c.columns, exitSome, strings.Fields(c.args)...), c.columns, c.args, c.most, c.has)
	}
}

// TestNeedrestartFits: so it is with what needrestart shows.
func TestNeedrestartFits(t *testing.T) {
	list := []restart.Verdict{{Process: proc.Process{PID: 412, Comm: "redis-server"}, Service: "redis-server.service", Needed: true, Why: "the changelog lists more than fixes of CVEs: a new upstream version"}}
	shown := func(columns uint16, args ...string) []string {
		return seenBy(t, columns, func(there *os.File) {
			c := thisHost().needrestartCommand()
			c.Writer, c.Action = there, func(_ context.Context, c *cli.Command) error { return printRestarts(c, list) }
			if err := c.Run(t.Context(), append([]string{"needrestart"}, args...)); err != nil {
				t.Fatal(err)
			}
		})
	}
	fits(t, shown(160), 160, "needrestart", 160, list[0].Why)
	fits(t, shown(80), 80, "needrestart", 80, " version")
	fits(t, shown(60), 60, "needrestart", 60, " version")
	fits(t, shown(80, "--wide"), 80, "needrestart --wide", whole, list[0].Why)
}
