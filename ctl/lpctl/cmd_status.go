// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show patches, their targets and their state",
		ArgsUsage: "[TARGETS]",
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			append(targetFlags(), jsonFlag(), quietFlag()),
			{&cli.BoolFlag{Name: "prometheus", HideDefault: true, Usage: "print metrics of the whole machine, for a collector of text files"}},
		}}},
		Action: showStatus,
	}
}

func showStatus(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	sel, err := selection(c)
	if err != nil {
		return err
	}
	if c.Bool("prometheus") {
		return showMetrics(c.Writer)
	}
	k, err := connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	list, err := k.Status()
	if err != nil {
		return err
	}
	list, all, err := filter(c, k, sel, list)
	if err != nil {
		return err
	}
	session := apply.New(k, procFS)
	list = session.Recount(list)
	about := aboutsOf(list)
	slices.SortStableFunc(list, func(a, b lpnl.Report) int {
		return cmp.Or(strings.Compare(a.Patch, b.Patch), a.PID-b.PID)
	})
	if slices.Contains(all, exitDone) {
		err = printStatus(c, list, about, session.Mitigations(list))
	}
	return cmp.Or(err, exitWith(all))
}

func printStatus(c *cli.Command, list []lpnl.Report, about *apply.Abouts, mitigations []*apply.Mitigation) error {
	if c.Bool("json") {
		for i, r := range list {
			row := newTargetJSON(r, drift(r))
			row.About, row.Mitigation = about.Of(r.Hash), newMitigationJSON(mitigations[i])
			if err := printJSON(c.Writer, row); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		if !c.Bool("quiet") {
			fmt.Fprintln(c.ErrWriter, "no patches")
		}
		return nil
	}
	if err := table(c.Writer, list, about); err != nil {
		return err
	}
	if err := mitigationTable(c.Writer, list, mitigations); err != nil {
		return err
	}
	for _, r := range list {
		if r.Message != "" {
			fmt.Fprintf(c.ErrWriter, "lpctl: note: %s[%d]: %s\n", r.Comm, r.PID, r.Message)
		}
	}
	return nil
}

// drift is what is wrong with a patch in a target, or nil.
func drift(r lpnl.Report) error {
	if r.Refusal == lpnl.RefusalNone {
		return nil
	}
	return &lpnl.Refused{Report: r}
}

// filter keeps the selected targets, and says which parts of the selection have no process; without a selection, or with
// --all, it keeps all of them. The statuses are those of the parts, and of the processes that were found.
func filter(c *cli.Command, k kernel, sel apply.Selection, list []lpnl.Report) ([]lpnl.Report, []exitStatus, error) {
	every := sel.All || sel.Empty()
	sel.All = false
	found, err := apply.New(k, procFS).Find("status", sel, apply.Patch{})
	if err != nil {
		return nil, nil, err
	}
	var all []exitStatus
	for _, o := range found.Failed {
		complain(c.ErrWriter, o)
		all = append(all, statusOfOutcome(o))
	}
	all = append(all, reportMisses(c, found.Misses)...)
	all = append(all, reportUnseen(c, found.Unseen)...)
	keep := map[int]bool{}
	for _, t := range found.Targets {
		keep[t.PID] = true
	}
	if every || len(keep) > 0 {
		all = append(all, exitDone)
	}
	return slices.DeleteFunc(list, func(r lpnl.Report) bool { return !every && !keep[r.PID] }), all, nil
}

// table has what patches fix in a column if any of them says it.
func table(w io.Writer, list []lpnl.Report, about *apply.Abouts) error {
	told := slices.ContainsFunc(list, func(r lpnl.Report) bool { return about.Of(r.Hash) != nil })
	fixes := func(text string) string {
		if !told {
			return ""
		}
		return "\t" + names.Visible(text)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PATCH\tPID\tCOMM\tSTATE\tFUNCTIONS\tVALUES\tTHREADS\tLAYER\tSINCE\tSTOPPED"+fixes("FIXES"))
	for _, r := range list {
		stopped, threads, layer := "-", "-", "-"
		if r.Layer > 0 {
			layer = fmt.Sprint(r.Layer)
		}
		if r.Attempts > 0 {
			stopped, threads = duration(r.Stop), fmt.Sprint(r.Threads)
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s%s\n", names.Visible(r.Patch), r.PID, names.Visible(r.Comm), stateText(r.State, r.ActiveThreads),
			r.Functions, r.Values, threads, layer, r.Since.Local().Format(time.DateTime), stopped, fixes(fixesShort(about.Of(r.Hash))))
	}
	return tw.Flush()
}

// mitigationTable prints how often functions were called that mitigations are for, if there are any.
func mitigationTable(w io.Writer, list []lpnl.Report, mitigations []*apply.Mitigation) error {
	var rows [][]string
	for i, m := range mitigations {
		if m == nil {
			continue
		}
		hits := fmt.Sprint(m.Hits)
		if m.Err != nil {
			hits = "unknown: " + m.Err.Error()
		}
		r := list[i]
		rows = append(rows, []string{names.Visible(r.Patch), fmt.Sprint(r.PID), names.Visible(r.Comm), names.Visible(names.Readable(m.Function)), names.Visible(m.Action), hits})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
	}
	return columns(w, "MITIGATION\tPID\tCOMM\tFUNCTION\tACTION\tHITS", rows)
}
