// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"lpatch/pkg/apply"
	"lpatch/pkg/boot"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
	"lpatch/pkg/table"
)

// bootJSON is one boot entry, as --json prints it.
type bootJSON struct {
	Patch      string   `json:"patch"`
	Registered bool     `json:"registered"` // the kernel has it, as it is kept, for the file that is there now
	Kept       bool     `json:"kept"`       // it is there after the next boot
	Disabled   bool     `json:"disabled"`   // but not registered, after too many boots that did not succeed
	Disk       string   `json:"disk"`       // as of boot sync
	OnFailure  string   `json:"on_failure"`
	Applied    uint64   `json:"applied"`
	Failed     uint64   `json:"failed"`
	Message    string   `json:"message"` // why the last process could not be patched
	Images     []string `json:"images"`
	superseded string   // what is said of that
}

func (b *bootRun) list() error {
	rows, errs := b.rows()
	if b.c.Bool("json") {
		for _, row := range rows {
			if err := printJSON(b.c.Writer, row); err != nil {
				return err
			}
		}
		return errors.Join(errs...)
	}
	if len(rows) > 0 {
		if err := bootTable(rows).Write(b.c.Writer, tableWidth(b.c)); err != nil {
			return err
		}
		if err := sumUp(b.c.Writer, bootSummary(rows)); err != nil {
			return err
		}
	} else if len(errs) == 0 && !b.c.Bool("quiet") {
		fmt.Fprintln(b.c.ErrWriter, "no boot entries")
	}
	for _, row := range rows {
		if row.superseded != "" {
			b.note("%s", row.superseded)
		}
		switch {
		case row.Disabled:
			b.note("%s", row.Message)
		case row.Message != "":
			b.note("%s: %s", row.Patch, row.Message)
		}
	}
	return errors.Join(errs...)
}

// rows joins what is kept with what the kernel has, as boot sync sees it.
func (b *bootRun) rows() ([]*bootJSON, []error) {
	entries, errs := b.registry.List()
	c, more := apply.New(b.kernel, b.host.proc).CompareEntries(b.kernel, b.registry, entries, b.disabled)
	defer c.Close()
	errs = append(errs, more...)
	var rows []*bootJSON
	byName := map[string]*bootJSON{}
	for _, s := range c.Rows {
		row := byName[s.Patch]
		if row == nil {
			row = &bootJSON{Patch: s.Patch, OnFailure: string(boot.Run), Images: []string{}}
			byName[s.Patch] = row
			rows = append(rows, row)
		}
		row.Kept, row.Disabled, row.Disk, row.Registered = s.Kept, s.Disabled, string(s.Disk), s.Registered
		row.superseded = supersededNote(s)
	}
	for _, e := range entries {
		row := byName[e.Name]
		if row == nil { // the kernel cannot be asked
			continue
		}
		row.OnFailure = string(e.OnFailure)
		for _, i := range e.Images {
			row.Images = append(row.Images, i.Path)
		}
		if err := b.disabled(e); row.Disabled && err != nil {
			row.Message = err.Error()
		}
	}
	registered, err := b.kernel.Boots()
	if err != nil {
		errs = append(errs, err)
	}
	for _, k := range registered {
		row := byName[k.Patch]
		if row == nil { // since the comparison
			continue
		}
		if k.Flags&lpnl.BootFlagsKill != 0 {
			row.OnFailure = string(boot.Kill)
		}
		row.Applied += k.Applied
		row.Failed += k.Failed
		row.Message = cmp.Or(k.Message, row.Message)
	}
	return rows, errs
}

// keptText says whether an entry is there after the next boot.
func (r *bootJSON) keptText() string {
	switch {
	case r.Disk == string(apply.DiskSuperseded):
		return "superseded"
	case r.Disabled:
		return "disabled"
	}
	return yesNo(r.Kept)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func bootTable(rows []*bootJSON) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Head: "PATCH"}, {Head: "REGISTERED"}, {Head: "KEPT"}, {Head: "APPLIED"}, {Head: "FAILED"}, {Head: "ON FAILURE", Spare: true}, {Head: "IMAGES", Wrap: true},
	}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{names.Visible(r.Patch), yesNo(r.Registered), r.keptText(), fmt.Sprint(r.Applied), fmt.Sprint(r.Failed), r.OnFailure,
			names.Visible(strings.Join(r.Images, " "))})
	}
	return t
}

// bootSummary says all of it in a line.
func bootSummary(rows []*bootJSON) string {
	kept, registered, applied, failed := map[string]int{}, 0, uint64(0), uint64(0)
	for _, r := range rows {
		kept[r.keptText()]++
		if r.Registered {
			registered++
		}
		applied += r.Applied
		failed += r.Failed
	}
	text := fmt.Sprintf("%s: %d registered", plurals(len(rows), "entry", "entries"), registered)
	for _, what := range []struct{ kept, word string }{{"disabled", "disabled"}, {"superseded", "superseded"}, {"no", "not kept"}} {
		if n := kept[what.kept]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, what.word)
		}
	}
	return text + fmt.Sprintf("; applied to %s as they started, to %d not", plurals(int(applied), "process", "processes"), failed)
}
