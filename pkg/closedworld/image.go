// SPDX-License-Identifier: GPL-2.0

// Package closedworld compares two linked images, built from the old and from the new source, byte for byte: each difference
// must belong to the content of a patch or be explained by a named rule. Both images are linked with --emit-relocs, which
// identifies the bytes that the linker filled in. The targets of these references are read from the images.
package closedworld

import (
	"cmp"
	"debug/elf"
	"errors"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// ErrNoRelocs is returned if an image contains no relocations that identify its references.
var ErrNoRelocs = errors.New("the linker kept no relocations")

// Image is a linked file, split into pieces, with its references.
type Image struct {
	*lpelf.File
	origins  []origin         // by the linker's map; may be empty
	assigned map[string]bool  // names that a linker script gives to places
	sections []*lpelf.Section // allocated, by address; without .tbss, which has no room
	slots    *lpelf.Slots
	tls      uint64 // address of the TLS initialisation image
	pieces   []*piece
	in       map[*lpelf.Section][]*piece // sorted by address
	byName   map[string]*piece           // by global name
	local    map[string][]*piece         // by localKey
	defines  map[string]bool             // all names of what it has, exported or not
	fields   []field                     // sorted by address
	filled   []uint64                    // sorted addresses that the dynamic linker fills in
	landings []uint64                    // sorted targets of references
	frames   map[*piece][]frame
}

// piece is the range of bytes covered by the symbols at one address: a function or a variable.
type piece struct {
	sec        *lpelf.Section
	start, end uint64
	open       bool            // no symbol has a size, so that the piece extends to the next one
	syms       []*lpelf.Symbol // symbols at its start
}

func (p *piece) size() uint64 { return p.end - p.start }

// name returns the name of the piece for messages.
func (p *piece) name() string {
	for _, s := range p.syms {
		if s.Bind != elf.STB_LOCAL {
			return s.Name
		}
	}
	return p.syms[0].Name
}

// file returns the source file of a static function or variable, "" for others.
func (p *piece) file() string {
	for _, s := range p.syms {
		if s.Bind != elf.STB_LOCAL {
			return ""
		}
	}
	return p.syms[0].File
}

func (p *piece) isCode() bool { return p.sec.Flags&elf.SHF_EXECINSTR != 0 }

// marks lists symbols that linkers define, or that delimit something. They do not start a piece.
var marks = map[string]bool{
	"_edata": true, "edata": true, "_end": true, "end": true, "__bss_start": true, "_etext": true, "etext": true, "__etext": true,
	"__data_start": true, "data_start": true, "__TMC_END__": true, "__TMC_LIST__": true, "_GLOBAL_OFFSET_TABLE_": true, "_DYNAMIC": true, "__GNU_EH_FRAME_HDR": true,
	"__FRAME_END__": true, "__ehdr_start": true, "__executable_start": true, "_TLS_MODULE_BASE_": true, "_PROCEDURE_LINKAGE_TABLE_": true,
	"__preinit_array_start": true, "__preinit_array_end": true, "__init_array_start": true, "__init_array_end": true, "__fini_array_start": true, "__fini_array_end": true,
	"__rela_iplt_start": true, "__rela_iplt_end": true, "__EH_FRAME_BEGIN__": true, "__dso_handle": true,
	"__frame_dummy_init_array_entry": true, "__do_global_dtors_aux_fini_array_entry": true, "__CTOR_LIST__": true, "__CTOR_END__": true, "__DTOR_LIST__": true, "__DTOR_END__": true,
}

func isMark(name string) bool {
	return marks[name] || strings.HasPrefix(name, "GCC_except_table") || strings.HasPrefix(name, "__start_") || strings.HasPrefix(name, "__stop_")
}

// Read reads an image. mapText is the link map, which tells the object file that each part came from; it may be empty.
func Read(f *lpelf.File, mapText string) (*Image, error) {
	im := &Image{File: f, origins: readMap(mapText), assigned: readAssigned(mapText), in: map[*lpelf.Section][]*piece{}, byName: map[string]*piece{}, defines: map[string]bool{}, local: map[string][]*piece{}, frames: map[*piece][]frame{}}
	relocs, err := f.KeptRelocs()
	if err != nil {
		return nil, err
	}
	if len(relocs) == 0 || len(f.Symbols) == 0 {
		return nil, ErrNoRelocs
	}
	if im.slots, err = f.ReadSlots(); err != nil {
		return nil, err
	}
	if p := f.TLS(); p != nil {
		im.tls = p.Vaddr
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && !isTBSS(s) && s.Size > 0 {
			im.sections = append(im.sections, s)
		}
	}
	slices.SortStableFunc(im.sections, func(a, b *lpelf.Section) int { return cmp.Compare(a.Addr, b.Addr) })
	im.divide()
	im.readFields(relocs)
	if err := im.readFrames(); err != nil {
		return nil, err
	}
	im.land()
	return im, nil
}

func isTBSS(s *lpelf.Section) bool { return s.Flags&elf.SHF_TLS != 0 && s.Type == elf.SHT_NOBITS }

// divide splits the sections into pieces.
func (im *Image) divide() {
	bySection := map[*lpelf.Section][]*lpelf.Symbol{}
	for _, s := range im.Symbols {
		sec := im.SectionOf(s)
		im.defines[s.Name] = im.defines[s.Name] || sec != nil
		if sec == nil || sec.Flags&elf.SHF_ALLOC == 0 || s.Name == "" || strings.HasPrefix(s.Name, ".L") || isMark(s.Name) {
			continue
		}
		switch s.Type {
		case elf.STT_FUNC, elf.STT_GNU_IFUNC, elf.STT_OBJECT, elf.STT_NOTYPE, elf.STT_TLS, elf.STT_COMMON:
			if at := im.addressOf(s); at >= sec.Addr && at < sec.Addr+sec.Size {
				bySection[sec] = append(bySection[sec], s)
			}
		}
	}
	for _, sec := range im.Sections {
		syms := bySection[sec]
		sort.SliceStable(syms, func(i, j int) bool {
			a, b := im.addressOf(syms[i]), im.addressOf(syms[j])
			return a < b || a == b && syms[i].Size > syms[j].Size
		})
		im.in[sec] = im.piecesOf(sec, syms)
		for i, p := range im.in[sec] {
			if p.open = p.size() == 0; p.open {
				p.end = sec.Addr + sec.Size
				if i+1 < len(im.in[sec]) {
					p.end = im.in[sec][i+1].start
				}
				p.end = im.endOfOrigin(p.start, p.end)
			}
			im.pieces = append(im.pieces, p)
			im.index(p)
		}
	}
	slices.SortFunc(im.pieces, func(a, b *piece) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.sec.Index, b.sec.Index))
	})
}

// piecesOf merges symbols at one address, and symbols within the range of another symbol.
func (im *Image) piecesOf(sec *lpelf.Section, syms []*lpelf.Symbol) []*piece {
	var out []*piece
	var last *piece
	for _, s := range syms {
		at := im.addressOf(s)
		end := min(at+s.Size, sec.Addr+sec.Size)
		switch {
		case last != nil && at == last.start:
			last.end = max(last.end, end)
		case last != nil && at < last.end:
			last.end = max(last.end, end)
			continue
		default:
			last = &piece{sec: sec, start: at, end: end}
			out = append(out, last)
		}
		last.syms = append(last.syms, s)
	}
	return out
}

func (im *Image) index(p *piece) {
	for _, s := range p.syms {
		if s.Bind != elf.STB_LOCAL {
			im.byName[s.Name] = p
			continue
		}
		key := localKey(s)
		im.local[key] = append(im.local[key], p)
	}
}

// localKey returns a key for a static function or variable: its source file and its name without the number added by the
// compiler.
func localKey(s *lpelf.Symbol) string { return s.File + "\n" + withoutNumber(s.Name) }

func withoutNumber(name string) string {
	if rest, ok := strings.CutPrefix(name, "_GLOBAL__sub_"); ok { // initialisers of a source file, named after the first symbol in it
		return name[:len(name)-len(rest)+1]
	}
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return name
	}
	return name[:i]
}

// addressOf returns the address of a symbol; for a thread-local variable, that of its initial value.
func (im *Image) addressOf(s *lpelf.Symbol) uint64 {
	if s.Type == elf.STT_TLS {
		return s.Value + im.tls
	}
	return s.Value
}

// sectionAt returns the section that contains addr. The end of a section counts as part of it if no other section starts
// there.
func (im *Image) sectionAt(addr uint64) *lpelf.Section {
	i := sort.Search(len(im.sections), func(i int) bool { return im.sections[i].Addr > addr })
	if i == 0 || addr > im.sections[i-1].Addr+im.sections[i-1].Size {
		return nil
	}
	return im.sections[i-1]
}

// pieceAt returns the piece that contains addr, and the next piece.
func (im *Image) pieceAt(sec *lpelf.Section, addr uint64) (at, next *piece) {
	list := im.in[sec]
	i := sort.Search(len(list), func(i int) bool { return list[i].start > addr })
	if i < len(list) {
		next = list[i]
	}
	if i > 0 && addr < list[i-1].end {
		at = list[i-1]
	}
	return at, next
}

// bytesAt returns the content of a section from addr to its end.
func bytesAt(sec *lpelf.Section, addr uint64) []byte {
	if addr < sec.Addr || addr-sec.Addr >= uint64(len(sec.Data)) {
		return nil
	}
	return sec.Data[addr-sec.Addr:]
}

// byContent reports whether a piece is a compiler-generated constant without an identity.
func (p *piece) byContent() bool {
	return !p.isCode() && p.sec.Flags&elf.SHF_WRITE == 0 && slices.ContainsFunc(p.syms, diff.ByContent)
}
