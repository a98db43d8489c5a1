// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// eventJSON is an event: what was done, when, and what became of the target.
type eventJSON struct {
	Time time.Time `json:"time"`
	Verb string    `json:"verb"`
	targetJSON
}

func (h *host) watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "show events as they happen, until interrupted",
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{jsonFlag()},
			{&cli.BoolFlag{Name: "journal", HideDefault: true, Usage: "send events to systemd's journal, with fields, and print nothing"}},
		}}},
		Action: h.watch,
	}
}

func (h *host) watch(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	events, err := h.listen()
	if err != nil {
		return err
	}
	defer func() { _ = events.Close() }()
	about := apply.NewAbouts(h.proc)
	deliver := func(r lpnl.Report) error { return show(c, r, about) }
	if c.Bool("journal") {
		j, err := h.openJournal()
		if err != nil {
			return err
		}
		defer func() { _ = j.Close() }()
		deliver = func(r lpnl.Report) error { return j.send(describeEvent(r), newEventJSON(r, about)) }
	}
	for {
		r, err := events.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, lpnl.ErrLost) {
			fmt.Fprintf(c.ErrWriter, "lpctl: %v\n", err)
			continue
		}
		if err != nil {
			return err
		}
		about.LearnEvent(r, h.registry, h.statusNow)
		if err := deliver(r); err != nil {
			return err
		}
	}
}

// outcome is what became of the target of an event.
func outcome(r lpnl.Report) apply.Outcome {
	o := apply.Outcome{Process: proc.Process{PID: r.PID, Comm: r.Comm}, Report: r}
	if r.Refusal != lpnl.RefusalNone {
		o.Err = &lpnl.Refused{Report: r}
	}
	return o
}

func newEventJSON(r lpnl.Report, about *apply.Abouts) eventJSON {
	e := eventJSON{Time: time.Now(), Verb: string(r.Verb), targetJSON: newTargetJSON(r, outcome(r).Err)}
	e.About = about.Of(r.Hash)
	return e
}

// statusNow asks the kernel for all targets.
func (h *host) statusNow() ([]lpnl.Report, error) {
	k, err := h.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = k.Close() }()
	return k.Status()
}

// show prints an event to stdout: here, refusals are data.
func show(c *cli.Command, r lpnl.Report, about *apply.Abouts) error {
	if c.Bool("json") {
		return printJSON(c.Writer, newEventJSON(r, about))
	}
	_, err := fmt.Fprintf(c.Writer, "%s  %s\n", time.Now().Format(time.DateTime), describeEvent(r))
	return err
}
