// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"slices"
	"strings"
	"time"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/proc"
)

// serviceOf names what a process is a part of: a unit of the system's manager, or else the program.
func serviceOf(fs proc.FS, t proc.Process) string {
	if unit, err := fs.Unit(t.PID); err == nil && unit != "" {
		return unit
	}
	if exe, err := fs.Exe(t.PID); err == nil {
		return exe
	}
	return "[" + t.Comm + "]" // the name that it gives itself: no unit or program
}

// StatusRow is what a status tells of one target, or of several of which the same is to be said.
type StatusRow struct {
	lpnl.Report // of one of them
	Service     string
	Processes   int
}

// StatusRows finds the services of the targets of a status.
func (s *Session) StatusRows(list []lpnl.Report) []StatusRow {
	services := map[int]string{}
	rows := make([]StatusRow, len(list))
	for i, r := range list {
		service, known := services[r.PID]
		if !known {
			service = serviceOf(s.proc, proc.Process{PID: r.PID, Comm: r.Comm})
			services[r.PID] = service
		}
		rows[i] = StatusRow{Report: r, Service: service, Processes: 1}
	}
	return rows
}

// FoldRestored makes one row of those of a patch that was restored in several processes before a time. Of these nothing is left to do
// or to see but that the patch is mapped. The row has the latest time.
func FoldRestored(rows []StatusRow, before time.Time) []StatusRow {
	var out []StatusRow
	first := map[lpnl.Hash]int{}
	for _, r := range rows {
		if r.State != lpnl.StateRestored || r.ActiveThreads > 0 || r.Message != "" || !r.Since.Before(before) {
			out = append(out, r)
			continue
		}
		i, folded := first[r.Hash]
		if !folded {
			first[r.Hash] = len(out)
			out = append(out, r)
			continue
		}
		out[i].Processes++
		if r.Since.After(out[i].Since) {
			out[i].Since = r.Since
		}
		if out[i].Service != r.Service {
			out[i].Service = ""
		}
	}
	return out
}

// ServiceStatus is what a status tells of a service.
type ServiceStatus struct {
	Service   string
	Processes int
	Reports   []lpnl.Report
}

// ByService puts the rows of each service together, by its name.
func ByService(rows []StatusRow) []*ServiceStatus {
	index, seen := map[string]*ServiceStatus{}, map[int]bool{}
	var list []*ServiceStatus
	for _, r := range rows {
		s := index[r.Service]
		if s == nil {
			s = &ServiceStatus{Service: r.Service}
			index[r.Service], list = s, append(list, s)
		}
		if !seen[r.PID] {
			seen[r.PID] = true
			s.Processes++
		}
		s.Reports = append(s.Reports, r.Report)
	}
	slices.SortFunc(list, func(a, b *ServiceStatus) int { return strings.Compare(a.Service, b.Service) })
	return list
}
