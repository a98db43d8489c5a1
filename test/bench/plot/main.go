// SPDX-License-Identifier: GPL-2.0

// Command plot puts results of lpbench together and shows them: a table on standard output, and in a directory
// results.json and plots of stop against threads and against functions, as PNG and SVG.
//
//	plot DIRECTORY RESULT...
package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"lpatch/pkg/bench"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: plot DIRECTORY RESULT...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(dir string, paths []string) error {
	var parts []*bench.Result
	for _, path := range paths {
		r, err := read(path)
		if err != nil {
			return err
		}
		parts = append(parts, r)
	}
	r := bench.Merge(parts[0], parts[1:]...)
	if err := write(filepath.Join(dir, "results.json"), r); err != nil {
		return err
	}
	if err := r.Table(os.Stdout); err != nil {
		return err
	}
	return drawAll(dir, r)
}

func read(path string) (*bench.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := bench.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func write(path string, r *bench.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := r.Write(f); err != nil {
		return err
	}
	return f.Close()
}

func drawAll(dir string, r *bench.Result) error {
	for _, load := range []bench.Load{bench.LoadAsleep, bench.LoadBusy, bench.LoadMixed} {
		err := draw(chart{
			title: fmt.Sprintf("Stop, 1 function, threads %s", load), x: "threads", name: "threads-" + string(load), dir: dir,
			lines: lines(r.Rows, func(row *bench.Row) (int, bool) { return row.Threads, row.Load == load && row.Functions <= 1 }),
		})
		if err != nil {
			return err
		}
	}
	threads := functionsAxis(r.Rows)
	return draw(chart{
		title: fmt.Sprintf("Stop, %d threads asleep", threads), x: "functions", name: "functions", dir: dir,
		lines: lines(r.Rows, func(row *bench.Row) (int, bool) {
			return row.Functions, row.Load == bench.LoadAsleep && row.Threads == threads && row.Functions > 0
		}),
	})
}

// functionsAxis is the number of threads with which most numbers of functions were measured.
func functionsAxis(rows []bench.Row) int {
	seen := map[int]int{}
	best := 0
	for _, row := range rows {
		if row.System == bench.SystemLpatch && row.Load == bench.LoadAsleep {
			seen[row.Threads]++
			if seen[row.Threads] > seen[best] {
				best = row.Threads
			}
		}
	}
	return best
}

// chart is one plot: a line for each system, of the median, and dots above it for the longest.
type chart struct {
	title, x  string
	name, dir string // of the files
	lines     []series
}

type series struct {
	system          string
	median, longest plotter.XYs // µs
}

// lines picks the rows of a chart: in says whether a row is one, and at which x.
func lines(rows []bench.Row, in func(row *bench.Row) (int, bool)) []series {
	var list []series
	for i := range rows {
		row := &rows[i]
		x, ok := in(row)
		if !ok || row.Stop == nil {
			continue
		}
		at := slices.IndexFunc(list, func(s series) bool { return s.system == row.System })
		if at < 0 {
			at = len(list)
			list = append(list, series{system: row.System})
		}
		s := &list[at]
		s.median = append(s.median, plotter.XY{X: float64(x), Y: micros(row.Stop.P50)})
		s.longest = append(s.longest, plotter.XY{X: float64(x), Y: micros(row.Stop.Max)})
	}
	return list
}

// micros is never 0, which has no place on a logarithmic axis.
func micros(ns int64) float64 { return math.Max(float64(ns), 1) / 1e3 }

const limit = 100_000 // µs: what no stop may take

func draw(c chart) error {
	if len(c.lines) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, "µs (line: median, dots: longest)"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	for i, s := range c.lines {
		line, err := plotter.NewLine(s.median)
		if err != nil {
			return err
		}
		dots, err := plotter.NewScatter(s.longest)
		if err != nil {
			return err
		}
		line.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
		line.Width, dots.Radius = vg.Points(1.5), vg.Points(2)
		p.Add(line, dots)
		p.Legend.Add(s.system, line)
	}
	bound := plotter.NewFunction(func(float64) float64 { return limit })
	bound.Color, bound.Dashes = color.Gray{96}, []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(bound, plotter.NewGrid())
	p.Legend.Add("limit, 100 ms", bound)
	p.Y.Max = math.Max(p.Y.Max, 2*limit)
	for _, kind := range []string{"png", "svg"} {
		if err := p.Save(16*vg.Centimeter, 11*vg.Centimeter, filepath.Join(c.dir, c.name+"."+kind)); err != nil {
			return err
		}
	}
	return nil
}
