// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"lpatch/pkg/arch/x86"
	"lpatch/pkg/names"
	"lpatch/pkg/patch"
)

// listing disassembles a patch.
type listing struct {
	file    *patch.File
	symbols []patch.Symbol // functions, by address
	fixups  []patch.Fixup  // by place
}

// disassemble prints the code of all functions of the patch, with what the fix-ups will put in.
func disassemble(w io.Writer, f *patch.File) error {
	l := listing{file: f, fixups: f.Spec.Fixups}
	for _, s := range f.Symbols() {
		if s.Func {
			s.Name = names.Visible(names.InText(s.Name)) // or a stub's, NAME@plt; the file's table of symbols has any bytes
			l.symbols = append(l.symbols, s)
		}
	}
	slices.SortFunc(l.symbols, func(a, b patch.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	for _, s := range l.symbols {
		if _, err := fmt.Fprintf(w, "\n%08x <%s>:\n", s.Addr, s.Name); err != nil {
			return err
		}
		code := f.BytesAt(s.Addr)
		code = code[:min(s.Size, uint64(len(code)))]
		for at := s.Addr; len(code) > 0; {
			n, text := l.instruction(code, at)
			if _, err := fmt.Fprintf(w, "  %8x:  %-30x  %s\n", at, code[:n], text); err != nil {
				return err
			}
			code, at = code[n:], at+uint64(n)
		}
	}
	return nil
}

// instruction decodes what is at the start of code; n is at least 1.
func (l *listing) instruction(code []byte, at uint64) (n int, text string) {
	in, err := x86.Arch{}.Decode(code)
	if err != nil {
		return 1, fmt.Sprintf(".byte %#02x", code[0])
	}
	text = l.text(code[:in.Len], at)
	for _, f := range l.fixupsIn(at, at+uint64(in.Len)) {
		text += "  # " + l.meaning(f, at+uint64(in.Len))
	}
	return in.Len, text
}

// text is an instruction in the syntax of the GNU assembler. x86asm does not know all that pkg/arch/x86 knows: those are shown
// as bytes.
func (l *listing) text(code []byte, at uint64) string {
	if string(code) == "\xf3\x0f\x1e\xfa" {
		return "endbr64"
	}
	x, err := x86asm.Decode(code, 64)
	if err != nil || x.Op == 0 || x.Len != len(code) {
		bytes := make([]string, len(code))
		for i, b := range code {
			bytes[i] = fmt.Sprintf("%#02x", b)
		}
		return ".byte " + strings.Join(bytes, ", ")
	}
	return x86asm.GNUSyntax(x, at, l.name)
}

// name finds the function that an address lies in, for x86asm.
func (l *listing) name(addr uint64) (string, uint64) {
	for _, s := range l.symbols {
		if addr >= s.Addr && addr < s.Addr+s.Size {
			return s.Name, s.Addr
		}
	}
	return "", 0
}

// fixupsIn returns the fix-ups with places in [from, to).
func (l *listing) fixupsIn(from, to uint64) []patch.Fixup {
	byPlace := func(f patch.Fixup, at uint64) int { return cmp.Compare(f.Place, at) }
	i, _ := slices.BinarySearchFunc(l.fixups, from, byPlace)
	j, _ := slices.BinarySearchFunc(l.fixups, to, byPlace)
	return l.fixups[i:j]
}

// meaning is the address that a fix-up makes an instruction, which ends at end, refer to.
func (l *listing) meaning(f patch.Fixup, end uint64) string {
	addr := uint64(f.Addend)
	if f.Kind == patch.FixupPC32 { // it counts from its own place, the processor from the end
		addr += end - f.Place
	}
	if f.Image == patch.SelfImage {
		if name, base := l.name(addr); name != "" {
			return fmt.Sprintf("%s+%#x", name, addr-base)
		}
		return fmt.Sprintf("patch %#x", addr)
	}
	return fmt.Sprintf("%s %#x", l.file.Spec.Images[f.Image].Name, addr)
}
