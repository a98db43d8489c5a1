// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// holder is a process with threads that hold the module.
type holder struct {
	proc.Process
	tids []int
}

// drainJSON is a process, as drain --json prints it.
type drainJSON struct {
	PID     int     `json:"pid"`
	Comm    string  `json:"comm"`
	Threads int     `json:"threads"` // that held the module
	Left    int     `json:"left"`    // that still do
	Error   *string `json:"error"`
}

func (h *host) drainCommand() *cli.Command {
	return &cli.Command{
		Name:  "drain",
		Usage: "wake the sleeping threads that hold the kernel module, so that it can be removed",
		Description: "A thread that sleeps through a stop holds the module until it runs again. drain wakes all of them, which is the\n" +
			"only thing that lpctl does by which a system call of a program can end with EINTR: calls that are never\n" +
			"restarted, such as epoll_wait(2), do; the others go on.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "wait for the threads for `TIME`"},
			jsonFlag(), quietFlag(),
		},
		Action: h.drain,
	}
}

func (h *host) drain(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	before, err := k.Gates()
	if err != nil {
		return err
	}
	if len(before) == 0 {
		return nothing(errors.New("nothing to do: no thread holds the module"))
	}
	left, err := drainWithin(k, c.Duration("timeout"))
	if err != nil {
		return err
	}
	return h.reportDrained(c, byProcess(before), left)
}

// drainWithin wakes the threads and returns those that did not run in time.
func drainWithin(k kernel, timeout time.Duration) ([]lpnl.Gate, error) {
	if _, err := k.Drain(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(timeout); ; time.Sleep(5 * time.Millisecond) {
		left, err := k.Gates()
		if err != nil || len(left) == 0 || !time.Now().Before(deadline) {
			return left, err
		}
	}
}

// byProcess groups threads by their process, the one with the most threads first.
func byProcess(gates []lpnl.Gate) []holder {
	index := map[int]int{}
	var list []holder
	for _, g := range gates {
		i, ok := index[g.PID]
		if !ok {
			i = len(list)
			index[g.PID] = i
			list = append(list, holder{Process: proc.Process{PID: g.PID, Comm: g.Comm}})
		}
		list[i].tids = append(list[i].tids, g.TID)
	}
	slices.SortFunc(list, func(a, b holder) int { return cmp.Or(len(b.tids)-len(a.tids), a.PID-b.PID) })
	return list
}

// reportDrained prints what became of each process and returns the exit status of all.
func (h *host) reportDrained(c *cli.Command, held []holder, left []lpnl.Gate) error {
	var all []exitStatus
	for _, p := range held {
		var stuck []int
		for _, g := range left {
			if slices.Contains(p.tids, g.TID) {
				stuck = append(stuck, g.TID)
			}
		}
		err := h.errStuck(p, stuck)
		all = append(all, exitDone)
		if err != nil {
			all[len(all)-1] = exitFailed
		}
		if err := printDrained(c, p, len(stuck), err); err != nil {
			return err
		}
	}
	return exitWith(all)
}

func printDrained(c *cli.Command, h holder, left int, stuck error) error {
	if stuck != nil {
		fmt.Fprintf(c.ErrWriter, "lpctl: %v\n", stuck)
	}
	if c.Bool("json") {
		out := drainJSON{PID: h.PID, Comm: h.Comm, Threads: len(h.tids), Left: left}
		if stuck != nil {
			text := stuck.Error()
			out.Error = &text
		}
		return printJSON(c.Writer, out)
	}
	if stuck == nil && !c.Bool("quiet") {
		return printLine(c.Writer, "drained %v: %s", h.Process, plural(len(h.tids), "thread"))
	}
	return nil
}

// errStuck says which threads of a process did not run, why, and what can be done, or returns nil if there are none.
func (h *host) errStuck(p holder, stuck []int) error {
	if len(stuck) == 0 {
		return nil
	}
	why := "does not get a processor"
	switch state, err := h.proc.ThreadState(stuck[0]); {
	case err != nil:
		why = "is ending"
	case state == 'T':
		why = "is stopped by a signal; continue the process"
	case state == 't':
		why = "is stopped by a debugger; let it go on"
	case state == 'D':
		why = "sleeps uninterruptibly; wait until it is done"
	case state == 'S':
		why = "sleeps and does not wake; is the process frozen by its control group?"
	}
	return fmt.Errorf("%v: %d of %s did not run, and the module cannot be removed: thread %d %s", p.Process, len(stuck),
		plural(len(p.tids), "thread"), stuck[0], why)
}
