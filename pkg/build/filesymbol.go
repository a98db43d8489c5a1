// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// fileSymbols returns the offsets in an object file of its STT_FILE symbols.
func fileSymbols(data []byte) []uint64 {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil || f.Class != elf.ELFCLASS64 {
		return nil
	}
	table := f.SectionByType(elf.SHT_SYMTAB)
	if table == nil {
		return nil
	}
	var out []uint64
	for at := table.Offset; at+elf.Sym64Size <= table.Offset+table.FileSize; at += elf.Sym64Size {
		if elf.ST_TYPE(data[at+4]) == elf.STT_FILE {
			out = append(out, at)
		}
	}
	return out
}

// nameSource renames the only STT_FILE symbol of an object. If an object has none, GNU ld assigns its static symbols to the
// name of the object file.
func nameSource(data []byte, name string) []byte {
	symbols := fileSymbols(data)
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil || len(symbols) != 1 {
		return data
	}
	table := f.SectionByType(elf.SHT_SYMTAB)
	names := f.Sections[table.Link]
	out := bytes.Clone(data)
	// append a copy of the string table with the new name
	text := append(bytes.Clone(data[names.Offset:names.Offset+names.FileSize]), name...)
	binary.LittleEndian.PutUint32(out[symbols[0]:], uint32(names.FileSize))
	const sectionOffset, sectionSize, headers, headerSize = 24, 32, 40, 58
	header := binary.LittleEndian.Uint64(out[headers:]) + uint64(table.Link)*uint64(binary.LittleEndian.Uint16(out[headerSize:]))
	binary.LittleEndian.PutUint64(out[header+sectionOffset:], uint64(len(out)))
	binary.LittleEndian.PutUint64(out[header+sectionSize:], uint64(len(text)+1))
	return append(append(out, text...), 0)
}
