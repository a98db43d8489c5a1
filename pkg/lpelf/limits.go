// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// debug/elf copies the name of each section and symbol, and follows each chain of the version tables. In a malicious file,
// each symbol may have a name as long as the file, and each version the maximum number of auxiliary entries, so that time and
// memory grow with the square of the file size. The checks in this file prevent this.

// maxVersions is the maximum size of a version table in bytes. That of glibc has less than 2 KiB.
const maxVersions = 64 << 10

// names limits the total length of the names of sections and symbols, in bytes.
type names struct{ left int }

// newNames returns the limit for a file of size bytes. It is far above what linkers produce by merging names with common
// suffixes.
func newNames(size int) *names { return &names{left: 16*size + 1<<20} }

// take counts the name at offset off of a string table. It returns false if the limit is exceeded.
func (n *names) take(table []byte, off uint32) bool {
	if uint64(off) >= uint64(len(table)) {
		return true // no name
	}
	table = table[off:]
	table = table[:min(len(table), n.left+1)]
	end := bytes.IndexByte(table, 0)
	if end < 0 {
		end = len(table)
	}
	n.left -= end
	return n.left >= 0
}

// checkSectionNames checks the names of sections before debug/elf copies them. Damaged tables are left to debug/elf.
func checkSectionNames(data []byte, n *names) error {
	h := data[:64]
	shoff, size, num, strndx := le64(h[0x28:]), uint64(le16(h[0x3a:])), uint64(le16(h[0x3c:])), uint64(le16(h[0x3e:]))
	if size < 64 || shoff > uint64(len(data)) {
		return nil
	}
	heads := data[shoff:]
	if num == 0 && len(heads) >= 64 { // gABI "ELF Header": large numbers are in the first section header
		num = le64(heads[0x20:])
		if strndx == uint64(elf.SHN_XINDEX) {
			strndx = uint64(le32(heads[0x28:]))
		}
	}
	if num > uint64(len(heads))/size || strndx >= num {
		return nil
	}
	str := heads[strndx*size:]
	off, length := le64(str[0x18:]), le64(str[0x20:])
	if elf.SectionFlag(le64(str[8:]))&elf.SHF_COMPRESSED != 0 {
		return fmt.Errorf("its table of section names is compressed")
	}
	if off > uint64(len(data)) || length > uint64(len(data))-off {
		return fmt.Errorf("its table of section names is beyond the file's end")
	}
	table := data[off : off+length]
	for i := range num {
		if !n.take(table, le32(heads[i*size:])) {
			return fmt.Errorf("the names of its sections overlap")
		}
	}
	return nil
}

// checkSymbolTables checks the tables that debug/elf reads for symbols and their versions.
func (f *File) checkSymbolTables(n *names) error {
	for _, s := range f.Sections {
		switch s.Type {
		case elf.SHT_SYMTAB, elf.SHT_DYNSYM:
			if err := f.checkSymbolNames(s, n); err != nil {
				return err
			}
		case elf.SHT_GNU_VERNEED:
			if !chainFits(s.Data, 2, 12) {
				return fmt.Errorf("section %s holds more than fits in it", s.Name)
			}
		case elf.SHT_GNU_VERDEF:
			if !chainFits(s.Data, 6, 16) {
				return fmt.Errorf("section %s holds more than fits in it", s.Name)
			}
		}
	}
	return nil
}

func (f *File) checkSymbolNames(s *Section, n *names) error {
	const symSize = 24
	if s.Link == 0 || int(s.Link) >= len(f.Sections) {
		return nil // debug/elf reports this
	}
	str := f.Sections[s.Link]
	if (s.Flags|str.Flags)&elf.SHF_COMPRESSED != 0 || str.Type != elf.SHT_STRTAB {
		return fmt.Errorf("section %s: its names are not in a string table", s.Name)
	}
	for d := s.Data; len(d) >= symSize; d = d[symSize:] {
		if !n.take(str.Data, le32(d)) {
			return fmt.Errorf("section %s: the names of its symbols overlap", s.Name)
		}
	}
	return nil
}

// chainFits reports whether the entries of a version table and their auxiliary entries fit into it. In an entry, the number
// of auxiliary entries is at offset count and the distance to the next entry at offset next. An auxiliary entry has at least
// 8 bytes.
func chainFits(d []byte, count, next int) bool {
	if len(d) > maxVersions {
		return false
	}
	parts := 0
	for i := 0; i+next+4 <= len(d); {
		parts += 1 + int(le16(d[i+count:]))
		step := int(le32(d[i+next:]))
		if step == 0 {
			break
		}
		i += step
	}
	return parts <= len(d)/8
}
