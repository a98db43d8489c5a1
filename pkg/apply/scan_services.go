// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"cmp"
	"slices"
	"strings"

	"lpatch/pkg/proc"
)

// scanOrder is the order of the states in a service.
var scanOrder = []ScanState{ScanPatchable, ScanOldInMemory, ScanNotPatchable, ScanUnknown, ScanPatched}

// ScanRow is what several processes of a service have in common.
type ScanRow struct {
	Finding   // of the first of them; Active is that of all
	Processes []proc.Process
}

// ByService puts findings that say the same of processes of one service together, by service, and in it what needs something first.
func (s *Scan) ByService() []*ScanRow {
	type key struct {
		service, patch, path, onDisk, why string
		state                             ScanState
	}
	rows := map[key]*ScanRow{}
	var list []*ScanRow
	for _, f := range s.Findings {
		k := key{f.Service, f.Patch.Name, f.Path, f.OnDisk, f.Why, f.State}
		row := rows[k]
		if row == nil {
			row = &ScanRow{Finding: f}
			row.Active, rows[k], list = 0, row, append(list, row)
		}
		row.Active += f.Active
		row.Processes = append(row.Processes, f.Process)
	}
	slices.SortStableFunc(list, func(a, b *ScanRow) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), slices.Index(scanOrder, a.State)-slices.Index(scanOrder, b.State),
			strings.Compare(a.Patch.Name, b.Patch.Name))
	})
	return list
}
