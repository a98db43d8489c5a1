// SPDX-License-Identifier: GPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/doctor"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/table"
	"lpatch/pkg/version"
)

func (h *host) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:   "doctor",
		Usage:  "check whether this machine can patch, and say what to do if not",
		Flags:  []cli.Flag{jsonFlag(), quietFlag()},
		Action: h.runDoctor,
	}
}

func (h *host) runDoctor(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	m, err := h.machine()
	if err != nil {
		return err
	}
	checks := append(m.System(), h.moduleChecks(m)...)
	bad := 0
	t := &table.Table{Columns: []table.Column{{}, {}, {Wrap: true}}} // what to do is not cut
	for _, k := range checks {
		word := "ok"
		if !k.OK {
			word = "FAIL"
			bad++
		}
		if c.Bool("json") {
			if err := printJSON(c.Writer, k); err != nil {
				return err
			}
		} else if !k.OK || !c.Bool("quiet") {
			t.Rows = append(t.Rows, []string{word, k.Name, names.Visible(k.Message)})
		}
	}
	if err := t.Write(c.Writer, terminalWidth(c.Writer)); err != nil {
		return err
	}
	if !c.Bool("json") && !c.Bool("quiet") {
		if err := sumUp(c.Writer, doctorSummary(len(checks), bad)); err != nil {
			return err
		}
	}
	if bad > 0 {
		return &exitError{status: exitFailed, reported: true}
	}
	return nil
}

// doctorSummary says all of it in a line.
func doctorSummary(checks, bad int) string {
	if bad == 0 {
		return fmt.Sprintf("all %d checks are ok", checks)
	}
	return fmt.Sprintf("%d of %d checks failed", bad, checks)
}

// moduleChecks asks the module, if there is one.
func (h *host) moduleChecks(m doctor.Machine) []doctor.Check {
	failed := func(err error) []doctor.Check {
		return append([]doctor.Check{{Name: "module", Message: err.Error()}}, m.Boot(false)...)
	}
	k, err := h.connect()
	if errors.Is(err, lpnl.ErrNoModule) {
		list := append([]doctor.Check{m.Absent(), m.SecureBoot(false)}, m.Configured()...)
		return append(list, m.Boot(false)...)
	}
	if err != nil {
		return failed(err)
	}
	defer func() { _ = k.Close() }()
	i, err := k.Info()
	if err != nil {
		return failed(err)
	}
	list := append([]doctor.Check{doctor.Loaded(i.Version, version.Number), m.SecureBoot(true), doctor.Signatures(i.SignatureRequired, i.Keyring, h.countKeys)}, m.Boot(true)...)
	gates, err := k.Gates()
	if err != nil {
		return append(list, doctor.Check{Name: "gates", Message: err.Error()})
	}
	return append(list,
		doctor.Check{Name: "task_work", OK: true, Message: describeTaskWork(i)},
		doctor.Check{Name: "patches", OK: true, Message: describePatches(i)},
		doctor.Check{Name: "gates", OK: true, Message: describeGates(gates)})
}

func describeTaskWork(i lpnl.Info) string {
	if i.TaskWork == "built-in" {
		return "lpatch is built into this kernel"
	}
	return "task_work_add found by " + i.TaskWork
}

func describePatches(i lpnl.Info) string {
	s := fmt.Sprintf("%s in %s", plural(i.Patches, "patch object"), plural(i.Targets, "target"))
	if i.Targets > 0 {
		s += "; the module cannot be removed before they are reverted, see \"lpctl status\""
	}
	return s
}

// describeGates says which processes hold the module, those with the most threads first, and what to do.
func describeGates(gates []lpnl.Gate) string {
	if len(gates) == 0 {
		return "none is queued; the module can be removed once no target has a patch"
	}
	const most = 5
	var parts []string
	owners := byProcess(gates)
	for _, h := range owners[:min(most, len(owners))] {
		parts = append(parts, fmt.Sprintf("%d of %v", len(h.tids), h.Process))
	}
	if n := len(owners) - most; n > 0 {
		parts = append(parts, fmt.Sprintf("the others of %d more", n))
	}
	hold := "hold the module until they run again"
	if len(gates) == 1 {
		hold = "holds the module until it runs again"
	}
	return fmt.Sprintf("%s %s: %s; \"lpctl drain\" wakes them", plural(len(gates), "sleeping thread"), hold,
		strings.Join(parts, ", "))
}
