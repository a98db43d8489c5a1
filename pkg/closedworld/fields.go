// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// field is a reference: bytes filled in by the linker, or by the assembler with the distance to another piece.
type field struct {
	at      uint64 // address of the first byte
	size    uint8
	takes   bool          // the reference takes the address, as that of a string
	offset  bool          // thread-local: to is the address of the initial value, which the field does not contain
	to      uint64        // target address
	sym     *lpelf.Symbol // symbol of the relocation, if it has a name
	name    string        // symbol that the dynamic linker looks up, instead of to
	add     int64         // addend for name
	word    bool          // the relocation refers to a GOT word with the address of the symbol
	isTable bool          // PC-relative data: to is relative to at, or to the start of the table
}

// readFields finds all references. Code has to be decoded, because assemblers leave no relocations for calls within a
// section, and linkers relax instructions without updating the relocations that they keep.
func (im *Image) readFields(relocs map[*lpelf.Section][]lpelf.Reloc) {
	im.filled = slices.Sorted(maps.Keys(im.slots.ByVaddr))
	for _, sec := range im.sections {
		switch {
		case sec.Data == nil || isMade(sec):
		case sec.Flags&elf.SHF_EXECINSTR != 0:
			im.readCode(sec, relocs[sec])
		default:
			im.readData(sec, relocs[sec])
		}
	}
	if !slices.IsSortedFunc(im.fields, func(a, b field) int { return cmp.Compare(a.at, b.at) }) {
		slices.SortStableFunc(im.fields, func(a, b field) int { return cmp.Compare(a.at, b.at) })
	}
}

// isMade reports whether the linker generates a section. Such sections have no pieces and are compared by their meaning.
func isMade(s *lpelf.Section) bool {
	for _, p := range []string{".plt", ".got", ".iplt", ".igot", ".eh_frame"} {
		if strings.HasPrefix(s.Name, p) {
			return true
		}
	}
	switch s.Type {
	case elf.SHT_DYNAMIC, elf.SHT_DYNSYM, elf.SHT_STRTAB, elf.SHT_HASH, elf.SHT_GNU_HASH, elf.SHT_GNU_VERSYM, elf.SHT_GNU_VERNEED, elf.SHT_GNU_VERDEF,
		elf.SHT_RELA, elf.SHT_REL, elf.SHT_NOTE, lpelf.SectionRelr:
		return true
	}
	return false
}

// readCode decodes a section. It restarts the decoder at the start and at the end of each piece.
func (im *Image) readCode(sec *lpelf.Section, relocs []lpelf.Reloc) {
	at := sec.Addr
	for _, p := range im.in[sec] {
		if p.start > at {
			relocs = im.decode(sec, at, p.start, relocs)
		}
		if p.syms[0].Type == elf.STT_OBJECT {
			relocs = im.rawFields(sec, p.end, relocs)
		} else {
			relocs = im.decode(sec, p.start, p.end, relocs)
		}
		at = p.end
	}
	im.decode(sec, at, sec.Addr+sec.Size, relocs)
}

// decode records the references of the code in [from, to). After an instruction that cannot be decoded, only references with
// a relocation are recorded.
func (im *Image) decode(sec *lpelf.Section, from, to uint64, relocs []lpelf.Reloc) []lpelf.Reloc {
	var thread *lpelf.Reloc // relocation of the thread-local variable whose address the preceding code computes
	for pos := from; pos < to; {
		code := bytesAt(sec, pos)[:to-pos]
		in, err := im.Arch.Decode(code)
		if err != nil {
			return im.rawFields(sec, to, relocs)
		}
		end := pos + uint64(in.Len)
		relative := pos + uint64(in.PCRelOff)
		if in.PCRel == 0 {
			relative = 0
		}
		f := field{at: relative, size: uint8(in.PCRel), takes: isLea(code, in)}
		f.to = end + uint64(in.Disp(code))
		linked := false // has a relocation
		for len(relocs) > 0 && relocs[0].Off < end {
			r := &relocs[0]
			relocs = relocs[1:]
			switch {
			case r.Off < pos || uint64(r.Type.Size) == 0 || r.Type.Meaning == arch.None:
			case isThreadLocal(r.Type):
				thread = r
				im.fields = append(im.fields, im.threadField(r, r.Off))
				relative = 0
			case relative != 0 && r.Type.PCRel:
				linked, f.word = true, r.Type.Meaning == arch.Word
				f.sym = im.named(r.Sym)
			case thread != nil && r.Sym != nil && r.Sym.Name == "__tls_get_addr": // the call was relaxed to an instruction that accesses the variable
				im.fields = append(im.fields, im.threadField(thread, r.Off))
			default:
				im.absolute(sec, r)
			}
		}
		// The assembler resolves references within a section. A target outside of the section means that this is not code.
		outside := f.to < from || f.to >= to
		if relative != 0 && (linked || (outside || !in.IsBranch()) && f.to >= sec.Addr && f.to <= sec.Addr+sec.Size) {
			im.fields = append(im.fields, f)
		}
		pos = end
	}
	return relocs
}

// isLea reports whether an instruction computes an address without accessing memory.
func isLea(code []byte, in arch.Insn) bool {
	return in.PCRel == 4 && in.PCRelOff >= 2 && code[in.PCRelOff-2] == 0x8d
}

// rawFields records the references before address to that have a relocation.
func (im *Image) rawFields(sec *lpelf.Section, to uint64, relocs []lpelf.Reloc) []lpelf.Reloc {
	for len(relocs) > 0 && relocs[0].Off < to {
		r := &relocs[0]
		relocs = relocs[1:]
		switch {
		case uint64(r.Type.Size) == 0 || r.Type.Meaning == arch.None || r.Off < sec.Addr || r.Off-sec.Addr+uint64(r.Type.Size) > sec.Size:
		case isThreadLocal(r.Type):
			im.fields = append(im.fields, im.threadField(r, r.Off))
		case r.Type.PCRel:
			v := read(bytesAt(sec, r.Off), uint64(r.Type.Size))
			code := sec.Flags&elf.SHF_EXECINSTR != 0
			f := field{at: r.Off, size: r.Type.Size, takes: true, sym: im.named(r.Sym), to: r.Off + v, isTable: !code}
			if code {
				f.to += 4
			}
			im.fields = append(im.fields, f)
		default:
			im.absolute(sec, r)
		}
	}
	return relocs
}

// readData records the references in data: those with a relocation, and those that the dynamic linker fills in.
func (im *Image) readData(sec *lpelf.Section, relocs []lpelf.Reloc) {
	first := len(im.fields)
	im.rawFields(sec, sec.Addr+sec.Size, relocs)
	known := map[uint64]bool{}
	for _, f := range im.fields[first:] {
		known[f.at] = true
	}
	lo, _ := slices.BinarySearch(im.filled, sec.Addr)
	for _, at := range im.filled[lo:] {
		if at >= sec.Addr+sec.Size {
			break
		}
		if !known[at] {
			im.absolute(sec, &lpelf.Reloc{Off: at, Type: arch.Reloc{Meaning: arch.Address, Size: 8}})
		}
	}
	slices.SortStableFunc(im.fields[first:], func(a, b field) int { return cmp.Compare(a.at, b.at) })
}

// absolute records an absolute address, which is stored in the image or filled in by the dynamic linker.
func (im *Image) absolute(sec *lpelf.Section, r *lpelf.Reloc) {
	size := uint64(r.Type.Size)
	fromGOT := r.Type.Number == uint32(elf.R_X86_64_GOTOFF64) || r.Type.Number == uint32(elf.R_X86_64_GOTPC32)
	if fromGOT || r.Type.Meaning == arch.SymbolSize || r.Type.Meaning == arch.Copy {
		return // compared as plain bytes
	}
	if r.Off < sec.Addr || r.Off-sec.Addr+size > uint64(len(sec.Data)) {
		return
	}
	f := field{at: r.Off, size: uint8(size), takes: true, sym: im.named(r.Sym), to: read(bytesAt(sec, r.Off), size)}
	if slot, ok := im.slots.ByVaddr[r.Off]; ok && size == 8 {
		f.to, f.name, f.add = uint64(slot.Addend), versioned(slot), slot.Addend
		switch slot.Type.Meaning {
		case arch.ThreadSlot, arch.BlockOffset, arch.Module:
			f.to, f.offset = im.tls+f.to, true
		}
	}
	im.fields = append(im.fields, f)
}

func versioned(s lpelf.Slot) string {
	if s.Symbol == "" || s.Version == "" {
		return s.Symbol
	}
	return s.Symbol + "@" + s.Version
}

// threadField returns a reference to a thread-local variable. The bytes in the image depend on the TLS model of the access.
func (im *Image) threadField(r *lpelf.Reloc, at uint64) field {
	f := field{at: at, size: r.Type.Size, offset: true, sym: im.named(r.Sym), add: r.Addend}
	if r.Sym == nil || r.Sym.Section == elf.SHN_UNDEF {
		if f.sym != nil {
			f.name = f.sym.Name
		}
		return f
	}
	f.to = im.addressOf(r.Sym) + uint64(r.Addend)
	if r.Type.PCRel {
		f.to += 4
	}
	return f
}

func isThreadLocal(t arch.Reloc) bool {
	switch t.Meaning {
	case arch.GeneralDynamic, arch.LocalDynamic, arch.ThreadWord, arch.Descriptor, arch.ThreadOffset, arch.ThreadSlot, arch.BlockOffset, arch.Module:
		return true
	}
	return false
}

// named returns s if it says more than an address does: if it has a name or is the symbol of a section without a place in
// memory.
func (im *Image) named(s *lpelf.Symbol) *lpelf.Symbol {
	switch {
	case s == nil || strings.HasPrefix(s.Name, ".L"):
		return nil
	case s.Type == elf.STT_SECTION:
		if sec := im.SectionOf(s); sec != nil && sec.Size == 0 {
			return &lpelf.Symbol{Name: sec.Name, Type: elf.STT_SECTION, Value: sec.Addr}
		}
		return nil
	case s.Name == "":
		return nil
	}
	return s
}

// read returns the value of a signed field of size bytes.
func read(b []byte, size uint64) uint64 {
	switch {
	case uint64(len(b)) < size:
	case size == 8:
		return binary.LittleEndian.Uint64(b)
	case size == 4:
		return uint64(int64(int32(binary.LittleEndian.Uint32(b))))
	case size == 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case size == 1:
		return uint64(b[0])
	}
	return 0
}

// land collects the targets of all references. Data without symbols is split at these addresses.
func (im *Image) land() {
	for i := range im.fields {
		f := &im.fields[i]
		if f.name == "" && !f.isTable && !f.offset {
			im.landings = append(im.landings, f.to)
		}
	}
	for _, list := range im.frames {
		for _, fr := range list {
			if fr.lsda != 0 {
				im.landings = append(im.landings, fr.lsda)
			}
		}
	}
	for _, s := range im.slots.ByVaddr {
		if s.Type.Meaning == arch.Relative {
			im.landings = append(im.landings, uint64(s.Addend))
		}
	}
	slices.Sort(im.landings)
	im.landings = slices.Compact(im.landings)
}

// fieldsIn returns the references in [from, to).
func (im *Image) fieldsIn(from, to uint64) []field {
	lo, _ := slices.BinarySearchFunc(im.fields, from, func(f field, a uint64) int { return cmp.Compare(f.at, a) })
	hi := lo
	for hi < len(im.fields) && im.fields[hi].at < to {
		hi++
	}
	return im.fields[lo:hi]
}

// fieldsOf returns the references in a range of a section.
func (im *Image) fieldsOf(sec *lpelf.Section, from, to uint64) []field {
	if sec.Data == nil {
		return nil // .tbss has no place in memory
	}
	return im.fieldsIn(from, to)
}
