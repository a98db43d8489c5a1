// SPDX-License-Identifier: GPL-2.0

package lpnltest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lpatch/pkg/lpnl"
)

// Since is the time of every state change in a fake.
var Since = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// state returns the state of a patch in a target.
func (k *Kernel) state(hash string, pid int) lpnl.State {
	if i := k.find(hash, pid); i >= 0 {
		if k.Records[i].Drift != nil {
			return lpnl.StateDrifted // apply and restore are possible
		}
		return k.Records[i].State
	}
	return lpnl.StateNone
}

func (k *Kernel) find(hash string, pid int) int {
	return slices.IndexFunc(k.Records, func(r Record) bool { return r.Hash == hash && r.PID == pid })
}

// step executes r.Verb and completes the report.
func (k *Kernel) step(r *lpnl.Report) {
	was := k.state(r.Hash.String(), r.PID)
	r.State = was
	next, refusal := transition(r.Verb, was)
	if r.Verb == lpnl.VerbRecount && refusal == lpnl.RefusalNone {
		k.recount(r)
		return
	}
	if refusal != lpnl.RefusalNone {
		k.active(r.Hash.String(), r.PID).tell(r)
		r.Refusal, r.Errno = refusal, unix.EBUSY
		r.Message = fmt.Sprintf("%s is %s in this process", r.Patch, was)
		return
	}
	stopped(r)
	active := k.Active[r.Verb]
	if active.Comm != "" && active.Comm != r.Comm {
		active = Active{}
	}
	active.tell(r)
	if r.Verb == lpnl.VerbCheck {
		return
	}
	r.State = next
	if r.Verb == lpnl.VerbApply {
		for i := range k.Records {
			if k.Records[i].PID == r.PID && k.Records[i].State == lpnl.StateApplied && (k.replace || slices.Contains(k.supersede, k.Records[i].Hash)) {
				k.Records[i].State = lpnl.StateRestored
			}
		}
	}
	if i := k.find(r.Hash.String(), r.PID); i >= 0 {
		k.Records = slices.Delete(k.Records, i, i+1)
	}
	if next != lpnl.StateNone {
		k.Records = append(k.Records, Record{Hash: r.Hash.String(), PID: r.PID, Comm: r.Comm, State: next, Active: active})
	}
}

// active returns the threads in old code according to a record.
func (k *Kernel) active(hash string, pid int) Active {
	if i := k.find(hash, pid); i >= 0 {
		return k.Records[i].Active
	}
	return Active{}
}

// recount counts the threads again, like the kernel: not if there were none.
func (k *Kernel) recount(r *lpnl.Report) {
	active := &k.Records[k.find(r.Hash.String(), r.PID)].Active
	if active.Threads > 0 {
		stopped(r)
		k.Recounted = append(k.Recounted, r.PID)
		if len(k.Left) > 0 {
			active.Threads, k.Left = k.Left[0], k.Left[1:]
		}
	}
	active.tell(r)
}

// transition returns the state after verb, or the refusal.
func transition(verb lpnl.Verb, was lpnl.State) (lpnl.State, lpnl.Refusal) {
	applied := was == lpnl.StateApplied
	if was == lpnl.StateDrifted {
		applied = verb == lpnl.VerbRestore || verb == lpnl.VerbUnload
	}
	switch {
	case verb == lpnl.VerbLoad && was != lpnl.StateNone,
		(verb == lpnl.VerbApply || verb == lpnl.VerbCheck) && applied,
		verb == lpnl.VerbRestore && was == lpnl.StateRestored:
		return was, lpnl.RefusalAlready
	case (verb == lpnl.VerbRestore || verb == lpnl.VerbUnload || verb == lpnl.VerbRecount) && was == lpnl.StateNone:
		return was, lpnl.RefusalNotLoaded
	case verb == lpnl.VerbRestore && !applied:
		return was, lpnl.RefusalNotApplied
	case verb == lpnl.VerbUnload && applied:
		return was, lpnl.RefusalStillApplied
	}
	return map[lpnl.Verb]lpnl.State{
		lpnl.VerbLoad: lpnl.StateLoaded, lpnl.VerbApply: lpnl.StateApplied, lpnl.VerbCheck: was,
		lpnl.VerbRecount: was,
		lpnl.VerbRestore: lpnl.StateRestored, lpnl.VerbUnload: lpnl.StateNone,
	}[verb], lpnl.RefusalNone
}

// stopped fills in the durations of a stop window; mapping a patch needs none.
func stopped(r *lpnl.Report) {
	r.Since, r.MappedAt, r.MappedBytes = Since, 0x7f0000000000, 8192
	if r.Verb == lpnl.VerbLoad {
		return
	}
	r.Threads, r.Attempts = 9, 1
	r.Stop, r.LongestThread, r.Lock = 87*time.Microsecond, 80*time.Microsecond, 120*time.Microsecond
	r.Gate, r.Barrier, r.Check = 10*time.Microsecond, 20*time.Microsecond, 30*time.Microsecond
	r.Write, r.Release = 7*time.Microsecond, 20*time.Microsecond
}

// comm returns the name of a process.
func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}
