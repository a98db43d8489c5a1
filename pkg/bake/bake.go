// SPDX-License-Identifier: GPL-2.0

// Package bake makes, of an ELF file and a patch for it, a file that has the patch in it: what the kernel module does in
// the memory of a process is done to the file. The program needs no module then.
//
// The patch's segments stand behind all others, as the module would map them there; the sites are overwritten; fix-ups are
// resolved, or become relative relocations where the address of the file is not known before it is loaded. Nothing of the
// file moves but the program headers, the tables of the unwinder and of relocations, which have no room to grow in: they
// have new places in front of the patch, and the old ones stay where they are for who refers to them.
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

// Refused is the error of File for a patch that cannot be part of the file, and says why in a sentence.
type Refused struct{ Message string }

// Error implements error.
func (r *Refused) Error() string { return r.Message }

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// baker is a file in the making.
type baker struct {
	name  string
	file  *lpelf.File // the file, of which the bytes that are there are changed in place
	patch *patch.File
	image int // which of the patch's images the file is

	cut   uint64 // where in the file the old content ends, but for tables that are written anew
	start uint64 // the address of what is added, at file offset `offset`
	off   uint64
	base  uint64 // the address that the patch's address 0 becomes

	tables   []*section // what is added in front of the patch; from start on
	parts    []part     // the patch
	memory   []byte     // the patch with its fix-ups, from base on
	relative []uint64   // addresses in the patch of words that hold addresses of the file
	symtab   *symtab
	hdr      bool // the unwinder finds the new functions by PT_GNU_EH_FRAME
}

// part is a range of the patch with one protection. Addresses are those of the patch.
type part struct {
	name       string
	start, end uint64
	flags      elf.ProgFlag
}

// File returns data, the content of the ELF file called name, with the patch in it. The same input gives the same bytes.
// The error is a *Refused if the patch cannot be part of the file.
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

// BuildID returns the build-id of a baked file: another content has another build-id. It follows from that of the file and
// from the patch, so that a stripped file and its unstripped twin, baked alike, have the same.
func BuildID(old []byte, patchFile [sha256.Size]byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("lpatch bake\x00"), old, patchFile[:]))
	id := make([]byte, len(old))
	for i := range id {
		id[i] = sum[i%len(sum)]
	}
	return id
}

func (b *baker) rename() {
	if id := b.file.BuildID(); id != nil { // a part of the file's bytes
		copy(id, BuildID(id, b.patch.SHA256))
	}
}

// identify finds out which image of the patch the file is, and refuses what is none, or cannot be baked at all.
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

// measure finds the end of what is in the file and in memory.
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

// collect sizes the tables and divides the patch by protection, so that all addresses are known.
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

// protections of a patch, with the name of the section that each gets here.
var protections = map[patch.Prot]part{
	patch.ProtR:  {name: ".lpatch.rodata", flags: elf.PF_R},
	patch.ProtRX: {name: ".lpatch.text", flags: elf.PF_R | elf.PF_X},
	patch.ProtRW: {name: ".lpatch.data", flags: elf.PF_R | elf.PF_W},
}

// divide makes parts of the segments. The module writes addresses into read-only pages before anybody can see them; the
// dynamic linker cannot, so pages of constants that hold addresses are writable.
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

// place gives every table its address.
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
