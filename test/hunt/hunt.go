package hunt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lpatch/test/patches/programs"
)

// Outcome is what became of a pair.
type Outcome struct {
	What string // "patched", "nothing to do", "wrong", "not tried", or the codes of the refusal
	Text string // what is wrong
}

var code = regexp.MustCompile(`\[([a-z-]+)\]`)

// compilers are those that pairs are tried with, if the machine has them.
var compilers = []string{"gcc", "gcc", "clang-14", "clang-19", "g++", "clang++-19"}

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
	flags += m.pick("", "", " -fcf-protection", " -fno-plt", " -ffunction-sections", " -fno-asynchronous-unwind-tables")
	link += m.pick("", "", " -Wl,--gc-sections", " -Wl,-z,now")
	return programs.Run{CC: cc, CFlags: flags, LDFlags: link, Strip: m.chance(15)}
}

// Pair is a program in two versions, and how it is compiled.
type Pair struct {
	p   *program
	run programs.Run
}

// Make makes the pair of a seed.
func Make(seed uint64) *Pair {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 0))}
	return &Pair{m.program(), m.run()}
}

// Write writes the case to a directory, as test/patches/programs has them.
func (p *Pair) Write(dir string) (*programs.Case, error) {
	c := &programs.Case{Dir: dir, How: "middle", Runs: []programs.Run{p.run}}
	files := p.p.sources()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return c, nil
}

var errTooMuch = errors.New("the program does too much")

// expect runs the oracle.
func (p *Pair) expect(tmp string) (string, error) {
	src, prog := filepath.Join(tmp, "oracle.c"), filepath.Join(tmp, "oracle")
	if err := os.WriteFile(src, []byte(p.p.oracle()), 0o644); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-O1", "-w", src, "-o", prog).CombinedOutput(); err != nil {
		return "", fmt.Errorf("the oracle does not compile: %w\n%s", err, out)
	}
	out, err := exec.Command("timeout", "2", prog).Output()
	if err != nil || len(out) > 1<<20 {
		return "", errTooMuch
	}
	return string(out), nil
}

// Try patches the program. The directory is for it alone.
func (p *Pair) Try(t programs.Tools, dir string) (Outcome, error) {
	source, tmp := filepath.Join(dir, "case"), filepath.Join(dir, "tmp")
	for _, d := range []string{source, tmp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return Outcome{}, err
		}
	}
	want, err := p.expect(tmp)
	if errors.Is(err, errTooMuch) {
		return Outcome{What: "not tried"}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	c, err := p.Write(source)
	if err != nil {
		return Outcome{}, err
	}
	c.Expected = want
	said, err := c.Try(t, &p.run, tmp)
	switch {
	case err != nil && said == "":
		return Outcome{}, err // it does not compile, or a tool is missing
	case err != nil:
		return Outcome{"wrong", err.Error()}, nil //nolint:nilerr // that is what is looked for
	case said == "built":
		return Outcome{What: "patched"}, nil
	case strings.Contains(said, "refused"):
		codes := map[string]bool{}
		for _, c := range code.FindAllStringSubmatch(said, -1) {
			codes[c[1]] = true
		}
		return Outcome{strings.Join(slices.Sorted(maps.Keys(codes)), " "), said}, nil
	}
	return Outcome{What: "nothing to do"}, nil
}
