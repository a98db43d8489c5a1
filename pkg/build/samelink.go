// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// checkSameLink checks that a repeated link produced the same output as the first one. With --emit-relocs, GNU ld keeps empty
// sections and aligns the following ones accordingly, which may move .bss by some bytes (after .tm_clone_table of gcc's
// crtbegin.o). Then all references to .bss must differ by exactly this distance, and nothing else may differ. The references
// are identified by relocations or by the table that contains them.
func checkSameLink(f *lpelf.File, path string) error {
	again, err := lpelf.Open(path)
	if err != nil {
		return err
	}
	a, b := framesInOrder(loadedSections(f)), framesInOrder(loadedSections(again))
	m, err := movedBSS(f, again, a, b)
	if err != nil {
		return err
	}
	const another = "linked with --emit-relocs it is another file, as of "
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || !m.same(a[i], b[i]) {
			return fmt.Errorf(another+"section %s", append(b, a...)[min(i, len(b)+len(a)-1)].Name)
		}
	}
	if !slices.Equal(headerOf(f), headerOf(again)) {
		return fmt.Errorf(another + "the ELF header")
	}
	if len(f.Progs) != len(again.Progs) {
		return fmt.Errorf(another + "the number of program headers")
	}
	for i := range f.Progs {
		if !m.sameProg(i) {
			return fmt.Errorf(another+"program header %d", i)
		}
	}
	return nil
}

func loadedSections(f *lpelf.File) []*lpelf.Section {
	return slices.DeleteFunc(slices.Clone(f.Sections), func(s *lpelf.Section) bool { return s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 })
}

// headerOf returns the parts of the ELF header that are significant for loading: ABI, type, entry point and processor flags.
func headerOf(f *lpelf.File) []byte {
	h := f.Data
	return slices.Concat(h[elf.EI_OSABI:elf.EI_PAD], h[16:18], h[24:32], h[48:52])
}

// moved describes the distance by which .bss has moved in the second link (0 for none) and the references to it.
type moved struct {
	f, again *lpelf.File
	by       uint64
	bss      *lpelf.Section        // in the second link
	fields   map[uint64]arch.Reloc // relocated references to .bss, by address
	words    map[uint64]bool       // addresses in .bss that the GOT contains
	dynamic  map[uint64]bool       // addresses of words that the dynamic linker relocates according to a table
}

func movedBSS(f, again *lpelf.File, a, b []*lpelf.Section) (*moved, error) {
	m := &moved{f: f, again: again, fields: map[uint64]arch.Reloc{}, words: map[uint64]bool{}, dynamic: map[uint64]bool{}}
	if len(a) == 0 || len(a) != len(b) {
		return m, nil
	}
	const most = 64
	was, is := a[len(a)-1], b[len(b)-1] // no section follows it
	if was.Name != ".bss" || is.Name != ".bss" || was.Type != elf.SHT_NOBITS || is.Type != elf.SHT_NOBITS || is.Addr <= was.Addr || is.Addr-was.Addr > most {
		return m, nil
	}
	m.by, m.bss = is.Addr-was.Addr, is
	relocs, err := again.KeptRelocs()
	if err != nil {
		return nil, err
	}
	for _, list := range relocs {
		for _, r := range list {
			switch {
			case r.Sym == nil || !m.goesAlong(again.SectionOf(r.Sym)):
			case r.Type.Meaning == arch.Word:
				m.words[r.Sym.Value] = true
				fallthrough
			case r.Type.Meaning == arch.Address:
				m.fields[r.Off] = r.Type
			}
		}
	}
	for _, s := range b {
		for e := range slices.Chunk(s.Data, relaSize) {
			if s.Type == elf.SHT_RELA && len(e) == relaSize {
				m.dynamic[word(e)] = true
			}
		}
	}
	return m, nil
}

func word(data []byte) uint64 { return binary.LittleEndian.Uint64(data) }

// goesAlong reports whether a section of the second link has moved with .bss. An empty section before it has not.
func (m *moved) goesAlong(s *lpelf.Section) bool { return m.bss != nil && s == m.bss }

// same compares a section of both links.
func (m *moved) same(a, b *lpelf.Section) bool {
	if a.Name != b.Name || a.Type != b.Type || a.Flags != b.Flags || a.Align != b.Align || a.Entry != b.Entry {
		return false
	}
	if m.goesAlong(b) {
		return m.by%max(a.Align, 1) == 0 && sameRounded(a, b)
	}
	if a.Addr != b.Addr && isOfFrames(b) {
		return m.sameFrames(a, b)
	}
	if a.Addr != b.Addr || a.Size != b.Size || len(a.Data) != len(b.Data) {
		return false
	}
	switch {
	case a.Name == ".note.gnu.build-id":
		return true
	case a.Type == elf.SHT_DYNSYM:
		return m.sameSymbols(a.Data, b.Data)
	case m.by == 0:
		return bytes.Equal(a.Data, b.Data)
	case a.Type == elf.SHT_RELA:
		return m.sameRelocs(a.Data, b.Data)
	case a.Name == ".got" || a.Name == ".got.plt":
		return m.sameTable(a.Data, b.Data)
	}
	return m.sameData(b, a.Data)
}

// sameRounded compares the sizes of .bss. GNU ld rounds its end up to a word.
func sameRounded(a, b *lpelf.Section) bool {
	const size = 8
	if (a.Addr+a.Size)%size != 0 || (b.Addr+b.Size)%size != 0 {
		return a.Size == b.Size
	}
	return a.Size < b.Size+size && b.Size < a.Size+size
}

// sameData compares a section with relocations. References to .bss must exist in both and differ by the distance; nothing
// else may differ.
func (m *moved) sameData(b *lpelf.Section, was []byte) bool {
	for i := 0; i < len(was); i++ {
		at := b.Addr + uint64(i)
		field, ok := m.fields[at]
		if ok && field.Size > 0 && i+int(field.Size) <= len(was) {
			size := int(field.Size)
			differs := !bytes.Equal(was[i:i+size], b.Data[i:i+size])
			if differs && !m.further(was[i:i+size], b.Data[i:i+size]) || !differs && field.Meaning != arch.Word && !m.dynamic[at] {
				return false
			}
			i += size - 1
		} else if was[i] != b.Data[i] {
			return false
		}
	}
	return true
}

// further reports whether an integer has increased by the distance that .bss has moved.
func (m *moved) further(was, is []byte) bool {
	var a, b [8]byte
	copy(a[:], was)
	copy(b[:], is)
	return (word(b[:])-word(a[:])-m.by)<<(64-8*len(is)) == 0
}

// sameTable compares the global offset table.
func (m *moved) sameTable(was, is []byte) bool {
	const size = 8
	for i := 0; i+size <= len(is); i += size {
		shift := uint64(0)
		if m.words[word(is[i:])] {
			shift = m.by
		}
		if word(is[i:])-word(was[i:]) != shift {
			return false
		}
	}
	return len(is)%size == 0
}

const relaSize = 24 // size of Elf64_Rela

// sameRelocs compares the dynamic relocations: copy relocations into .bss, and words that contain addresses in .bss.
func (m *moved) sameRelocs(was, is []byte) bool {
	for i := 0; i+relaSize <= len(is); i += relaSize {
		place, addend := word(is[i:]), word(is[i+16:])
		var placeShift, addendShift uint64
		_, field := m.fields[place]
		switch m.again.Arch.Reloc(binary.LittleEndian.Uint32(is[i+8:])).Meaning {
		case arch.Copy:
			if place >= m.bss.Addr {
				placeShift = m.by
			}
		case arch.Relative:
			if field || m.words[addend] && m.inTable(place) {
				addendShift = m.by
			}
		}
		if word(is[i+8:]) != word(was[i+8:]) || place-word(was[i:]) != placeShift || addend-word(was[i+16:]) != addendShift {
			return false
		}
	}
	return len(is)%relaSize == 0
}

func (m *moved) inTable(addr uint64) bool {
	got := m.again.Section(".got")
	return got != nil && addr >= got.Addr && addr-got.Addr < got.Size
}

// sameSymbols compares dynamic symbols. An additional empty section changes the section indexes after it.
func (m *moved) sameSymbols(was, is []byte) bool {
	const size, at, value = 24, 6, 8 // size of Elf64_Sym, offsets of st_shndx and st_value
	for i := 0; i+size <= len(is); i += size {
		a, b := numbered(m.f, was[i+at:]), numbered(m.again, is[i+at:])
		shift := uint64(0)
		switch {
		case a == nil && b == nil && bytes.Equal(was[i+at:i+value], is[i+at:i+value]):
		case a != nil && b != nil && m.sameEnd(was[i:i+size], is[i:i+size]):
			continue
		case a == nil || b == nil || a.Name != b.Name && a.Addr != b.Addr:
			return false
		case m.goesAlong(b):
			shift = m.by
		}
		if !bytes.Equal(was[i:i+at], is[i:i+at]) || word(is[i+value:])-word(was[i+value:]) != shift || !bytes.Equal(was[i+value+8:i+size], is[i+value+8:i+size]) {
			return false
		}
	}
	return len(is)%size == 0
}

// sameEnd tells of dynamic symbols that they are the same one and mark an end, as _edata and _end of a program linked with -rdynamic
// do: of what is in front of .bss, where the empty section is that goes along with it, or of .bss.
func (m *moved) sameEnd(was, is []byte) bool {
	const info, value, size = 4, 8, 16 // of Elf64_Sym
	if !bytes.Equal(was[:info+2], is[:info+2]) || elf.ST_TYPE(is[info]) != elf.STT_NOTYPE || word(was[size:])+word(is[size:]) != 0 {
		return false
	}
	a, b := endsOf(m.f), endsOf(m.again)
	return slices.ContainsFunc([]int{0, 1}, func(i int) bool { return a[i].has(word(was[value:])) && b[i].has(word(is[value:])) })
}

// room has addresses, the last among them.
type room struct{ first, last uint64 }

func (r room) has(addr uint64) bool { return r.last > 0 && addr >= r.first && addr <= r.last }

// endsOf are the room between .bss and what is in front of it, and that behind it up to the next word.
func endsOf(f *lpelf.File) [2]room {
	bss := f.Section(".bss")
	if bss == nil {
		return [2]room{}
	}
	const size = 8
	end := bss.Addr + bss.Size
	return [2]room{{endBefore(f, bss), bss.Addr}, {end, (end + size - 1) / size * size}}
}

// endBefore is where what the file has in front of .bss ends.
func endBefore(f *lpelf.File, bss *lpelf.Section) uint64 {
	end := uint64(0)
	for _, s := range loadedSections(f) {
		if s.Type != elf.SHT_NOBITS && s.Addr < bss.Addr {
			end = max(end, s.Addr+s.Size)
		}
	}
	return end
}

// numbered is the section of a number, nil if it means none.
func numbered(f *lpelf.File, number []byte) *lpelf.Section {
	n := int(binary.LittleEndian.Uint16(number))
	if n == 0 || n >= len(f.Sections) {
		return nil
	}
	return f.Sections[n]
}

// sameProg compares a program header. The segment that contains .bss ends with it in memory, and anywhere before it in the
// file.
func (m *moved) sameProg(i int) bool {
	a, b := m.f.Progs[i], m.again.Progs[i]
	if a.Type == b.Type && m.sameFramesProg(a, b) {
		return true
	}
	if a.Type != b.Type || a.Flags != b.Flags || a.Align != b.Align || a.Vaddr != b.Vaddr {
		return false
	}
	return a.Filesz == b.Filesz && a.Memsz == b.Memsz || a.Type == elf.PT_LOAD && endsWithBSS(m.f, a) && endsWithBSS(m.again, b)
}

// endsWithBSS reports whether .bss is at the end of a segment and the bytes in the file between the preceding section and
// .bss are zero.
func endsWithBSS(f *lpelf.File, p lpelf.Prog) bool {
	bss := f.Section(".bss")
	if bss == nil || bss.Type != elf.SHT_NOBITS || bss.Addr+bss.Size != p.Vaddr+p.Memsz || p.Filesz > bss.Addr-p.Vaddr || bss.Addr < p.Vaddr || p.Off > uint64(len(f.Data)) {
		return false
	}
	end := max(p.Vaddr, endBefore(f, bss))
	file := f.Data[p.Off:]
	return end-p.Vaddr <= p.Filesz && p.Filesz <= uint64(len(file)) && len(bytes.Trim(file[end-p.Vaddr:p.Filesz], "\x00")) == 0
}
