// SPDX-License-Identifier: GPL-2.0

package bench

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"lpatch/pkg/lpelf"
	"lpatch/pkg/lpnl"
)

// The properties of the functions in programs/target.c: their distance, the number of replaced bytes, and their size in
// bytes.
const (
	functionStride    = 256
	replacementStride = 16
	functionSize      = 6
	jumpSize          = 5
	page              = 4096
)

// returnTwo is "mov $2, %eax; ret".
var returnTwo = []byte{0xb8, 2, 0, 0, 0, 0xc3}

// jump returns a jmp rel32 at address from with destination to.
func jump(from, to uint64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(to-from-jumpSize))
}

// newPatch creates a patch that replaces the first functions of the program. The kernel does not require an ELF file: it
// consists of pages of code.
func newPatch(path string, functions int) (*lpnl.Patch, error) {
	f, err := lpelf.Open(path)
	if err != nil {
		return nil, err
	}
	var first uint64
	for _, s := range f.Symbols {
		if s.Name == "functions" {
			first = s.Value
		}
	}
	if first == 0 {
		return nil, fmt.Errorf("%s has no functions to replace", path)
	}
	var code []byte
	for range functions {
		code = append(code, returnTwo...)
		code = append(code, make([]byte, replacementStride-len(returnTwo))...)
	}
	p, err := rawPatch(f, path, fmt.Sprintf("bench-%d", functions), code)
	if err != nil {
		return nil, err
	}
	for i := range uint64(functions) {
		at := first + i*functionStride
		p.Sites = append(p.Sites, lpnl.Site{
			Kind: lpnl.SiteKindJump, Symbol: fmt.Sprintf("function-%d", i), Vaddr: at, Old: f.BytesAt(at)[:jumpSize],
			Target: i * replacementStride,
		})
		p.Functions = append(p.Functions, lpnl.Function{Symbol: fmt.Sprintf("function-%d", i), Start: at, End: at + functionSize})
	}
	return p, nil
}

// rawPatch creates a patch with code but without sites.
func rawPatch(f *lpelf.File, path, name string, code []byte) (*lpnl.Patch, error) {
	padded := make([]byte, (len(code)+page-1)&^(page-1))
	copy(padded, code)
	file, err := unnamedFile(padded)
	if err != nil {
		return nil, err
	}
	program, err := os.Open(path)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &lpnl.Patch{
		Name:     name,
		Hash:     sha256.Sum256(append([]byte(name+"\x00"+path+"\x00"), code...)),
		File:     file,
		Images:   []lpnl.Image{image(f, program)},
		Segments: []lpnl.Segment{{Size: uint64(len(padded)), Prot: lpnl.SegmentProtRead | lpnl.SegmentProtExec}},
	}, nil
}

// unnamedFile returns an unlinked file, open read-only as required for a patch file.
func unnamedFile(content []byte) (*os.File, error) {
	dir, err := os.MkdirTemp("", "lpctl-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "patch")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return nil, err
	}
	return os.Open(name)
}

func image(f *lpelf.File, program *os.File) lpnl.Image {
	i := lpnl.Image{Name: filepath.Base(program.Name()), File: program, Flags: lpnl.ImageFlagsNear, SpanStart: ^uint64(0)}
	if f.Type == elf.ET_EXEC {
		i.Flags |= lpnl.ImageFlagsFixed
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		i.SpanStart = min(i.SpanStart, p.Vaddr&^(page-1))
		i.SpanEnd = (p.Vaddr + p.Memsz + page - 1) &^ (page - 1)
		if p.Flags&elf.PF_X != 0 {
			i.TextOffset, i.TextVaddr = p.Off&^(page-1), p.Vaddr&^(page-1)
		}
	}
	return i
}
