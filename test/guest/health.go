// SPDX-License-Identifier: GPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/test/vm/klog"
)

// Taints that say that something went wrong, not merely that a module is foreign: machine check, bad page, died,
// warned, soft lockup (Documentation/admin-guide/tainted-kernels in the kernel's source).
const badTaint = 1<<4 | 1<<5 | 1<<7 | 1<<9 | 1<<14

// health is what must be the same after a case as before it.
type health struct {
	taint  uint64
	loaded bool
	refs   int
}

func examine() (health, error) {
	var h health
	taint, err := readNumber("/proc/sys/kernel/tainted")
	if err != nil {
		return h, err
	}
	h.taint = uint64(taint)
	refs, err := readNumber("/sys/module/lpatch/refcnt")
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	h.loaded, h.refs = true, int(refs)
	return h, err
}

// waitForHealth gives the module a little time to let go: what holds it ends with the case's processes, but some of
// it in work queues.
func waitForHealth(before health) (health, error) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		h, err := examine()
		if err != nil || !h.loaded || h.refs <= before.refs || time.Now().After(deadline) {
			return h, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// kmsg is the kernel's log, for what it says during a case.
type kmsg struct{ fd int }

func openKmsg() (*kmsg, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	return &kmsg{fd}, nil
}

// mark makes since start here.
func (k *kmsg) mark() error {
	_, err := unix.Seek(k.fd, 0, unix.SEEK_END)
	return err
}

// since gives the messages after the mark, or the first of them, and what the kernel complains of in them.
func (k *kmsg) since() (text string, complaints []string) {
	var out strings.Builder
	var scanner klog.Scanner
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.Read(k.fd, buf) // one message at a time
		if errors.Is(err, unix.EPIPE) {
			complaints = append(complaints, "the kernel said more than its log can hold")
			continue
		}
		if err != nil || n <= 0 {
			return out.String(), complaints
		}
		line := message(string(buf[:n]))
		if complaint := scanner.Scan(line); complaint != "" {
			complaints = append(complaints, complaint)
		}
		if out.Len() < logPart {
			out.WriteString(line + "\n")
		}
	}
}

// message is the text of a record of /dev/kmsg: behind a prefix, and before the lines of a dictionary.
func message(record string) string {
	record, _, _ = strings.Cut(record, "\n")
	_, text, _ := strings.Cut(record, ";")
	return text
}

// describe says in what state a process is that should be gone.
func describe(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	stack, _ := os.ReadFile(filepath.Join(dir, "stack"))
	return fmt.Sprintf("%d %s\n%s", pid, strings.TrimSpace(string(comm)), stack)
}

// describeAll describes all user processes but init.
func describeAll() string {
	var out strings.Builder
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if cmd, _ := os.ReadFile(filepath.Join(dir, "maps")); err == nil && pid != 1 && len(cmd) > 0 {
			out.WriteString(describe(pid))
		}
	}
	return out.String()
}
