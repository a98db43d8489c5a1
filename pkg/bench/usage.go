// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// anonymousBytes returns the private memory of a process, which includes each text page that was written (smaps).
func anonymousBytes(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var sum int64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "Anonymous:" {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n << 10
	}
	return sum, nil
}

// overhead returns the CPU time that all processors have spent, except the time of a process in user mode.
func overhead(pid int) (time.Duration, error) {
	machine, err := fields("/proc/stat", 0)
	if err != nil {
		return 0, err
	}
	process, err := fields(fmt.Sprintf("/proc/%d/stat", pid), 1)
	if err != nil {
		return 0, err
	}
	if len(machine) < 7 || len(process) < 12 {
		return 0, fmt.Errorf("/proc/stat or /proc/%d/stat is too short", pid)
	}
	// proc(5): user, nice, system, (idle, iowait,) irq, softirq; utime is field 14, and the second field is the name
	busy := machine[0] + machine[1] + machine[2] + machine[5] + machine[6]
	return time.Duration(busy-process[11]) * tick, nil
}

// fields returns the numbers in the first line of a file after its name, which is in parentheses in /proc/PID/stat. Fields
// that are not numbers are 0.
func fields(path string, kind int) ([]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if kind == 1 {
		line = line[strings.LastIndexByte(line, ')')+1:]
	} else {
		_, line, _ = strings.Cut(line, " ")
	}
	var list []int64
	for _, word := range strings.Fields(line) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			n = 0 // the process state
		}
		list = append(list, n)
	}
	return list, nil
}

// describe records the machine on which the benchmark runs.
func (r *Result) describe() {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		r.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	r.CPUs = runtime.NumCPU()
	r.Machine = "unknown processor"
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			r.Machine = strings.TrimSpace(value)
			return
		}
	}
}
