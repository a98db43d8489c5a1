// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/table"
)

func (h *host) statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show patches, their targets and their state",
		ArgsUsage: targetsUsage,
		Flags:     append(targetFlags(), quietFlag()),
		MutuallyExclusiveFlags: []cli.MutuallyExclusiveFlags{{Flags: [][]cli.Flag{
			{jsonFlag()},
			{&cli.BoolFlag{Name: "wide", Usage: "show all columns and all rows, however wide that is", HideDefault: true}},
			{&cli.StringFlag{Name: "by", Usage: "show a row for each `unit`: service of the system's manager, or else program", Validator: checkBy}},
			{&cli.BoolFlag{Name: "prometheus", HideDefault: true, Usage: "print metrics of the whole machine, for a collector of text files"}},
			{vexFlag()},
		}}},
		Action: h.showStatus,
	}
}

// targetsUsage is for a command whose targets are options.
const targetsUsage = "[TARGETS]"

func checkBy(by string) error {
	if by != "unit" {
		return errors.New("it is unit")
	}
	return nil
}

func (h *host) showStatus(_ context.Context, c *cli.Command) error {
	if err := noArgument(c); err != nil {
		return err
	}
	sel, err := selection(c)
	if err != nil {
		return err
	}
	if c.Bool("vex") {
		return h.showVEX(c, sel)
	}
	if c.Bool("prometheus") {
		if !sel.Empty() || c.Bool("quiet") || c.Bool("allow-none") {
			return errors.New("--prometheus tells of the whole machine; leave all other options out")
		}
		return h.showMetrics(c.Writer)
	}
	k, err := h.connect()
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	list, err := k.Status()
	if err != nil {
		return err
	}
	list, all, err := h.filter(c, k, sel, list)
	if err != nil {
		return err
	}
	session := apply.New(k, h.proc)
	list = session.Recount(list)
	about := h.aboutsOf(list)
	slices.SortStableFunc(list, func(a, b lpnl.Report) int {
		return cmp.Or(strings.Compare(a.Patch, b.Patch), a.PID-b.PID)
	})
	if slices.Contains(all, exitDone) {
		err = printStatus(c, session, list, about)
	}
	return cmp.Or(err, exitWith(all))
}

func printStatus(c *cli.Command, session *apply.Session, list []lpnl.Report, about *apply.Abouts) error {
	mitigations := session.Mitigations(list)
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
	if err := printTables(c, session.StatusRows(list), about, mitigations); err != nil {
		return err
	}
	for _, r := range list {
		if r.Message != "" {
			fmt.Fprintf(c.ErrWriter, "lpctl: note: %s[%d]: %s\n", r.Comm, r.PID, r.Message)
		}
	}
	return nil
}

// printTables prints a table of targets or services, a summary, and a table of mitigations.
func printTables(c *cli.Command, rows []apply.StatusRow, about *apply.Abouts, mitigations []*apply.Mitigation) error {
	var t *table.Table
	limit := tableWidth(c)
	switch {
	case c.String("by") != "":
		t = serviceTable(apply.ByService(rows), about)
	case c.Bool("wide"):
		t = targetTable(rows, about)
	default:
		t = targetTable(apply.FoldRestored(rows, time.Now().Add(-restoredFor)), about)
	}
	if err := t.Write(c.Writer, limit); err != nil {
		return err
	}
	if err := sumUp(c.Writer, statusSummary(rows)); err != nil {
		return err
	}
	hits := mitigationTable(rows, mitigations)
	if len(hits.Rows) > 0 {
		fmt.Fprintln(c.Writer)
	}
	return hits.Write(c.Writer, limit)
}

// restoredFor is how long patches that are not in use any more have a row for each process.
const restoredFor = 24 * time.Hour

// drift is what is wrong with a patch in a target, or nil.
func drift(r lpnl.Report) error {
	if r.Refusal == lpnl.RefusalNone {
		return nil
	}
	return &lpnl.Refused{Report: r}
}

// filter keeps the selected targets, and says which parts of the selection have no process; without a selection, or with
// --all, it keeps all of them. The statuses are those of the parts, and of the processes that were found.
func (h *host) filter(c *cli.Command, k kernel, sel apply.Selection, list []lpnl.Report) ([]lpnl.Report, []exitStatus, error) {
	every := sel.All || sel.Empty()
	sel.All = false
	found, err := apply.New(k, h.proc).Find("status", sel, apply.PatchRef{})
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

// fixesColumn is there if any patch says what it fixes.
func fixesColumn(told bool) []table.Column {
	if told {
		return []table.Column{{Head: "FIXES", Spare: true}}
	}
	return nil
}

// targetTable has a row for each target; of several that were folded, their number.
func targetTable(rows []apply.StatusRow, about *apply.Abouts) *table.Table {
	told := slices.ContainsFunc(rows, func(r apply.StatusRow) bool { return about.Of(r.Hash) != nil })
	t := &table.Table{Columns: append([]table.Column{
		{Head: "PATCH"}, {Head: "PID"}, {Head: "COMM"}, {Head: "SERVICE", Spare: true}, {Head: "STATE"}, {Head: "SINCE", Spare: true},
	}, fixesColumn(told)...)}
	t.Columns = append(t.Columns, table.Column{Head: "STOPPED", Spare: true}, table.Column{Head: "LAYER", Spare: true}, table.Column{Head: "FUNCTIONS", Spare: true},
		table.Column{Head: "VALUES", Spare: true}, table.Column{Head: "THREADS", Spare: true})
	for _, r := range rows {
		stopped, threads, layer := "-", "-", "-"
		if r.Layer > 0 {
			layer = fmt.Sprint(r.Layer)
		}
		if r.Attempts > 0 {
			stopped, threads = duration(r.Stop), fmt.Sprint(r.Threads)
		}
		pid, comm := fmt.Sprint(r.PID), names.Visible(r.Comm)
		if r.Processes > 1 {
			pid, comm, stopped, threads = plurals(r.Processes, "process", "processes"), "-", "-", "-"
		}
		cells := []string{names.Visible(r.Patch), pid, comm, names.Visible(cmp.Or(r.Service, "-")), stateText(r.State, r.ActiveThreads), r.Since.Local().Format(time.DateTime)}
		if told {
			cells = append(cells, names.Visible(fixesShort(about.Of(r.Hash))))
		}
		t.Rows = append(t.Rows, append(cells, stopped, layer, fmt.Sprint(r.Functions), fmt.Sprint(r.Values), threads))
	}
	return t
}

// serviceTable has a row for each service.
func serviceTable(list []*apply.ServiceStatus, about *apply.Abouts) *table.Table {
	t := &table.Table{}
	told := false
	for _, s := range list {
		var patches []string
		fixed := &patch.About{}
		for _, r := range s.Reports {
			if !slices.Contains(patches, r.Patch) {
				patches = append(patches, r.Patch)
			}
			if a := about.Of(r.Hash); a != nil {
				told = true
				fixed.CVEs = append(fixed.CVEs, a.CVEs...)
			}
		}
		slices.Sort(fixed.CVEs)
		fixed.CVEs = slices.Compact(fixed.CVEs)
		t.Rows = append(t.Rows, []string{
			names.Visible(s.Service), fmt.Sprint(s.Processes), names.Visible(strings.Join(patches, ", ")), stateCounts(s.Reports), names.Visible(fixesShort(fixed)),
		})
	}
	t.Columns = append([]table.Column{{Head: "SERVICE"}, {Head: "PROCESSES"}, {Head: "PATCHES"}, {Head: "STATE"}}, fixesColumn(told)...)
	for i := range t.Rows {
		t.Rows[i] = t.Rows[i][:len(t.Columns)]
	}
	return t
}

// stateCounts says how many patches are in which state, or the state if it is that of all.
func stateCounts(list []lpnl.Report) string {
	counts, active := map[lpnl.State]int{}, 0
	for _, r := range list {
		counts[r.State]++
		active += r.ActiveThreads
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		text := fmt.Sprintf("%d %v", counts[state], state)
		if len(counts) == 1 {
			text = state.String()
		}
		parts = append(parts, text)
	}
	if active > 0 {
		parts = append(parts, plural(active, "call")+" in old code")
	}
	return strings.Join(parts, ", ")
}

// statusSummary says all of it in a line.
func statusSummary(rows []apply.StatusRow) string {
	patches, processes := map[lpnl.Hash]bool{}, map[int]bool{}
	var list []lpnl.Report
	for _, r := range rows {
		patches[r.Hash], processes[r.PID] = true, true
		list = append(list, r.Report)
	}
	return fmt.Sprintf("%s in %s: %s", plurals(len(patches), "patch", "patches"), plurals(len(processes), "process", "processes"), stateCounts(list))
}

// mitigationTable tells how often functions were called that mitigations are for.
func mitigationTable(rows []apply.StatusRow, mitigations []*apply.Mitigation) *table.Table {
	t := &table.Table{Columns: []table.Column{{Head: "MITIGATION"}, {Head: "PID"}, {Head: "COMM", Spare: true}, {Head: "FUNCTION"}, {Head: "ACTION"}, {Head: "HITS"}}}
	for i, m := range mitigations {
		if m == nil {
			continue
		}
		hits := fmt.Sprint(m.Hits)
		if m.Err != nil {
			hits = "unknown: " + m.Err.Error()
		}
		r := rows[i]
		t.Rows = append(t.Rows, []string{names.Visible(r.Patch), fmt.Sprint(r.PID), names.Visible(r.Comm), names.Visible(names.Readable(m.Function)), names.Visible(m.Action), names.Visible(hits)})
	}
	return t
}
