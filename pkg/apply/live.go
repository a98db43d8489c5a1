// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"slices"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// Live is a process to which a patch is applied, and that executes files which are not any more where they were.
type Live struct {
	Process  proc.Process
	Service  string
	Exe      string     // the program, as the kernel names it
	Replaced []Replaced // none: what has gone are the files of patches, as they are mapped
}

// Replaced is a file that is executed, and has been replaced or deleted since.
type Replaced struct {
	Path    string
	Now     proc.FileID   // what is there by now, as the process sees it; zero if that is nothing, or not known
	Patches []*patch.Spec // that are applied and change it, with no thread in code from before; mitigations are none
}

// live is what a process with patches has that was replaced, without its service. It returns nil if there is nothing, or its program is
// not known.
func (c *scanner) live(v *view, list []candidate, findings []Finding) *Live {
	var applied []*Finding
	for i := range findings {
		if f := &findings[i]; f.State == ScanPatched && f.By == nil {
			applied = append(applied, f)
		}
	}
	gone := slices.DeleteFunc(slices.Clone(list), func(f candidate) bool { return !f.mapping.Deleted })
	if len(applied) == 0 || len(gone) == 0 {
		return nil
	}
	exe, err := c.proc.Exe(v.PID)
	if err != nil {
		return nil
	}
	out := &Live{Process: v.Process, Exe: exe}
	if !slices.ContainsFunc(list, func(f candidate) bool { return f.mapping.Path == exe }) {
		out.Replaced = append(out.Replaced, Replaced{Path: exe}) // what it does without its code nobody knows
	}
	for _, f := range gone {
		if slices.ContainsFunc(c.of[v.PID], func(r lpnl.Report) bool { return f.mapping.Start-r.MappedAt < max(r.MappedBytes, 1) }) {
			continue
		}
		r := Replaced{Path: f.mapping.Path, Patches: changing(applied, f)}
		if now, err := c.proc.FindPath(v.PID, r.Path); v.note(err) == nil {
			r.Now = now.ID
			now.Close()
		}
		out.Replaced = append(out.Replaced, r)
	}
	return out
}

// changing are those of applied patches that change a file.
func changing(applied []*Finding, file candidate) (list []*patch.Spec) {
	for _, f := range applied {
		isIt := func(i *candidate) bool { return i != nil && i.file == file.file }
		if i := slices.IndexFunc(f.images, isIt); i >= 0 && f.patch.changes(i) && f.Active == 0 && f.Patch.Mitigation == nil {
			list = append(list, f.Patch)
		}
	}
	return list
}
