package vm

import (
	"errors"
	"io"
	"strings"
	"testing"

	"lpatch/test/vm/protocol"
)

func TestKernelLog(t *testing.T) {
	for line, isBad := range map[string]bool{
		"[    1.0] WARNING: CPU: 0 PID: 1 at kernel/foo.c:12 bar+0x1/0x2":                     true,
		"[    1.0] WARNING: possible circular locking dependency detected":                    true,
		"[    1.0] WARNING: suspicious RCU usage":                                             true,
		"[    1.0] BUG: sleeping function called from invalid context at mm/slab.h:1":         true,
		"[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000":           true,
		"[    1.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!":                         true,
		"[    1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:":                     true,
		"[    1.0] rcu: INFO: rcu_preempt self-detected stall on CPU":                         true,
		"[    1.0] INFO: task lpctl:12 blocked for more than 120 seconds.":                    true,
		"[    1.0] Oops: general protection fault, probably for non-canonical address: 0000":  true,
		"[    1.0] Kernel panic - not syncing: sysrq triggered crash":                         true,
		"[    1.0] mtrr: your CPUs had inconsistent fixed MTRR settings":                      false,
		"[    1.0] lpatch: loading out-of-tree module taints kernel.":                         false,
		"[    1.0] spin[33]: segfault at 0 ip 0000 sp 0000 error 4 in spin":                   false,
		"[    1.0] traps: spin[33] general protection fault ip:4 sp:7 error:0 in spin[4+1]":   false,
		"[    1.0] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.":    false,
		"[    1.0] NMI watchdog: Perf NMI watchdog permanently disabled":                      false,
		"[    1.0] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, attacks": false,
	} {
		l := kernelLog{out: io.Discard}
		for _, part := range []string{"first line\r\n", line[:len(line)/2], line[len(line)/2:], "\r\nlast\r\n"} {
			if _, err := io.WriteString(&l, part); err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if isBad {
			want = line
		}
		if l.bad != want {
			t.Errorf("%q: taken for bad: %q", line, l.bad)
		}
	}
}

func TestTail(t *testing.T) {
	var l tail
	for range 10 {
		io.WriteString(&l, strings.Repeat("x", 5000))
	}
	io.WriteString(&l, "end")
	if got := l.String(); len(got) != tailSize || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-5:])
	}
}

func TestCollector(t *testing.T) {
	c, err := newCollector([]Case{{Name: "a"}, {Name: "b"}, {Name: "c"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []protocol.Event{
		{Event: protocol.Boot}, {Event: protocol.Start, Case: "a"}, {Event: protocol.Pass, Case: "a"},
		{Event: protocol.Start, Case: "b"}, {Event: protocol.Pass, Case: "stranger"},
	} {
		c.see(e)
	}
	results := c.finish(errors.New("the machine burnt down"))
	want := []CaseResult{
		{Name: "a", Outcome: Passed},
		{Name: "b", Outcome: Lost, Log: "the machine burnt down\n"},
		{Name: "c", Outcome: Lost, Log: "not run: the machine was lost before\n"},
	}
	for i, r := range results {
		if r != want[i] {
			t.Errorf("got %+v, want %+v", r, want[i])
		}
	}
	if _, err := newCollector([]Case{{Name: "a"}, {Name: "a"}}, nil); err == nil {
		t.Error("two cases of one name are accepted")
	}
}
