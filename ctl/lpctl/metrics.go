// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"lpatch/pkg/apply"
	"lpatch/pkg/lpnl"
	"lpatch/pkg/names"
)

// metric is a family of samples in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
type metric struct {
	name, kind, help string
	samples          []sample
}

type sample struct {
	labels [][2]string
	value  float64
}

// showMetrics prints what a collector is to know of this machine. Without the module that is one number, 0, and the error
// comes on top: a file that a collector reads must not go on telling of what was.
func (h *host) showMetrics(w io.Writer) error {
	k, err := h.connect()
	if err != nil {
		return cmp.Or(writeMetrics(w, []metric{up(0)}), err)
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info()
	if err != nil {
		return cmp.Or(writeMetrics(w, []metric{up(0)}), err)
	}
	list, err := k.Status()
	if err != nil {
		return err
	}
	session := apply.New(k, h.proc)
	list = session.Recount(list)
	about := h.aboutsOf(list)
	boots, err := k.Boots()
	if err != nil {
		return err
	}
	return writeMetrics(w, slices.Concat([]metric{up(1), gauge("lpatch_sleeping_threads",
		"Threads that hold the kernel module until they run again; lpctl drain wakes them.", float64(info.Gates))},
		targetMetrics(list), cveMetrics(list, about), mitigationMetrics(list, session.Mitigations(list)), bootMetrics(boots)))
}

func up(value float64) metric {
	return gauge("lpatch_up", "Whether the kernel module answers.", value)
}

func gauge(name, help string, value float64) metric {
	return metric{name: name, kind: "gauge", help: help, samples: []sample{{value: value}}}
}

// targetMetrics counts processes by patch and state, and gives for each patch the longest of the last stops.
func targetMetrics(list []lpnl.Report) []metric {
	type key struct {
		patch string
		state lpnl.State
	}
	processes, active := map[key]int{}, map[key]int{}
	stops := map[string]float64{}
	for _, r := range list {
		processes[key{r.Patch, r.State}]++
		active[key{r.Patch, r.State}] += r.ActiveThreads
		stops[r.Patch] = max(stops[r.Patch], r.Stop.Seconds())
	}
	count := metric{name: "lpatch_processes", kind: "gauge",
		help: "Processes that have a patch; state drifted is one whose memory is not what was done to it."}
	old := metric{name: "lpatch_threads_in_old_code", kind: "gauge",
		help: "Threads that are still in code from before the patch came into that state, at most."}
	longest := metric{name: "lpatch_last_stop_seconds", kind: "gauge",
		help: "The longest stop of a process in what was done last to each that has the patch."}
	for k, n := range processes {
		labels := [][2]string{{"patch", k.patch}, {"state", k.state.String()}}
		count.samples = append(count.samples, sample{labels, float64(n)})
		old.samples = append(old.samples, sample{labels, float64(active[k])})
	}
	for patch, seconds := range stops {
		longest.samples = append(longest.samples, sample{[][2]string{{"patch", patch}}, seconds})
	}
	return []metric{count, old, longest}
}

// cveMetrics counts, for each CVE, the processes in which a patch is applied that says that it fixes it.
func cveMetrics(list []lpnl.Report, about *apply.Abouts) []metric {
	fixed := metric{name: "lpatch_cve_processes", kind: "gauge",
		help: "Processes to which a patch is applied that fixes the CVE in the files that it changes."}
	type key struct{ cve, patch string }
	count := map[key]int{}
	for _, r := range list {
		if a := about.Of(r.Hash); a != nil && r.State == lpnl.StateApplied {
			for _, cve := range a.CVEs {
				count[key{cve, r.Patch}]++
			}
		}
	}
	for k, n := range count {
		fixed.samples = append(fixed.samples, sample{[][2]string{{"cve", k.cve}, {"patch", k.patch}}, float64(n)})
	}
	return []metric{fixed}
}

// mitigationMetrics tells how often functions were called that mitigations are for, in the processes that there are.
func mitigationMetrics(list []lpnl.Report, mitigations []*apply.Mitigation) []metric {
	type key struct{ patch, function string }
	sums := map[key]uint64{}
	for i, m := range mitigations {
		if m != nil && m.Err == nil {
			sums[key{list[i].Patch, m.Function}] += m.Hits
		}
	}
	hits := metric{name: "lpatch_mitigation_hits", kind: "gauge",
		help: "Calls of a function that a mitigation is for, as the processes have counted them that are alive."}
	for k, n := range sums {
		hits.samples = append(hits.samples, sample{[][2]string{{"patch", k.patch}, {"function", k.function}}, float64(n)})
	}
	return []metric{hits}
}

// bootMetrics tells what the boot entries that the kernel has did so far.
func bootMetrics(boots []lpnl.Boot) []metric {
	starts := metric{name: "lpatch_boot_starts_total", kind: "counter",
		help: "Processes to which a boot entry was to be applied as they started."}
	for _, b := range boots {
		for _, r := range []struct {
			result string
			n      uint64
		}{{"applied", b.Applied}, {"failed", b.Failed}} {
			starts.samples = append(starts.samples, sample{[][2]string{{"patch", b.Patch}, {"result", r.result}}, float64(r.n)})
		}
	}
	return []metric{starts}
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (s sample) String() string {
	var labels []string
	for _, l := range s.labels {
		labels = append(labels, fmt.Sprintf(`%s="%s"`, l[0], escapeLabel.Replace(names.Visible(l[1]))))
	}
	if len(labels) == 0 {
		return fmt.Sprintf(" %g", s.value)
	}
	return fmt.Sprintf("{%s} %g", strings.Join(labels, ","), s.value)
}

// writeMetrics prints samples in an order that does not change from one time to the next.
func writeMetrics(w io.Writer, metrics []metric) error {
	var out bytes.Buffer
	for _, m := range metrics {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		lines := make([]string, 0, len(m.samples))
		for _, s := range m.samples {
			lines = append(lines, m.name+s.String()+"\n")
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(lines, ""))
	}
	_, err := out.WriteTo(w)
	return err
}
