// SPDX-License-Identifier: GPL-2.0

package x86

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lpatch/pkg/arch"
)

// disassemble returns the output of objdump for code at an address, one line per instruction, without symbolic names.
func disassemble(t *testing.T, code []byte, at uint64) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(path, code, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "att", fmt.Sprintf("--adjust-vma=%#x", at), "--no-show-raw-insn", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(out), "\n") {
		if _, text, ok := strings.Cut(line, ":\t"); ok {
			lines = append(lines, strings.Join(strings.Fields(text), " "))
		}
	}
	return lines
}

// TestReturnCode compares the generated code with its disassembly.
func TestReturnCode(t *testing.T) {
	number := func(n uint64) *uint64 { return &n }
	for _, c := range []struct {
		n    *uint64
		want string
	}{
		{nil, "ret"},
		{number(0), "mov $0x0,%eax; ret"},
		{number(math.MaxUint32), "mov $0xffffffff,%eax; ret"},
		{number(1 << 32), "movabs $0x100000000,%rax; ret"},
		{number(math.MaxUint64), "mov $0xffffffffffffffff,%rax; ret"},
		{number(1<<64 - 1<<31), "mov $0xffffffff80000000,%rax; ret"},
		{number(1<<64 - 1<<31 - 1), "movabs $0xffffffff7fffffff,%rax; ret"},
	} {
		if got := strings.Join(disassemble(t, Arch{}.Return(c.n), 0), "; "); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	code, field := Arch{}.Count()
	binary.LittleEndian.PutUint32(code[field:], 0x1000)
	if got, want := strings.Join(disassemble(t, code, 0x400000), "; "), "lock addq $0x1,0x1000(%rip) # 0x401009"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The addresses between which code is moved in the tests.
const (
	oldPlace = 0x401000
	newPlace = 0x7f000000
	words    = 0x7f008000
)

// settle fills in the fields of code at newPlace. Its words, if any, are at words.
func settle(m arch.Moved) []byte {
	code := bytes.Clone(m.Code)
	for _, r := range m.Refs {
		to := r.To
		if r.Word {
			to = words
		}
		binary.LittleEndian.PutUint32(code[r.Field:], uint32(to-(newPlace+r.End)))
	}
	return code
}

// TestMove compares instructions with their moved form.
func TestMove(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		{"55", "push %rbp"},
		{"4881ec88010000", "sub $0x188,%rsp"},
		{"8b05f8ffffff", "mov -0x7ebff008(%rip),%eax # 0x400ffe"},
		{"c70578563412e7030000", "movl $0x3e7,-0x6c8b9988(%rip) # 0x12746682"},
		{"803d1000000000", "cmpb $0x0,-0x7ebfeff0(%rip) # 0x401017"},
		{"c5f9100510000000", "vmovupd -0x7ebfeff0(%rip),%xmm0 # 0x401018"},
		{"62f17c48100510000000", "vmovups -0x7ebfeff0(%rip),%zmm0 # 0x40101a"},
		{"7410", "je 0x401012"},
		{"2e7510", "jne 0x401013"},
		{"0f8f00010000", "jg 0x401106"},
		{"ebfe", "jmp 0x401000"},
		{"e900010000", "jmp 0x401105"},
		{"e800010000", "push 0x7ffa(%rip) # 0x7f008000; jmp 0x401105"},
		{"67e800010000", "push 0x7ffa(%rip) # 0x7f008000; jmp 0x401106"},
		{"ff1500010000", "push 0x7ffa(%rip) # 0x7f008000; jmp *-0x7ebfef06(%rip) # 0x401106"},
		{"ff2500010000", "jmp *-0x7ebfef00(%rip) # 0x401106"},
		{"3eff2500010000", "notrack jmp *-0x7ebfef00(%rip) # 0x401107"},
		{"ffe0", "jmp *%rax"},
		{"c3", "ret"},
		{"f30f1efa", "endbr64"},
		{"64488b042528000000", "mov %fs:0x28,%rax"},
		{"f348ab", "rep stos %rax,%es:(%rdi)"},
		{"e2fe", "its jump reaches 128 bytes only"},
		{"e310", "its jump reaches 128 bytes only"},
		{"66e900000000", "its jump is of 16 bits on some processors"},
		{"ffd0", "it calls through a register, or memory that one points to"},
		{"ff5424f8", "it calls through a register, or memory that one points to"},
		{"678b0508000000", "it computes its address in 32 bits"},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Arch{}.Move(code, oldPlace)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(disassemble(t, settle(m), newPlace), "; ")
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.code, got, c.want)
		}
		for _, r := range m.Refs {
			if r.Word && r.To != oldPlace+uint64(len(code)) {
				t.Errorf("%s: it returns to %#x", c.code, r.To)
			}
		}
	}
}

var distance = regexp.MustCompile(`-?0x[0-9a-f]+\(%rip\)`)

// TestMoveLibrary moves the first instructions of all functions of libc and compares the disassemblies.
func TestMoveLibrary(t *testing.T) {
	old, moved, n := movedOf(t)
	if n < 1000 {
		t.Fatalf("only %d instructions", n)
	}
	before, after := disassemble(t, old, oldPlace), disassemble(t, moved, newPlace)
	if len(before) != len(after) {
		t.Fatalf("%d instructions have become %d", len(before), len(after))
	}
	plain := func(s string) string {
		s = distance.ReplaceAllString(s, "x(%rip)")
		for _, hint := range []string{",pn", ",pt", "bnd "} {
			s = strings.ReplaceAll(s, hint, "")
		}
		return s
	}
	for i := range before {
		if plain(before[i]) != plain(after[i]) {
			t.Errorf("%s has become %s", before[i], after[i])
		}
	}
}

// movedOf concatenates the first instructions of functions of libc except calls, in original and in moved form.
func movedOf(t *testing.T) (old, moved []byte, n int) {
	t.Helper()
	f, err := elf.Open("/lib/x86_64-linux-gnu/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := f.Section(".text")
	content, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	a := Arch{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Value < text.Addr || s.Value+s.Size > text.Addr+text.Size {
			continue
		}
		for pos, in := range arch.Instructions(a, content[s.Value-text.Addr:][:min(s.Size, 32)]) {
			if in.Kind == arch.Bad || in.Kind == arch.Call || in.Kind == arch.CallInd || in.Kind == arch.Loop {
				break
			}
			code := content[s.Value-text.Addr+uint64(pos):][:in.Len]
			m, err := a.Move(code, oldPlace+uint64(len(old)))
			if err != nil {
				t.Errorf("%s, % x: %v", s.Name, code, err)
				continue
			}
			for _, f := range m.Refs {
				binary.LittleEndian.PutUint32(m.Code[f.Field:], uint32(f.To-(newPlace+uint64(len(moved))+f.End)))
			}
			old, moved, n = append(old, code...), append(moved, m.Code...), n+1
		}
	}
	return old, moved, n
}
