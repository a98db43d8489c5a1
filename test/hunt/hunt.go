// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lpatch/test/patches/programs"
)

// Outcome is what became of a pair.
type Outcome struct {
	What string // "patched", "nothing to do", "wrong", "not tried", or the codes of the refusal
	Text string // what is wrong
}

var code = regexp.MustCompile(`\[([a-z-]+)\]`)

// compilers are those that pairs are tried with, if the machine has them.
var compilers = []string{"gcc", "gcc", "gcc", "gcc", "clang-14", "clang-19", "g++", "g++", "g++", "clang++-19"}

const both = " -ffunction-sections -fdata-sections"

// run chooses how to compile.
func (m *maker) run() programs.Run {
	cc := m.pick(compilers...)
	if _, err := exec.LookPath(cc); err != nil {
		cc = "gcc"
	}
	flags := m.pick("-O0", "-O1", "-O2", "-O2", "-O3", "-Os") + " -g"
	if strings.Contains(cc, "++") {
		flags += " -x c++"
	}
	link := ""
	switch m.IntN(3) {
	case 0:
		flags, link = flags+" -fno-pie", "-no-pie"
	default:
		flags, link = flags+" -fPIE", "-pie"
	}
	flags += m.pick("", "", " -fcf-protection", " -fno-plt", " -fno-asynchronous-unwind-tables")
	flags += m.pick("", " -ffunction-sections", both, both, both, both) // with both, an object is compiled once
	link += m.pick("", "", " -Wl,--gc-sections", " -Wl,-z,now")
	if m.chance(20) {
		link += " -fuse-ld=" + m.pick("lld", "gold")
	}
	// Without unwind tables, next to nothing is found in a stripped file.
	strip := m.chance(15) && (!strings.Contains(flags, "unwind") || m.chance(10))
	return programs.Run{CC: cc, CFlags: flags, LDFlags: link, Strip: strip}
}

// Pair is a program in two versions, and how it is compiled.
type Pair struct {
	p   *program
	run programs.Run
}

// editsPerProgram is how many new versions an old program gets: it is compiled once for all.
const editsPerProgram = 6

// Make makes the pairs of a seed.
func Make(seed uint64) []*Pair {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 0))}
	run := m.run()
	m.cxx = strings.Contains(run.CC, "++")
	var pairs []*Pair
	for _, p := range m.programs(editsPerProgram) {
		run.Options = p.layoutOK()
		pairs = append(pairs, &Pair{p, run})
	}
	return pairs
}

// Write writes the case to a directory, as test/patches/programs has them. Of the sources that are the same in both versions there
// is a list.
func (p *Pair) Write(dir string) (c *programs.Case, same []string, err error) {
	c = &programs.Case{Dir: dir, How: "middle", Runs: []programs.Run{p.run}}
	files, same := p.p.sources()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, nil, err
		}
	}
	return c, same, nil
}

var errTooMuch = errors.New("the program does too much")

// expect runs the oracle of pairs with one old version.
func expect(pairs []*Pair, tmp string) ([]string, error) {
	src, prog := filepath.Join(tmp, "oracle.c"), filepath.Join(tmp, "oracle")
	var list []*program
	for _, p := range pairs {
		list = append(list, p.p)
	}
	if err := os.WriteFile(src, []byte(oracle(list)), 0o644); err != nil {
		return nil, err
	}
	cc := "gcc"
	if strings.Contains(pairs[0].run.CC, "++") {
		cc = "g++"
	}
	if out, err := exec.Command(cc, "-O0", "-w", src, "-o", prog).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the oracle does not compile: %w\n%s", err, out)
	}
	var wants []string
	for i := range pairs {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		out, err := exec.CommandContext(ctx, prog, strconv.Itoa(i+1)).Output()
		cancel()
		if err != nil || len(out) > 1<<20 {
			return nil, errTooMuch
		}
		wants = append(wants, string(out))
	}
	return wants, nil
}

// Try patches a program with each of its new versions. The directory is for it alone.
func Try(pairs []*Pair, t programs.Tools, dir string) ([]Outcome, error) {
	source, tmp := filepath.Join(dir, "case"), filepath.Join(dir, "tmp")
	for _, d := range []string{source, tmp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	wants, err := expect(pairs, tmp)
	if errors.Is(err, errTooMuch) {
		return []Outcome{{What: "not tried"}}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for i, p := range pairs {
		c, same, err := p.Write(source)
		if err == nil && i == 0 {
			err = c.CompileOld(t, &p.run, tmp)
		}
		if err != nil {
			return out, err
		}
		c.Expected = wants[i]
		said, err := c.TryNew(t, &p.run, tmp, same)
		if err != nil && said == "" {
			return out, fmt.Errorf("version %d: %w", i+1, err) // it does not compile, or a tool is missing
		}
		out = append(out, outcome(said, err))
	}
	return out, nil
}

func outcome(said string, err error) Outcome {
	switch {
	case err != nil:
		return Outcome{"wrong", err.Error()}
	case said == "built":
		return Outcome{What: "patched"}
	case strings.Contains(said, "refused"):
		codes := map[string]bool{}
		for _, c := range code.FindAllStringSubmatch(said, -1) {
			codes[c[1]] = true
		}
		return Outcome{strings.Join(slices.Sorted(maps.Keys(codes)), " "), said}
	}
	return Outcome{What: "nothing to do"}
}
