// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
	"lpatch/pkg/table"
)

func (h *host) scanCommand() *cli.Command {
	return &cli.Command{
		Name:      "scan",
		Usage:     "show which processes have what patches are for, and whether they are patched",
		ArgsUsage: "[DIR|NAME.lp]…",
		Description: "Looks at all processes, or those that are named, and changes none. The patches are those in DIR, the files\n" +
			"NAME.lp, and those of the boot entries.",
		Flags:                  append(processFlags(), allowNoneFlag("a program, unit or control group may have no process: exit status 3, not 5"), quietFlag()),
		MutuallyExclusiveFlags: tableFlags(),
		Action:                 h.scan,
	}
}

// scanJSON is how a process stands with a patch, as scan --json prints it; or a process that could not be looked at, if *error* is not null.
type scanJSON struct {
	Patch         string       `json:"patch"`
	PID           int          `json:"pid"`
	Comm          string       `json:"comm"`
	Service       string       `json:"service"`
	State         string       `json:"state"`
	Needs         bool         `json:"needs"` // something is to be done
	Path          string       `json:"path"`
	BuildID       string       `json:"build_id"`
	OnDisk        string       `json:"on_disk"` // of the file that is at path now, if it is another one
	ActiveThreads int          `json:"active_threads"`
	Message       string       `json:"message"`
	Error         *errorJSON   `json:"error"`
	About         *patch.About `json:"about,omitempty"`
}

// scanSummaryJSON is the last line.
type scanSummaryJSON struct {
	Summary scanNumbers `json:"summary"`
}

type scanNumbers struct {
	Patches   int  `json:"patches"`
	Module    bool `json:"module"` // it is loaded
	Processes int  `json:"processes"`
	Need      int  `json:"need"`
	Patched   int  `json:"patched"`
	Active    int  `json:"active"` // of those that are patched: with threads in old code
	Unseen    int  `json:"unseen"`
	Files     int  `json:"files"`
	Others    int  `json:"others"`
}

func (h *host) scan(_ context.Context, c *cli.Command) error {
	sel, err := selection(c)
	if err != nil {
		return err
	}
	for _, arg := range c.Args().Slice() {
		if err := notEmpty(c, arg, "a directory of patches"); err != nil {
			return err
		}
	}
	patches, bad := apply.OpenPatches(h.registry, c.Args().Slice())
	if len(patches) == 0 {
		return cmp.Or(errors.Join(bad...), unmatchedPatches(c))
	}
	var found *apply.Scan
	module, err := h.inSession(func(s *apply.Session, info lpnl.Info) error {
		var err error
		found, err = s.Scan(patches, sel, info.SignatureRequired)
		return err
	})
	if err != nil {
		return err
	}
	n := newScanNumbers(found, len(patches), module)
	if err := showScan(c, found, n); err != nil {
		return err
	}
	return scanStatus(c, found, bad)
}

// unmatchedPatches says that there is nothing to look for.
func unmatchedPatches(c *cli.Command) error {
	return unmatched("no patch was given, and there are no boot entries", c.Bool("quiet"), true)
}

// inSession does something in a session with the kernel, or in one without if the module is not loaded.
func (h *host) inSession(do func(*apply.Session, lpnl.Info) error) (module bool, err error) {
	k, err := h.connect()
	if errors.Is(err, lpnl.ErrNoModule) {
		return false, do(apply.New(nil, h.proc), lpnl.Info{})
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info()
	if err != nil {
		return true, err
	}
	return true, do(apply.New(k, h.proc), info)
}

func showScan(c *cli.Command, found *apply.Scan, n scanNumbers) error {
	w := c.Writer
	if c.Bool("json") {
		for i := range found.Findings {
			if err := printJSON(w, newScanJSON(&found.Findings[i])); err != nil {
				return err
			}
		}
		for _, err := range found.Unseen {
			if err := printJSON(w, scanJSON{Error: &errorJSON{Code: "unseen", Message: err.Error()}}); err != nil {
				return err
			}
		}
		return printJSON(w, scanSummaryJSON{n})
	}
	if c.Bool("quiet") || n.Processes == 0 {
		return nil
	}
	t := scanTable(found.ByService())
	if err := t.Write(w, tableWidth(c)); err != nil {
		return err
	}
	if len(t.Rows) == 0 {
		return printLine(w, "%s", scanSummary(n))
	}
	return sumUp(w, scanSummary(n))
}

func newScanJSON(f *apply.Finding) scanJSON {
	return scanJSON{
		Patch: f.Patch.Name, PID: f.Process.PID, Comm: f.Process.Comm, Service: f.Service, State: strings.ReplaceAll(string(f.State), " ", "-"),
		Needs: f.Needs(), Path: f.Path, BuildID: hex.EncodeToString(f.BuildID), OnDisk: f.OnDisk, ActiveThreads: f.Active, Message: f.Why, About: f.Patch.About,
	}
}

// scanTable has a row for the processes of a service of which the same is to be said.
func scanTable(rows []*apply.ScanRow) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Head: "SERVICE"}, {Head: "PROCESSES"}, {Head: "STATE"}, {Head: "PATCH"}, {Head: "FIXES", Spare: true}, {Head: "FILE", Spare: true}, {Head: "WHY", Wrap: true},
	}}
	for _, r := range rows {
		state := string(r.State)
		if r.Active > 0 {
			state += fmt.Sprintf(", %s in old code", plural(r.Active, "call"))
		}
		why := names.InText(r.Why)
		if r.OnDisk != "" {
			why += " (on disk: " + r.OnDisk + ")"
		}
		cells := []string{r.Service, fmt.Sprint(len(r.Processes)), state, r.Patch.Name, fixesShort(r.Patch.About), r.Path, cmp.Or(why, "-")}
		for i := range cells {
			cells[i] = names.Visible(cells[i])
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func newScanNumbers(found *apply.Scan, patches int, module bool) scanNumbers {
	return scanNumbers{
		Patches: patches, Module: module, Processes: found.Processes, Need: found.Need(), Patched: found.Patched(), Active: found.Active(),
		Unseen: len(found.Unseen), Files: found.Files, Others: found.Others,
	}
}

// scanNeeds says how many processes need something.
func scanNeeds(n scanNumbers) string {
	text := fmt.Sprintf("%d of %d processes need something; %d patched", n.Need, n.Processes, n.Patched)
	if !n.Module {
		text += " (the module lpatch is not loaded)"
	}
	if n.Unseen > 0 {
		text += fmt.Sprintf("; %d could not be looked at", n.Unseen)
	}
	return text
}

// scanSummary says all of it in a line.
func scanSummary(n scanNumbers) string {
	return scanNeeds(n) + fmt.Sprintf("; of %s that they map, no patch is for %d (%s)", plural(n.Files, "file"), n.Others, plurals(n.Patches, "patch", "patches"))
}

// scanStatus says what is to be said besides, and returns the exit status.
func scanStatus(c *cli.Command, found *apply.Scan, bad []error) error {
	all := reportScan(c, found)
	if len(bad) > 0 { // whether that concerns somebody is not known
		return errors.Join(bad...)
	}
	if found.Processes > 0 {
		all = append(all, exitDone)
	}
	return exitWith(all)
}

// reportScan says who was left out, and returns what follows from that and from what there is to do.
func reportScan(c *cli.Command, found *apply.Scan) (all []exitStatus) {
	for _, o := range found.Failed {
		complain(c.ErrWriter, o)
		all = append(all, statusOfOutcome(o))
	}
	all = append(all, reportMisses(c, found.Misses)...)
	reportUnseen(c, found.Unseen)
	switch {
	case found.Need()+len(found.Unseen) > 0:
		all = append(all, exitSome)
	case found.Active() > 0:
		all = append(all, exitActive)
	}
	return all
}
