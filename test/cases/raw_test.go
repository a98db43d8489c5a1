// SPDX-License-Identifier: GPL-2.0

//go:build vm

package cases

import (
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lpatch/pkg/lpnl"
)

// rawOptions are the limits of tests that do not test limits: emulation on a shared machine is slow.
var rawOptions = lpnl.Options{MaxStop: patience(2 * time.Second), Timeout: patience(20 * time.Second)}

// slowness is how many times as long as on other kernels things may take on this one (test/vm).
var slowness = func() int {
	if n, err := strconv.Atoi(os.Getenv("LPATCH_SLOWNESS")); err == nil {
		return n
	}
	return 1
}()

// patience is how long to wait on this kernel for what takes no longer than d on others.
func patience(d time.Duration) time.Duration { return time.Duration(slowness) * d }

// often is how often to do on this kernel what is done n times on others.
func often(n int) int { return n / slowness }

// looksForErrors says whether this kernel was built by scripts/build-debug-kernel.
func looksForErrors() bool {
	kernel := os.Getenv("LPATCH_KERNEL")
	return kernel == "debug" || kernel == "kcsan"
}

// dial connects to the module.
func dial(t *testing.T) *lpnl.Client {
	t.Helper()
	c, err := lpnl.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// plusTwo is lea eax, [rdi + 2]; ret: value() as the fix has it.
var plusTwo = []byte{0x8d, 0x47, 0x02, 0xc3}

// rawPatch makes a patch by hand, without the builder: a page of code, and a jump to it from the entry of symbol. The
// kernel parses no ELF, so the patch file is none.
func rawPatch(t *testing.T, path, symbol string) *lpnl.Patch {
	t.Helper()
	return rawPatchWith(t, path, symbol, plusTwo)
}

func rawPatchWith(t *testing.T, path, symbol string, code []byte) *lpnl.Patch {
	t.Helper()
	pages := make([]byte, (len(code)+4095)&^4095)
	copy(pages, code)
	file := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(file, pages, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &lpnl.Patch{
		Name:     "raw",
		Hash:     sha256.Sum256([]byte(t.Name() + path + symbol + string(code))),
		File:     open(t, file),
		Segments: []lpnl.Segment{{Size: 4096, Prot: lpnl.SegmentProtRead | lpnl.SegmentProtExec}},
	}
	addRawImage(t, p, path)
	addRawSite(t, p, path, symbol)
	return p
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func addRawImage(t *testing.T, p *lpnl.Patch, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img := lpnl.Image{Name: filepath.Base(path), File: open(t, path), Flags: lpnl.ImageFlagsNear, SpanStart: ^uint64(0)}
	if f.Type == elf.ET_EXEC {
		img.Flags |= lpnl.ImageFlagsFixed
	}
	for _, s := range f.Progs {
		if s.Type != elf.PT_LOAD {
			continue
		}
		img.SpanStart = min(img.SpanStart, s.Vaddr&^4095)
		img.SpanEnd = (s.Vaddr + s.Memsz + 4095) &^ 4095
		if s.Flags&elf.PF_X != 0 {
			img.TextOffset, img.TextVaddr = s.Off&^4095, s.Vaddr&^4095
		}
	}
	p.Images = append(p.Images, img)
}

func addRawSite(t *testing.T, p *lpnl.Patch, path, symbol string) {
	t.Helper()
	s := lookUp(t, path, symbol)
	old := make([]byte, 5)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.ReadAt(old, int64(s.offset))
	if n == 0 {
		t.Fatal(err)
	}
	p.Sites = append(p.Sites, lpnl.Site{Kind: lpnl.SiteKindJump, Symbol: symbol, Vaddr: s.Value, Old: old[:n]})
	p.Functions = append(p.Functions, lpnl.Function{Symbol: symbol, Start: s.Value, End: s.Value + s.Size})
}

// fileSymbol is a symbol of an ELF file, with its place in the file.
type fileSymbol struct {
	elf.Symbol
	offset uint64
}

// lookUp finds a symbol in an ELF file.
func lookUp(t *testing.T, path, name string) fileSymbol {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			section := f.Sections[s.Section]
			return fileSymbol{s, s.Value - section.Addr + section.Offset}
		}
	}
	t.Fatalf("%s has no symbol %s", path, name)
	return fileSymbol{}
}

// transfer hands the patch to the kernel.
func transfer(t *testing.T, c *lpnl.Client, p *lpnl.Patch) {
	t.Helper()
	if err := c.Transfer(p); err != nil {
		t.Fatal(err)
	}
}

// do does an operation that must succeed.
func do(t *testing.T, c *lpnl.Client, verb lpnl.Verb, p *lpnl.Patch, pid int) lpnl.Report {
	t.Helper()
	r, err := c.Op(verb, p.Hash, lpnl.Target{PID: pid}, rawOptions)
	if err != nil {
		t.Fatalf("%s: %v", verb, err)
	}
	return r
}

// refuse does an operation that must be refused for one reason, and returns the report.
func refuse(t *testing.T, c *lpnl.Client, verb lpnl.Verb, p *lpnl.Patch, pid int, o lpnl.Options, want lpnl.Refusal) lpnl.Report {
	t.Helper()
	r, err := c.Op(verb, p.Hash, lpnl.Target{PID: pid}, o)
	var refused *lpnl.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("%s was not refused: %v", verb, err)
	}
	if r.Refusal != want {
		t.Fatalf("%s was refused with %v (%s), want %v", verb, r.Refusal, r.Message, want)
	}
	return r
}

// refuseWith is refuse, and the sentence must be this one.
func refuseWith(t *testing.T, c *lpnl.Client, verb lpnl.Verb, p *lpnl.Patch, pid int, want lpnl.Refusal, message string) {
	t.Helper()
	r := refuse(t, c, verb, p, pid, lpnl.Options{}, want)
	if r.Message != message {
		t.Fatalf("%s was refused with the sentence\n%s\nwant\n%s", verb, r.Message, message)
	}
}

// cycle applies and restores n times, looks at the result each time, and unloads.
func cycle(t *testing.T, c *lpnl.Client, v *victim, p *lpnl.Patch, n int) {
	t.Helper()
	transfer(t, c, p)
	var longest time.Duration
	for range n {
		r := do(t, c, lpnl.VerbApply, p, v.pid)
		longest = max(longest, r.Stop)
		v.wantValue(2)
		r = do(t, c, lpnl.VerbRestore, p, v.pid)
		longest = max(longest, r.Stop)
		v.wantValue(1)
	}
	do(t, c, lpnl.VerbUnload, p, v.pid)
	t.Logf("%d cycles, longest stop %v", n, longest)
}

// setDelay holds each stop window open for so long, until the end of the test: test/delay does.
func setDelay(t *testing.T, d time.Duration) {
	t.Helper()
	loadKernels(t, "lpatch_delay", "")
	setParameter(t, "us", d.Microseconds())
	t.Cleanup(func() { setParameter(t, "us", 0) })
}

// release lets go the windows that setDelay holds open.
func release(t *testing.T) {
	t.Helper()
	setParameter(t, "released", int64(releases.Add(1)))
}

var releases atomic.Uint32

func setParameter(t *testing.T, name string, value int64) {
	t.Helper()
	err := os.WriteFile("/sys/module/lpatch_delay/parameters/"+name, []byte(strconv.FormatInt(value, 10)), 0)
	if err != nil {
		t.Fatal(err)
	}
}

// maps returns /proc/PID/maps.
func maps(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
