// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes a result as text, with durations in µs.
func (r *Result) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d CPUs, kernel %s, %s, level %s\n\n", r.Machine, r.CPUs, r.Kernel, r.Date.Format("2006-01-02"), r.Level)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tthreads\tload\tfunctions\twindows\tstop min\tp50\tp99\tmax\tgate\tbarrier\tcheck\twrite\trelease\tgap\tquiet\tEINTR\tKiB\tCPU\t")
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Latency == nil {
			fmt.Fprintln(t, line(row))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Latency != nil {
			l := row.Latency
			fmt.Fprintf(w, "\n%s, %s: %d requests, p50 %s, p99 %s, p99.9 %s, max %s", row.Load, row.System, row.Requests,
				Micros(l.P50), Micros(l.P99), Micros(l.P999), Micros(l.Max))
		}
	}
	fmt.Fprint(w, "\n\n")
	for _, g := range r.Goals {
		fmt.Fprintln(w, g)
	}
	return nil
}

func line(r *Row) string {
	s := fmt.Sprintf("%s\t%d\t%s\t%d\t", r.System, r.Threads, r.Load, r.Functions)
	if r.Error != "" {
		return s + r.Error + "\t"
	}
	s += fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t", r.Windows, tenths(&r.Stop.Min), tenths(&r.Stop.P50), tenths(&r.Stop.P99), tenths(&r.Stop.Max))
	if p := r.Phases; p != nil {
		s += fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t", tenths(&p.Gate), tenths(&p.Barrier), tenths(&p.Check), tenths(&p.Write), tenths(&p.Release))
	} else {
		s += "\t\t\t\t\t"
	}
	s += fmt.Sprintf("%s\t%s\t", tenths(r.Gap), tenths(r.GapQuiet))
	if r.EINTR != nil {
		s += fmt.Sprint(*r.EINTR)
	}
	s += "\t"
	if r.Memory != nil {
		s += fmt.Sprint(*r.Memory >> 10)
	}
	return s + "\t" + tenths(r.CPU) + "\t"
}

// tenths formats a duration in ns as µs without unit; nil yields "".
func tenths(ns *int64) string {
	if ns == nil {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(*ns)/1e3)
}

// String tells whether a goal was met or by how much it was missed.
func (g Goal) String() string {
	switch {
	case g.Got == nil:
		return fmt.Sprintf("goal not measured: %s: at most %.3g", g.Name, g.Limit)
	case g.Met:
		return fmt.Sprintf("goal met: %s: %.3g, at most %.3g (%s)", g.Name, *g.Got, g.Limit, g.Detail)
	default:
		return fmt.Sprintf("goal MISSED by a factor of %.2f: %s: %.3g, at most %.3g (%s)", *g.Got/g.Limit, g.Name, *g.Got, g.Limit, g.Detail)
	}
}
