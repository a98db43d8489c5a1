// SPDX-License-Identifier: GPL-2.0

// Command budget compares what windows take, in instructions, with a budget. It shows how far the results of several machines
// are apart, and exits with 1 if a phase is above its budget, or
// under half of it.
//
//	budget BUDGET RESULT...
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"lpatch/pkg/bench"
)

// advice is what to do about a phase that is above its budget, or far below.
const advice = `Find what the phase does more than before (git log kmod/; BENCH=icount make bench measures again, and noise cannot be it).
If it has to be, or is so little for a good reason, put what is measured into test/bench/budget.yaml and say why in the commit:
`

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: budget BUDGET RESULT...")
		os.Exit(2)
	}
	wrong, err := run(os.Stdout, os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "budget:", err)
		os.Exit(2)
	}
	if wrong {
		os.Exit(1)
	}
}

func run(w io.Writer, path string, paths []string) (wrong bool, err error) {
	b, err := readBudget(path)
	if err != nil {
		return false, err
	}
	var results []*bench.Result
	for _, path := range paths {
		r, err := read(path)
		if err != nil {
			return false, err
		}
		results = append(results, r)
	}
	if err := table(w, b, results); err != nil {
		return false, err
	}
	ratios(w, results[0])
	for i, r := range results {
		for _, sentence := range b.judge(r) {
			wrong = true
			fmt.Fprintf(w, "WRONG, %s: %s\n", paths[i], sentence)
		}
	}
	if !wrong {
		fmt.Fprintln(w, "all phases are within their budgets")
		return false, nil
	}
	text, err := yaml.Marshal(proposal(b.Margin, results))
	fmt.Fprintf(w, "%s\n%s", advice, text)
	return true, err
}

func read(path string) (*bench.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := bench.Read(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return r, err
}

// spread are the figures of one phase in several results.
type spread []int64

func spreadOf(results []*bench.Result, l load, phase string) spread {
	var s spread
	for _, result := range results {
		for i := range result.Rows {
			if r := &result.Rows[i]; r.System == bench.SystemLpatch && loadOf(r) == l && r.Error == "" {
				if figure, ok := phases(r)[phase]; ok {
					s = append(s, figure)
				}
			}
		}
	}
	slices.Sort(s)
	return s
}

func (s spread) median() int64 { return s[(len(s)-1)/2] }

// table shows the median of each phase over all results, and how far the least and the greatest are apart.
func table(w io.Writer, b *budget, results []*bench.Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "threads\tload\tfunctions\t")
	for _, name := range phaseNames {
		fmt.Fprintf(t, "%s\t", name)
	}
	fmt.Fprintln(t)
	var widest float64
	for _, r := range b.Rows {
		fmt.Fprintf(t, "%d\t%s\t%d\t", r.Threads, r.Load, r.Functions)
		for _, name := range phaseNames {
			s := spreadOf(results, r.load, name)
			if len(s) == 0 {
				fmt.Fprint(t, "-\t")
				continue
			}
			apart := float64(s[len(s)-1]-s[0]) / float64(s[0])
			widest = max(widest, apart)
			fmt.Fprintf(t, "%d (%.1f %%)\t", s.median(), 100*apart)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "instructions; of %d machines the median, and in parentheses how much more the greatest is than the least: at most %.1f %%\n",
		len(results), 100*widest)
	return err
}

// ratios shows what the goals of the benchmark come to in instructions, as far as they mean anything there.
func ratios(w io.Writer, r *bench.Result) {
	for _, g := range r.Goals {
		if g.Got != nil {
			fmt.Fprintf(w, "%v, where 1 µs is 1,000 instructions\n", g)
		}
	}
}

// proposal is a budget that is what was measured.
func proposal(margin float64, results []*bench.Result) *budget {
	b := &budget{Margin: margin}
	for i := range results[0].Rows {
		if results[0].Rows[i].System != bench.SystemLpatch {
			continue
		}
		r := row{load: loadOf(&results[0].Rows[i]), Phases: map[string]int64{}}
		for _, name := range phaseNames {
			if s := spreadOf(results, r.load, name); len(s) > 0 {
				r.Phases[name] = s.median()
			}
		}
		b.Rows = append(b.Rows, r)
	}
	return b
}
