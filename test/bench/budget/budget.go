// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"lpatch/pkg/bench"
)

// budget is what windows may take, in instructions. Budgets are what was measured; a phase may take Margin more.
type budget struct {
	Margin float64 `yaml:"margin"`
	Rows   []row   `yaml:"rows"`
}

// row is the budget of one load, phase by phase.
type row struct {
	load   `yaml:",inline"`
	Phases map[string]int64 `yaml:"phases"`
}

// load says what is measured.
type load struct {
	Threads   int        `yaml:"threads"`
	Load      bench.Load `yaml:"load"`
	Functions int        `yaml:"functions"`
}

func loadOf(r *bench.Row) load { return load{r.Threads, r.Load, r.Functions} }

func (l load) String() string {
	return fmt.Sprintf("%d %s %s, %d %s", l.Threads, plural("thread", l.Threads), l.Load, l.Functions, plural("function", l.Functions))
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// phaseNames are the phases in their order.
var phaseNames = []string{"gate", "barrier", "check", "write", "release", "outside"}

// phases are the figures of a row, by name. Where no thread runs, what disturbs a window only adds to it, and the least is what it
// needs. Where threads run, there is now and then a window in which no other processor runs any of them, and none is interrupted:
// above those, and below what was disturbed, is the lower quartile. There, what an operation takes beside its window is left out,
// since it has in it whatever the threads get done meanwhile.
func phases(r *bench.Row) map[string]int64 {
	p := r.Quartile
	if r.Load == bench.LoadStill {
		p = r.Least
	}
	all := map[string]int64{"gate": p.Gate, "barrier": p.Barrier, "check": p.Check, "write": p.Write, "release": p.Release}
	if r.Load == bench.LoadStill {
		all["outside"] = p.Outside
	}
	return all
}

func readBudget(path string) (*budget, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	in := yaml.NewDecoder(bytes.NewReader(text))
	in.KnownFields(true)
	var b budget
	if err := in.Decode(&b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b.Margin <= 0 || len(b.Rows) == 0 {
		return nil, fmt.Errorf("%s: needs a margin above 0, and rows", path)
	}
	return &b, nil
}

// judge says what is wrong with a result, a sentence each: a phase above its budget or far below, or what only one of both has.
func (b *budget) judge(result *bench.Result) []string {
	var wrong []string
	measured := map[load]map[string]int64{}
	for i := range result.Rows {
		r := &result.Rows[i]
		if r.System != bench.SystemLpatch {
			continue
		}
		if r.Error != "" {
			wrong = append(wrong, fmt.Sprintf("%v: not measured: %s", loadOf(r), r.Error))
			continue
		}
		measured[loadOf(r)] = phases(r)
	}
	for _, r := range b.Rows {
		got, ok := measured[r.load]
		delete(measured, r.load)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%v: has a budget and no figures", r.load))
			continue
		}
		wrong = append(wrong, b.judgeRow(r, got)...)
	}
	for i := range result.Rows {
		if l := loadOf(&result.Rows[i]); measured[l] != nil {
			wrong = append(wrong, fmt.Sprintf("%v: has no budget", l))
		}
	}
	return wrong
}

func (b *budget) judgeRow(r row, got map[string]int64) []string {
	var wrong []string
	for _, name := range phaseNames {
		limit, limited := r.Phases[name]
		figure, measured := got[name]
		switch {
		case limited && !measured:
			wrong = append(wrong, fmt.Sprintf("%v: %s has a budget and no figure", r.load, name))
		case !limited && measured && name != "outside": // which with few threads is not exact enough
			wrong = append(wrong, fmt.Sprintf("%v: %s has no budget", r.load, name))
		case limited && float64(figure) > float64(limit)*(1+b.Margin):
			wrong = append(wrong, fmt.Sprintf("%v: %s takes %d instructions; its budget is %d and %.0f %% (%+.0f %%)", r.load, name, figure, limit,
				100*b.Margin, 100*(float64(figure)/float64(limit)-1)))
		case limited && (figure == 0 || 2*figure < limit): // not measured, or as much again would not be noticed
			wrong = append(wrong, fmt.Sprintf("%v: %s takes %d instructions, less than half of its budget, %d; put in what is measured",
				r.load, name, figure, limit))
		}
	}
	return wrong
}
