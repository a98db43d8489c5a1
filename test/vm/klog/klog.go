// SPDX-License-Identifier: GPL-2.0

// Package klog finds in the kernel's log what is a failure even if the machine lives on. The host reads the whole log
// with it, the guest what was said during one case.
package klog

import (
	"regexp"
	"strconv"
	"strings"
)

// bad matches lines that are failures by themselves. Lockdep, RCU, KASAN, UBSAN, the checks for sleeping where one must
// not and for objects that are freed while in use, and the allocator each have words of their own.
var bad = regexp.MustCompile(`Kernel panic|\bOops\b|\bBUG: |\bBUG \S+ \(|kernel BUG at|general protection fault, |` +
	`WARNING: (CPU|possible|suspicious|inconsistent|bad |held lock|lock held|Nested lock|chain_key|\S+-safe -> |\S+/\d+ still has locks)|` +
	`INFO: (trying to register non-static key|lockdep is turned off)|DEBUG_LOCKS_WARN|` +
	`detected stall|self-detected stall|blocked for more than|lockup - CPU|LOCKUP|` +
	`UBSAN: |KASAN: |ODEBUG: |ODEBUG disabled|new suspected memory leaks|Cannot allocate a kmemleak_object|` +
	`Bad page state|refcount_t: |list_(add|del) corruption`)

// KCSAN reports a race in several lines between two lines of equal signs. The first names the functions of the two
// accesses, those that follow how they were come to.
const (
	race  = "BUG: KCSAN: "
	ruler = "=================================="
	ours  = "[lpatch]"
	// near is how many frames of a stack may be the module's for the access to count as its own: that of a helper of the
	// kernel, as memcpy(), and who called it. What the kernel does with its own pages further down is the kernel's: a
	// page's flags are read in __get_user_pages(), two frames above the module, while lru_add() changes them.
	near = 2
)

// access begins the stack of one of the two accesses.
var access = regexp.MustCompile(` by (task|interrupt)\b.* on cpu \d+:`)

// Scanner reads a log line by line. The zero value is ready to use.
type Scanner struct {
	race  string // the first line of a report of KCSAN, of which the end has not been seen yet
	depth int    // how many lines of a stack in it were seen
}

// Scan takes the next line and gives what the kernel complains of, or "". A data race between two places of the kernel
// itself is no complaint: the kernel has many, of which some are intended and marked as such in later versions. One with an
// access that the module makes is.
func (s *Scanner) Scan(line string) string {
	if at := strings.Index(line, race); at >= 0 {
		s.race = strings.TrimSpace(line)
	} else if bad.MatchString(line) {
		return strings.TrimSpace(line)
	}
	if s.race == "" {
		return ""
	}
	s.depth++
	if access.MatchString(line) {
		s.depth = 0
	}
	if s.depth <= near && strings.Contains(line, ours) {
		complaint := s.race
		s.race = ""
		return complaint
	}
	if strings.Contains(line, ruler) {
		s.race = ""
	}
	return ""
}

// Leaks splits what /sys/kernel/debug/kmemleak says into reports, and gives those of memory that the module allocated:
// that has one of its functions in the backtrace, by name or, for the functions of a module that is gone, by an
// address in [start, end).
func Leaks(report string, start, end uint64) []string {
	var found []string
	for part := range strings.SplitSeq(report, "unreferenced object ") {
		if strings.Contains(part, ours) || mentions(part, start, end) {
			found = append(found, "unreferenced object "+part)
		}
	}
	return found
}

var address = regexp.MustCompile(`\b0x([0-9a-f]{16})\b`)

func mentions(text string, start, end uint64) bool {
	for _, m := range address.FindAllStringSubmatch(text, -1) {
		if at, err := strconv.ParseUint(m[1], 16, 64); err == nil && start <= at && at < end {
			return true
		}
	}
	return false
}
