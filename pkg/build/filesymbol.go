// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// fileSymbols returns the places in an object of the symbols that name its sources.
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

// nameSource has the only such symbol of an object say another name. Of an object that has none, GNU ld gives that of the object
// to the program, where the statics are found by it.
func nameSource(data []byte, name string) []byte {
	symbols := fileSymbols(data)
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil || len(symbols) != 1 {
		return data
	}
	table := f.SectionByType(elf.SHT_SYMTAB)
	names := f.Sections[table.Link]
	out := bytes.Clone(data)
	// The names go to the end of the file, with one more.
	text := append(bytes.Clone(data[names.Offset:names.Offset+names.FileSize]), name...)
	binary.LittleEndian.PutUint32(out[symbols[0]:], uint32(names.FileSize))
	const sectionOffset, sectionSize, headers, headerSize = 24, 32, 40, 58
	header := binary.LittleEndian.Uint64(out[headers:]) + uint64(table.Link)*uint64(binary.LittleEndian.Uint16(out[headerSize:]))
	binary.LittleEndian.PutUint64(out[header+sectionOffset:], uint64(len(out)))
	binary.LittleEndian.PutUint64(out[header+sectionSize:], uint64(len(text)+1))
	return append(append(out, text...), 0)
}
