// SPDX-License-Identifier: GPL-2.0

// Package bake applies a patch to an ELF file: it makes the same changes to the file that the kernel module makes to the
// memory of a process. The program then runs without the module.
//
// The segments of the patch follow all others, at the addresses where the module would map them. Sites are overwritten.
// Fixups are resolved, or become relative relocations if the load address of the file is not known. Nothing in the file moves
// except the program headers and the tables of the unwinder and of relocations, which cannot grow in place: they get new
// locations before the patch, and the old ones remain for everything that refers to them.
package bake

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

var le = binary.LittleEndian

// Refused is the error of File for a patch that cannot be part of the file. Message is a complete sentence.
type Refused struct{ Message string }

// Error implements error.
func (r *Refused) Error() string { return r.Message }

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// baker is the state of the conversion of a file.
type baker struct {
	name  string
	file  *lpelf.File // the file; existing bytes are modified in place
	patch *patch.File
	image int // index of the file among the images of the patch

	cut   uint64 // end of the retained content of the file, before tables that are rewritten
	start uint64 // address of the added content, at file offset off
	off   uint64
	base  uint64 // address of the patch's address 0

	tables   []*section // tables added before the patch, from start on
	parts    []part     // parts of the patch
	memory   []byte     // content of the patch after fixups, from base on
	relative []uint64   // addresses, relative to the patch, of words that contain addresses of the file
	symtab   *symtab
	hdr      bool // PT_GNU_EH_FRAME refers to the new tables
}

// part is a range of the patch with one protection. Addresses are relative to the patch.
type part struct {
	name       string
	start, end uint64
	flags      elf.ProgFlag
}

// File returns data, the content of the ELF file called name, with the patch applied. The output is deterministic. The error
// is a *Refused if the patch cannot be part of the file.
func File(name string, data []byte, p *patch.File) ([]byte, error) {
	f, err := lpelf.Parse(name, slices.Clone(data))
	if err != nil {
		return nil, err
	}
	b := &baker{name: filepath.Base(name), file: f, patch: p}
	for _, step := range []func() error{
		b.identify, b.measure, b.collect, b.place, b.fix, b.overwrite, b.moveFrames, b.relocate,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	b.rename()
	return b.write()
}

// BuildID returns the build-id of a baked file, whose content differs from the original. It is derived from the original
// build-id and the patch, so that a stripped file and its unstripped twin get the same one.
func BuildID(old []byte, patchFile [sha256.Size]byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("lpatch bake\x00"), old, patchFile[:]))
	id := make([]byte, len(old))
	for i := range id {
		id[i] = sum[i%len(sum)]
	}
	return id
}

func (b *baker) rename() {
	if id := b.file.BuildID(); id != nil { // id is a slice of the file content
		copy(id, BuildID(id, b.patch.SHA256))
	}
}

// identify determines which image of the patch the file is, and refuses files that are none of them or cannot be baked.
func (b *baker) identify() error {
	id, spec := b.file.BuildID(), b.patch.Spec
	b.image = slices.IndexFunc(spec.Images, func(i patch.Image) bool {
		if len(i.BuildID) > 0 {
			return bytes.Equal(i.BuildID, id)
		}
		return id == nil && bytes.Equal(i.SHA256, b.file.LoadSHA256())
	})
	switch soname := b.file.Soname(); {
	case b.image < 0 && slices.ContainsFunc(spec.Images, func(i patch.Image) bool {
		return len(i.BuildID) > 0 && bytes.Equal(id, BuildID(i.BuildID, b.patch.SHA256))
	}):
		return refuse("%s has the patch %s in it already", b.name, spec.Name)
	case b.image < 0:
		return refuse("%s has %s, the patch %s is for %s; name the file that it was built for", b.name, describe(id), spec.Name, describe(spec.Images[0].BuildID))
	case len(spec.Upon) > 0:
		return refuse("the patch %s is built upon the patch %s, which the file would need in it as targets map it; build one patch of all the fixes", spec.Name, spec.Upon[0].Name)
	case b.file.Type != elf.ET_EXEC && b.file.Type != elf.ET_DYN:
		return refuse("%s is no program and no shared object", b.name)
	case strings.HasPrefix(soname, "ld-") || strings.HasPrefix(soname, "ld.") || strings.HasPrefix(soname, "libc.musl-"):
		return refuse("%s is a dynamic linker, of which the kernel does not load more segments than linkers make; use boot add", b.name)
	case len(b.file.Sections) == 0:
		return refuse("%s has no section headers; bake the file before they are stripped", b.name)
	case le.Uint16(b.file.Data[0x36:]) != phdrSize || le.Uint16(b.file.Data[0x3a:]) != shdrSize:
		return refuse("%s: its headers have a size that x86-64 does not have; the file is damaged", b.name)
	}
	for i := range spec.Sites {
		if s := &spec.Sites[i]; s.Image != b.image {
			return refuse("the patch changes %s in %s too, and a patch of several files cannot be part of one; use boot add", s.Symbol, spec.Images[s.Image].Name)
		}
	}
	return nil
}

func describe(buildID []byte) string {
	if len(buildID) == 0 {
		return "no build-id"
	}
	return "build-id " + hex.EncodeToString(buildID)
}

// measure determines the ends of the content in the file and in memory.
func (b *baker) measure() error {
	b.symtab = b.findSymtab()
	anew := b.symtab.tables()
	b.cut = 64
	end := le.Uint64(b.file.Data[0x28:]) + 64*uint64(len(b.file.Sections))
	for _, s := range b.file.Sections {
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			continue
		}
		end = max(end, s.Offset+s.Size)
		if !slices.Contains(anew, s.Index) {
			b.cut = max(b.cut, s.Offset+s.Size)
		}
		if s.Type == elf.SHT_RELA && s.Flags&elf.SHF_ALLOC == 0 {
			return refuse("%s keeps the relocations of its objects (--emit-relocs), which would not be right any more; strip them before", b.name)
		}
	}
	for _, p := range b.file.Progs {
		if p.Off+p.Filesz < p.Off || p.Off+p.Filesz > uint64(len(b.file.Data)) {
			return refuse("%s: a segment is beyond its end; the file is damaged", b.name)
		}
		b.cut = max(b.cut, p.Off+p.Filesz)
		if p.Type == elf.PT_LOAD {
			b.start = max(b.start, p.Vaddr+p.Memsz)
		}
	}
	if end = max(end, b.cut); end < uint64(len(b.file.Data)) && len(bytes.Trim(b.file.Data[end:], "\x00")) > 0 {
		return refuse("%s has %d bytes behind what its headers describe, which the program may look for at its end", b.name, uint64(len(b.file.Data))-end)
	}
	b.start, b.off = arch.AlignUp(b.start, arch.PageSize), arch.AlignUp(b.cut, arch.PageSize)
	return nil
}

// collect determines the sizes of the tables and splits the patch by protection, so that all addresses are known.
func (b *baker) collect() error {
	b.memory = make([]byte, b.patch.Span())
	for _, s := range b.patch.Segments() {
		copy(b.memory[s.Vaddr:s.Vaddr+s.Size], b.patch.Data[s.Offset:])
	}
	if err := b.collectFrames(); err != nil {
		return err
	}
	b.collectRelative()
	b.divide()
	return b.collectRelocations()
}

// protections lists the protections of a patch and the names of the sections for them.
var protections = map[patch.Prot]part{
	patch.ProtR:  {name: ".lpatch.rodata", flags: elf.PF_R},
	patch.ProtRX: {name: ".lpatch.text", flags: elf.PF_R | elf.PF_X},
	patch.ProtRW: {name: ".lpatch.data", flags: elf.PF_R | elf.PF_W},
}

// divide splits the segments into parts. The module writes addresses into read-only pages before they are visible to the
// program; the dynamic linker cannot, so pages of constants with addresses become writable.
func (b *baker) divide() {
	for _, s := range b.patch.Segments() {
		p := protections[s.Prot]
		p.start, p.end = s.Vaddr, s.Vaddr+s.Size
		low, high := p.end, p.start
		for _, at := range b.relative {
			if at >= p.start && at < p.end {
				low, high = min(low, at&^(arch.PageSize-1)), max(high, arch.AlignUp(at+8, arch.PageSize))
			}
		}
		if s.Prot != patch.ProtR || low >= high {
			b.parts = append(b.parts, p)
			continue
		}
		for _, q := range []part{
			{p.name, p.start, low, p.flags}, {".lpatch.data.rel.ro", low, high, elf.PF_R | elf.PF_W}, {p.name, high, p.end, p.flags},
		} {
			if q.start < q.end {
				b.parts = append(b.parts, q)
			}
		}
	}
}

// place assigns the addresses of the tables.
func (b *baker) place() error {
	at := b.start + b.headersSize()
	for _, t := range b.tables {
		t.addr = arch.AlignUp(at, t.align)
		at = t.addr + uint64(len(t.data))
	}
	b.base = arch.AlignUp(at, arch.PageSize)
	if reach := b.base + uint64(len(b.memory)) - b.patch.Spec.Images[b.image].SpanStart; reach >= 1<<31 {
		return refuse("%s is so large that a jump would not reach the patch behind it", b.name)
	}
	return nil
}
