// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/proc"
	"lpatch/pkg/table"
)

// syncJSON is one row of the comparison, as boot sync --json prints it: of a boot entry if pid is 0, else of a process.
type syncJSON struct {
	Patch      string     `json:"patch"`
	PID        int        `json:"pid"`
	Comm       string     `json:"comm"`
	Kept       bool       `json:"kept"`           // there is a boot entry
	Disabled   bool       `json:"disabled"`       // it is not to be registered
	Disk       string     `json:"disk"`           // current, superseded, baked or missing; of an entry
	Registered bool       `json:"registered"`     // the kernel has it; of an entry
	State      string     `json:"state"`          // of a process
	Active     int        `json:"active_threads"` // of a process: in code from before
	Agrees     bool       `json:"agrees"`
	Done       string     `json:"done"` // what --fix did
	Error      *errorJSON `json:"error"`
}

// sync compares the disk, the registry, the kernel and all processes, and with --fix brings what runs in line.
func (b *bootRun) sync() error {
	if err := b.host.refuseIfOff(); err != nil {
		return err
	}
	c, errs := apply.New(b.kernel, b.host.proc).Compare(b.kernel, b.registry, b.disabled)
	defer c.Close()
	agreed := c.Agrees()
	if b.c.Bool("fix") && !agreed {
		c.Fix(lpnl.Options{MaxStop: lpnl.MaxStopDefault, Timeout: 10 * time.Second})
	}
	if err := b.showSync(c.Rows); err != nil {
		return err
	}
	for _, r := range c.Rows {
		if r.Err != nil {
			complain(b.c.ErrWriter, apply.Outcome{Process: r.Process, Err: r.Err})
		}
	}
	if len(errs) > 0 { // it is not known whether all agree
		return &exitError{status: exitFailed, err: errors.Join(errs...)}
	}
	return b.agreement(c, agreed)
}

// agreement says how a comparison ended.
func (b *bootRun) agreement(c *apply.Comparison, before bool) error {
	const all = "disk, registry, kernel and processes agree"
	unseen := ""
	if n := len(c.Unseen); n > 0 {
		reportUnseen(b.c, c.Unseen)
		unseen = fmt.Sprintf("; processes that could not be looked at: %d", n)
	}
	switch {
	case !c.Agrees():
		n := 0
		for _, r := range c.Rows {
			if !r.Agrees {
				n++
			}
		}
		text := fmt.Sprintf("rows that do not agree: %d of %d", n, len(c.Rows))
		if !b.c.Bool("fix") {
			text += "; lpctl boot sync --fix brings them in line with the registry"
		}
		return &exitError{status: exitSome, err: errors.New(text + unseen)}
	case unseen != "": // it is not known whether all agree
		return &exitError{status: exitSome, err: errors.New(all + ", as far as can be seen" + unseen)}
	case anyActive(c.Rows):
		return &exitError{status: exitActive, reported: true}
	case b.c.Bool("fix") && before:
		return unmatched(all, b.c.Bool("quiet"), true)
	case !b.c.Bool("quiet") && !b.c.Bool("json"):
		fmt.Fprintln(b.c.ErrWriter, all)
	}
	return nil
}

// anyActive tells whether threads are still in code from before in a process.
func anyActive(rows []*apply.Standing) bool {
	return slices.ContainsFunc(rows, func(r *apply.Standing) bool { return r.Active > 0 })
}

func (b *bootRun) showSync(rows []*apply.Standing) error {
	if b.c.Bool("json") {
		for _, r := range rows {
			if err := printJSON(b.c.Writer, newSyncJSON(r)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range rows {
		if text := supersededNote(r); text != "" {
			b.note("%s", text)
		} else if r.Elsewhere && r.Disk == apply.DiskCurrent && !r.Agrees {
			b.note("%s is registered for another file than the one that is there now; lpctl boot replay registers that", r.Patch)
		}
	}
	if b.c.Bool("quiet") || len(rows) == 0 {
		return nil
	}
	return syncTable(rows, b.c.Bool("fix")).Write(b.c.Writer, tableWidth(b.c))
}

// supersededNote says that an entry is, or nothing.
func supersededNote(r *apply.Standing) string {
	if r.Disk != apply.DiskSuperseded {
		return ""
	}
	return r.Patch + " is superseded: another version of its file is there; rebuild the patch for that, or remove it"
}

func newSyncJSON(r *apply.Standing) syncJSON {
	out := syncJSON{
		Patch: r.Patch, PID: r.Process.PID, Comm: r.Process.Comm, Kept: r.Kept, Disabled: r.Disabled, Disk: string(r.Disk),
		Registered: r.Registered, Agrees: r.Agrees, Done: r.Done, Active: r.Active,
	}
	if r.Process.PID != 0 {
		out.State = r.State.String()
	}
	if r.Err != nil {
		out.Error = &errorJSON{Code: code(r.Err), Message: r.Err.Error()}
	}
	return out
}

// syncTable has a row for each entry and each process.
func syncTable(rows []*apply.Standing, fix bool) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Head: "PATCH"}, {Head: "KEPT", Spare: true}, {Head: "DISK", Spare: true}, {Head: "REGISTERED"}, {Head: "PROCESS"}, {Head: "STATE"}, {Head: "AGREES"}, {Head: "DONE", Spare: !fix},
	}}
	for _, r := range rows {
		kept, registered, process, state := yesNo(r.Kept), "-", "-", "-"
		if r.Disabled {
			kept = "disabled"
		}
		if r.Process == (proc.Process{}) {
			registered = yesNo(r.Registered)
		} else {
			process, state = names.Visible(r.Process.String()), stateText(r.State, r.Active)
		}
		t.Rows = append(t.Rows, []string{
			names.Visible(r.Patch), kept, cmp.Or(string(r.Disk), "-"), registered, process, state, yesNo(r.Agrees), cmp.Or(r.Done, "-"),
		})
	}
	return t
}
