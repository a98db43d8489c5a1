// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
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

// onTerminal runs lpctl on a terminal, and returns the lines that somebody sees there.
func onTerminal(t *testing.T, h *host, columns uint16, args ...string) []string {
	t.Helper()
	here, there := terminalOf(t, columns)
	if status := h.run(append([]string{"lpctl"}, args...), there, &bytes.Buffer{}); status != 0 {
		t.Fatalf("status %d", status)
	}
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

// TestStatusFits: no line of a table is wider than the terminal, but with --wide.
func TestStatusFits(t *testing.T) {
	h := thisHost()
	h.connect = func() (kernel, error) {
		return (&lpnltest.Kernel{Patches: map[string]*lpnltest.Patch{"00": {Name: "cve-2026-66373-and-others"}}, Records: []lpnltest.Record{
			{Hash: "00", PID: 9999907, Comm: "redis-server", State: lpnl.StateApplied},
		}}).Client()
	}
	for _, c := range []struct {
		columns uint16
		args    string
		most    int
		has     string
	}{
		{160, "status", 160, "THREADS"}, {80, "status", 80, "SERVICE"}, {40, "status", 40, "…"}, {40, "status --by unit", 40, "…"}, {40, "status --wide", 200, "THREADS"},
	} {
		widest := 0
		lines := onTerminal(t, h, c.columns, strings.Fields(c.args)...)
		for _, line := range lines {
			widest = max(widest, utf8.RuneCountInString(line))
		}
		if text := strings.Join(lines, "\n"); widest > c.most || !strings.Contains(text, c.has) || c.most > int(c.columns) && widest <= int(c.columns) {
			t.Errorf("%s in %d columns is %d wide:\n%s", c.args, c.columns, widest, text)
		}
	}
}
