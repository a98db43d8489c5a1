// SPDX-License-Identifier: GPL-2.0

// Command many measures what lpctl's commands cost with many processes of one thread each that map one library: those that patch
// all of them, and those that look at all of them. It runs as root with the module loaded, and prints a table, or with -json an
// object a row.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one command to all processes.
type row struct {
	Processes int           `json:"processes"`
	Verb      string        `json:"verb"`
	Total     time.Duration `json:"total_ns"`
	Lpctl     time.Duration `json:"lpctl_ns"` // of Total, what lpctl computed itself, by ticks of the kernel's clock
	Stop      time.Duration `json:"stop_ns"`  // the median window, if it patches
}

func (r *row) each() time.Duration { return r.Total / time.Duration(r.Processes) }

func main() {
	program := flag.String("program", "/bench/sleeper", "the `PROGRAM` to start")
	library := flag.String("library", "/bench/libsleeper.so", "the `LIBRARY` that it maps")
	patch := flag.String("patch", "/bench/sleeper.lp", "the `FILE` with a patch of its library")
	most := flag.Int("processes", 1000, "the largest `NUMBER` of processes")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	b := &bench{program: *program, library: *library, patch: *patch}
	rows, err := b.run(*most)
	b.end()
	if err == nil {
		err = show(rows, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "many:", err)
		os.Exit(1)
	}
}

type bench struct {
	program, library, patch string
	all                     []*process
}

// step is a command, what processes compute when it is done, and whether it was measured before.
type step struct {
	verb  string
	args  []string
	value int
	again bool
}

// steps are all commands, in an order in which each has something to do. Those between apply and revert find all processes patched.
func (b *bench) steps() []step {
	return []step{
		{"apply", []string{b.patch, "--all"}, 2, false},
		{"status", nil, 2, false},
		{"scan", []string{b.patch}, 2, false},
		{"revert", []string{b.patch, "--all"}, 1, false},
		{"boot add", []string{b.patch, "--image", b.library}, 1, false},
		{"boot sync --fix", nil, 2, false},
		{"boot sync", nil, 2, false},
		{"boot remove", []string{strings.TrimSuffix(filepath.Base(b.patch), ".lp")}, 2, false},
		{"revert", []string{b.patch, "--all"}, 1, true},
	}
}

func (b *bench) run(most int) ([]*row, error) {
	var rows []*row
	for n := 1; n <= most; n *= 10 {
		for len(b.all) < n {
			p, err := start(b.program)
			if err != nil {
				return nil, fmt.Errorf("process %d: %w", len(b.all)+1, err)
			}
			b.all = append(b.all, p)
		}
		if err := b.want(1); err != nil { // each of them maps the library by now
			return nil, err
		}
		for _, do := range b.steps() {
			r, err := b.measure(do)
			if err == nil {
				err = b.want(do.value)
			}
			if err != nil {
				return nil, fmt.Errorf("%s with %d processes: %w", do.verb, n, err)
			}
			fmt.Fprintf(os.Stderr, "many: %s with %d processes took %v\n", r.Verb, r.Processes, r.Total)
			if !do.again {
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// measure has lpctl do it, and counts the processes that it tells of.
func (b *bench) measure(do step) (*row, error) {
	var out, complaint bytes.Buffer
	args := slices.Concat(strings.Fields(do.verb), do.args)
	tells := !strings.HasPrefix(do.verb, "boot ")
	if tells {
		args = append(args, "--json")
	}
	cmd := exec.Command("lpctl", args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	began := time.Now()
	err := cmd.Run()
	r := &row{Processes: len(b.all), Verb: do.verb, Total: time.Since(began)}
	if err != nil {
		return nil, fmt.Errorf("lpctl: %w\n%s", err, complaint.String())
	}
	r.Lpctl = cmd.ProcessState.UserTime()
	if !tells {
		return r, nil
	}
	told := map[int]bool{}
	var stops []time.Duration
	for in := json.NewDecoder(&out); ; {
		var said struct {
			PID  int           `json:"pid"`
			Stop time.Duration `json:"stop_ns"`
		}
		if err := in.Decode(&said); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if said.PID != 0 {
			told[said.PID] = true
		}
		if said.Stop != 0 {
			stops = append(stops, said.Stop)
		}
	}
	if len(told) != len(b.all) {
		return nil, fmt.Errorf("lpctl tells of %d processes", len(told))
	}
	if len(stops) > 0 {
		slices.Sort(stops)
		r.Stop = stops[len(stops)/2]
	}
	return r, nil
}

// want sees to it that all processes give a value.
func (b *bench) want(value int) error {
	for _, p := range b.all {
		got, err := p.ask()
		if err != nil {
			return err
		}
		if got != fmt.Sprint(value) {
			return fmt.Errorf("process %d says %q instead of %d", p.cmd.Process.Pid, got, value)
		}
	}
	return nil
}

func (b *bench) end() {
	for _, p := range b.all {
		p.in.Close()
	}
	for _, p := range b.all {
		_ = p.cmd.Wait() // how it ended is of no interest any more
	}
}

// process is one that is patched.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(program string) (*process, error) {
	p := &process{cmd: exec.Command(program)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 16)
	return p, p.cmd.Start()
}

func (p *process) ask() (string, error) {
	if _, err := fmt.Fprintln(p.in); err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func show(rows []*row, asJSON bool) error {
	if asJSON {
		for _, r := range rows {
			if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PROCESSES\tVERB\tTOTAL\tEACH\tEACH, TO ONE ALONE\tEACH MORE\tLPCTL ITSELF\tWINDOW")
	one, last := map[string]*row{}, map[string]*row{}
	for _, r := range rows {
		more := "-"
		if before := last[r.Verb]; before == nil {
			one[r.Verb] = r
		} else {
			more = fmt.Sprint((r.Total - before.Total) / time.Duration(r.Processes-before.Processes))
		}
		last[r.Verb] = r
		fmt.Fprintf(tw, "%d\t%s\t%v\t%v\t%.2f\t%s\t%v\t%v\n", r.Processes, r.Verb, r.Total, r.each(),
			float64(r.each())/float64(one[r.Verb].each()), more, r.Lpctl, r.Stop)
	}
	return tw.Flush()
}
