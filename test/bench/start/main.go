// SPDX-License-Identifier: GPL-2.0

// Command start measures how long a program takes to start and end with boot entries registered: none, some for files that it
// does not map, some for its libc. It runs as root with the module loaded, and prints a table, or with -json an object a row.
package main

import (
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"lpatch/pkg/lpnl"
)

const page = 4096

// row is one measurement.
type row struct {
	Entries  int           `json:"entries"`
	For      string        `json:"for"` // "-", "other files" or "its libc"
	Starts   int           `json:"starts"`
	Median   time.Duration `json:"median_ns"`
	Least    time.Duration `json:"least_ns"`
	Register time.Duration `json:"register_ns"` // all entries
	Applied  uint64        `json:"applied"`     // patches that were applied to a start

	times []time.Duration
}

func main() {
	program := flag.String("program", "/bench/true", "the `PROGRAM` to start, which uses the libc")
	libc := flag.String("libc", "/lib/x86_64-linux-gnu/libc.so.6", "the `FILE` of its libc")
	most := flag.Int("entries", 1000, "the largest `NUMBER` of entries")
	rounds := flag.Int("rounds", 1, "measure each `N` times, by turns")
	starts := flag.Int("starts", 10, "start the program `N` times in each round, but fewer with many patches to apply")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	b := &bench{program: *program, libc: *libc, starts: *starts}
	rows, err := b.run(*rounds, *most)
	if err == nil {
		err = show(rows, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

type bench struct {
	program, libc string
	starts        int
	dir           string
	client        *lpnl.Client
}

// run measures all by turns, so that what changes on the machine meanwhile changes all.
func (b *bench) run(rounds, most int) ([]*row, error) {
	var err error
	if b.dir, err = os.MkdirTemp("", "start-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	rows := []*row{{For: "-"}}
	for _, kind := range []string{"other files", "its libc"} {
		for n := 1; n <= most; n *= 10 {
			if n != 10 {
				rows = append(rows, &row{Entries: n, For: kind})
			}
		}
	}
	for range rounds {
		for _, r := range rows {
			if err := b.measure(r); err != nil {
				return nil, fmt.Errorf("%d entries for %s: %w", r.Entries, r.For, err)
			}
			fmt.Fprintf(os.Stderr, "start: %d entries for %s: registered in %v, a start takes %v\n", r.Entries, r.For, r.Register, r.times[len(r.times)-1])
		}
	}
	return rows, nil
}

// measure does one round of a row: a connection of its own, with which the patches go.
func (b *bench) measure(r *row) (err error) {
	if b.client, err = lpnl.Dial(); err != nil {
		return err
	}
	defer func() { _ = b.client.Close() }()
	patches, err := b.patches(r)
	if err != nil {
		return err
	}
	defer closeAll(patches)
	for _, p := range patches {
		if err := b.client.Transfer(p); err != nil {
			return err
		}
	}
	begin := time.Now()
	for _, p := range patches {
		if err := b.client.BootAdd(p.Hash, 0); err != nil {
			return err
		}
	}
	r.Register = max(r.Register, time.Since(begin))
	defer func() {
		for _, p := range patches {
			if e := b.client.BootRemove(p.Hash); err == nil {
				err = e
			}
		}
	}()
	starts := b.starts
	if r.For == "its libc" {
		starts = max(2, starts/(1+r.Entries/10))
	}
	for range starts {
		d, err := start(b.program)
		if err != nil {
			return err
		}
		r.times = append(r.times, d)
	}
	return b.count(r, starts)
}

// count looks whether all was applied that should be.
func (b *bench) count(r *row, starts int) error {
	boots, err := b.client.Boots()
	if err != nil {
		return err
	}
	r.Applied = 0
	for _, boot := range boots {
		if boot.Failed > 0 {
			return fmt.Errorf("a start was not patched: %s", boot.Message)
		}
		r.Applied += boot.Applied
	}
	r.Applied /= uint64(starts)
	if want := uint64(r.Entries); r.For == "its libc" && r.Applied != want || r.For != "its libc" && r.Applied != 0 {
		return fmt.Errorf("%d patches were applied to each start", r.Applied)
	}
	return nil
}

// start measures from before the fork to the end of the program.
func start(program string) (time.Duration, error) {
	begin := time.Now()
	pid, err := syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return 0, err
	}
	d := time.Since(begin)
	if !status.Exited() || status.ExitStatus() != 0 {
		return 0, fmt.Errorf("%s ended with status %#x", program, status)
	}
	return d, nil
}

// patches makes the patches of a row: each writes a byte that is there already, so that the libc stays as it is.
func (b *bench) patches(r *row) ([]*lpnl.Patch, error) {
	var list []*lpnl.Patch
	for i := range r.Entries {
		p := &lpnl.Patch{Name: "start", Segments: []lpnl.Segment{{Size: page, Prot: lpnl.SegmentProtRead}}}
		binary.NativeEndian.PutUint64(p.Hash[:], uint64(i)+1)
		list = append(list, p)
		var err error
		if p.File, err = b.file(fmt.Sprint("patch-", i)); err != nil {
			return list, err
		}
		if r.For == "its libc" {
			p.Hash[8] = 1
			err = intoLibc(p, b.libc, i)
		} else {
			err = b.intoOther(p, i)
		}
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

func closeAll(patches []*lpnl.Patch) {
	for _, p := range patches {
		_ = p.File.Close()
		for _, i := range p.Images {
			_ = i.File.Close()
		}
	}
}

// file opens a file of one page, and makes it if need be.
func (b *bench) file(name string) (*os.File, error) {
	path := filepath.Join(b.dir, name)
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, make([]byte, page), 0o600); err != nil {
			return nil, err
		}
	}
	return os.Open(path)
}

func (b *bench) intoOther(p *lpnl.Patch, i int) error {
	f, err := b.file(fmt.Sprint("image-", i))
	if err != nil {
		return err
	}
	p.Images = []lpnl.Image{{Name: "other", File: f, SpanEnd: page}}
	p.Sites = []lpnl.Site{{Kind: lpnl.SiteKindBytes, Symbol: "byte", Old: []byte{0}, New: []byte{0}}}
	return nil
}

// intoLibc has the i-th patch write the i-th piece of 16 bytes of the constants.
func intoLibc(p *lpnl.Patch, path string, i int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	image := lpnl.Image{Name: "libc", File: f}
	p.Images = []lpnl.Image{image}
	e, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	for _, s := range e.Progs {
		if s.Type == elf.PT_LOAD {
			p.Images[0].SpanEnd = (s.Vaddr + s.Memsz + page - 1) &^ (page - 1)
			if s.Flags&elf.PF_X != 0 {
				p.Images[0].TextOffset, p.Images[0].TextVaddr = s.Off&^(page-1), s.Vaddr&^(page-1)
			}
		}
	}
	constants := e.Section(".rodata")
	at := uint64(16 * i)
	if constants == nil || at >= constants.Size {
		return fmt.Errorf("%s has too few constants", path)
	}
	byteThere := make([]byte, 1)
	if _, err := f.ReadAt(byteThere, int64(constants.Offset+at)); err != nil {
		return err
	}
	p.Sites = []lpnl.Site{{Kind: lpnl.SiteKindBytes, Symbol: "byte", Vaddr: constants.Addr + at, Old: byteThere, New: byteThere}}
	return nil
}

func show(rows []*row, asJSON bool) error {
	for _, r := range rows {
		slices.Sort(r.times)
		r.Starts, r.Median, r.Least = len(r.times), r.times[len(r.times)/2], r.times[0]
	}
	if asJSON {
		for _, r := range rows {
			if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "ENTRIES\tFOR\tPATCHES APPLIED\tSTARTS\tMEDIAN\tLEAST\tTO NONE\tREGISTERING ALL")
	none := rows[0].Median
	for _, r := range rows {
		fmt.Fprintf(tw, "%d\t%s\t%d\t%d\t%v\t%v\t%.2f\t%v\n", r.Entries, r.For, r.Applied, r.Starts, r.Median.Round(10*time.Microsecond),
			r.Least.Round(10*time.Microsecond), float64(r.Median)/float64(none), r.Register.Round(10*time.Microsecond))
	}
	return tw.Flush()
}
