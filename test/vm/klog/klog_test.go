// SPDX-License-Identifier: GPL-2.0

package klog

import (
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	for line, isBad := range map[string]bool{
		"[    1.0] WARNING: CPU: 0 PID: 1 at kernel/foo.c:12 bar+0x1/0x2":                     true,
		"[    1.0] WARNING: possible circular locking dependency detected":                    true,
		"[    1.0] WARNING: suspicious RCU usage":                                             true,
		"WARNING: inconsistent lock state":                                                    true,
		"WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected":                         true,
		"WARNING: bad unlock balance detected!":                                               true,
		"WARNING: held lock freed!":                                                           true,
		"WARNING: lock held when returning to user space!":                                    true,
		"WARNING: lpctl/77 still has locks held!":                                             true,
		"INFO: trying to register non-static key.":                                            true,
		"INFO: lockdep is turned off.":                                                        true,
		"[    1.0] BUG: sleeping function called from invalid context at mm/slab.h:1":         true,
		"BUG: Invalid wait context ":                                                          true,
		"BUG: KASAN: slab-use-after-free in lpatch_gate_put+0x1/0x2 [lpatch]":                 true,
		"UBSAN: array-index-out-of-bounds in foo.c:1:2":                                       true,
		"ODEBUG: free active (active state 0) object: 0000 object type: work_struct hint: x":  true,
		"BUG lp_gate (Tainted: G           O      ): Objects remaining on __kmem_cache_shutd": true,
		"kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)":             true,
		"list_del corruption. prev->next should be 0000, but was 0001":                        true,
		"refcount_t: underflow; use-after-free.":                                              true,
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
		"kmemleak: Kernel memory leak detector initialized (mem pool available: 39000)":       false,
	} {
		var s Scanner
		got := s.Scan("an ordinary line") + s.Scan(line) + s.Scan("another")
		want := ""
		if isBad {
			want = strings.TrimSpace(line)
		}
		if got != want {
			t.Errorf("%q: taken for %q, want %q", line, got, want)
		}
	}
}

const (
	kernelRace = `
==================================================================
BUG: KCSAN: data-race in rcu_gp_fqs_loop / rcu_report_qs_rnp

write to 0xffffffff86a4c0d0 of 8 bytes by interrupt on cpu 1:
 rcu_report_qs_rnp+0x91/0x240
value changed: 0x0000000000000001 -> 0x0000000000000000
==================================================================
lpatch: a line that names [lpatch] behind the report
`
	deepRace = `
==================================================================
BUG: KCSAN: data-race in __get_user_pages / lru_add

read-write to 0xffffea000012a640 of 8 bytes by task 219 on cpu 0:
 lru_add+0x31/0xb0
read to 0xffffea000012a640 of 8 bytes by task 214 on cpu 1:
 __get_user_pages+0x20/0x60
 get_user_pages_remote+0x20/0x60
 lpatch_peek+0x1c2/0x4d0 [lpatch]
==================================================================
`
	moduleRace = `
==================================================================
BUG: KCSAN: data-race in __set_task_comm / memcpy

write to 0xffff88800556c5c8 of 16 bytes by task 219 on cpu 0:
 __set_task_comm+0x31/0xb0
read to 0xffff88800556c5c8 of 16 bytes by task 214 on cpu 1:
 memcpy+0x20/0x60
 lpatch_target_get+0x1c2/0x4d0 [lpatch]
==================================================================
`
)

func scan(text string) (complaints []string) {
	var s Scanner
	for line := range strings.Lines(text) {
		if c := s.Scan(line); c != "" {
			complaints = append(complaints, c)
		}
	}
	return complaints
}

func TestRaces(t *testing.T) {
	if got := scan(kernelRace + deepRace); len(got) > 0 {
		t.Errorf("a race of the kernel with itself is taken for ours: %q", got)
	}
	want := "BUG: KCSAN: data-race in __set_task_comm / memcpy"
	if got := scan(kernelRace + moduleRace); len(got) != 1 || got[0] != want {
		t.Errorf("of a race with the module: %q, want %q", got, want)
	}
	// What happens on the other processor is printed in between.
	want = "BUG: sleeping function called from invalid context at mm/slab.h:1"
	got := scan(strings.Replace(kernelRace, "\nvalue", "\n"+want+"\nvalue", 1))
	if len(got) != 1 || got[0] != want {
		t.Errorf("in the middle of a race: %q, want %q", got, want)
	}
}

func TestLeaks(t *testing.T) {
	const (
		ofKernel = "unreferenced object 0xffff888003c1a400 (size 192):\n  backtrace (crc 1):\n    vm_area_alloc+0x12/0x80\n"
		byName   = "unreferenced object 0xffff888003c1a600 (size 64):\n  backtrace (crc 2):\n    lp_hold_add+0x2e/0xf0 [lpatch]\n"
		byPlace  = "unreferenced object 0xffff888003c1a800 (size 64):\n  backtrace (crc 3):\n    0xffffffffc0201a2e\n"
		ofOther  = "unreferenced object 0xffff888003c1aa00 (size 64):\n  backtrace (crc 4):\n    0xffffffffc0301a2e\n"
	)
	got := Leaks(ofKernel+byName+byPlace+ofOther, 0xffffffffc0200000, 0xffffffffc0240000)
	if len(got) != 2 || got[0] != byName || got[1] != byPlace {
		t.Errorf("got %q", got)
	}
}
