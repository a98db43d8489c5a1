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

// checkSameLink finds out whether the second link has made what the first did. With relocations, GNU ld keeps empty sections, and
// aligns what is behind one as that: .bss may be some bytes further on (behind .tm_clone_table of gcc's crtbegin.o). Then all that
// leads there must differ by just that.
func checkSameLink(f *lpelf.File, path string) error {
	again, err := lpelf.Open(path)
	if err != nil {
		return err
	}
	loaded := func(f *lpelf.File) []*lpelf.Section {
		return slices.DeleteFunc(slices.Clone(f.Sections), func(s *lpelf.Section) bool {
			return s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 || s.Name == ".note.gnu.build-id"
		})
	}
	a, b := loaded(f), loaded(again)
	m := movedBSS(a, b)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i].Name != b[i].Name || !m.explains(a[i], b[i]) && (a[i].Addr != b[i].Addr || a[i].Size != b[i].Size ||
			!m.same(a[i], contentOf(f, a[i]), contentOf(again, b[i]))) {
			return fmt.Errorf("linked with --emit-relocs it is another file, as of section %s", append(b, a...)[min(i, len(b)+len(a)-1)].Name)
		}
	}
	return m.allMoved(f, again)
}

// allMoved looks whether each reference to .bss has gone with it. A word of the GOT has the address by what the dynamic linker is told.
func (m moved) allMoved(f, again *lpelf.File) error {
	if m.by == 0 {
		return nil
	}
	relocs, err := again.KeptRelocs()
	if err != nil {
		return err
	}
	for sec, list := range relocs {
		was := f.Section(sec.Name)
		for _, r := range list {
			if was == nil || r.Sym == nil || r.Type.Meaning == arch.Word || r.Off < sec.Addr {
				continue
			}
			to := again.SectionOf(r.Sym)
			if to == nil || to.Name != ".bss" {
				continue
			}
			if at := r.Off - sec.Addr; at < uint64(min(len(was.Data), len(sec.Data))) && was.Data[at] == sec.Data[at] {
				return fmt.Errorf("linked with --emit-relocs it is another file, as of what leads from %s into .bss", sec.Name)
			}
		}
	}
	return nil
}

// moved says by how much .bss is further on in the second link, 0 for not at all, and where it is there.
type moved struct{ by, start, end uint64 }

func movedBSS(a, b []*lpelf.Section) moved {
	if len(a) == 0 || len(a) != len(b) {
		return moved{}
	}
	const most = 64
	was, is := a[len(a)-1], b[len(b)-1] // nothing is behind it
	if was.Name != ".bss" || is.Name != ".bss" || was.Type != elf.SHT_NOBITS || is.Type != elf.SHT_NOBITS || is.Addr <= was.Addr || is.Addr-was.Addr > most {
		return moved{}
	}
	return moved{is.Addr - was.Addr, is.Addr, is.Addr + is.Size}
}

// explains tells whether a section is .bss, further on. What is in it has moved by that, and its end is rounded up.
func (m moved) explains(a, b *lpelf.Section) bool {
	return m.by != 0 && a.Name == ".bss" && b.Addr-a.Addr == m.by && m.by%max(a.Align, 1) == 0 && a.Align == b.Align
}

// same compares the contents of a section. Where they differ there is a word in both that leads into .bss, as an address or as a distance.
func (m moved) same(sec *lpelf.Section, was, is []byte) bool {
	if m.by == 0 || len(was) != len(is) {
		return bytes.Equal(was, is)
	}
	for i := 0; i < len(is); i++ {
		if was[i] == is[i] {
			continue
		}
		end, ok := m.wordAt(sec, was, is, i)
		if !ok {
			return false
		}
		i = end - 1
	}
	return true
}

// wordAt finds the word that has the first byte that differs, and returns its end. As by is small, that is the lowest one.
func (m moved) wordAt(sec *lpelf.Section, was, is []byte, i int) (end int, ok bool) {
	const size = 4
	if i+size > len(is) {
		return 0, false
	}
	a, b := binary.LittleEndian.Uint32(was[i:]), binary.LittleEndian.Uint32(is[i:])
	if b-a != uint32(m.by) {
		return 0, false
	}
	inside := func(addr uint64) bool { return addr >= m.start-m.by && addr <= m.end }
	distance := uint64(int64(int32(b)))
	const immediate = 4 // what an instruction may have behind the distance
	for behind := range uint64(immediate + 1) {
		if inside(sec.Addr + uint64(i) + size + behind + distance) {
			return i + size, true
		}
	}
	return i + size, inside(uint64(b)) || inside(sec.Addr+uint64(i)+distance)
}

// contentOf is what a section has. A dynamic symbol names its section by a number, in place of which stands its address here: an
// empty section in front of it is counted.
func contentOf(f *lpelf.File, sec *lpelf.Section) []byte {
	if sec.Type != elf.SHT_DYNSYM {
		return sec.Data
	}
	const size, at = 24, 6 // of Elf64_Sym, and of its st_shndx
	data := slices.Clone(sec.Data)
	for i := at; i+2 <= len(data); i += size {
		n := int(binary.LittleEndian.Uint16(data[i:]))
		if n == 0 || n >= int(elf.SHN_LORESERVE) || n >= len(f.Sections) {
			continue
		}
		data = binary.LittleEndian.AppendUint64(data, f.Sections[n].Addr)
		data[i], data[i+1] = 1, 0
	}
	return data
}
