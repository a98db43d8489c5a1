// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits for ReadHead, in bytes.
const (
	maxProgs = 64 << 10 // program headers; the kernel rejects programs with more
	maxNotes = 64 << 10 // notes
	maxNames = 4 << 10  // section names, for HasSection
	headSize = 64
	progSize = 56
)

// Head identifies an ELF file without reading it completely: its headers and its build-id. The amount of data read is
// bounded, whatever sizes the file claims. Sections are not read.
type Head struct {
	Foreign string // description of a file that is not for 64-bit x86-64; all other fields are then unset
	BuildID []byte // nil if there is none
	Progs   []Prog
	head    [headSize]byte
}

// ReadHead reads the Head of a file. The error wraps ErrNotELF if the file is not an ELF file that can be a program; other
// errors are those of r.
func ReadHead(r io.ReaderAt) (*Head, error) {
	h := &Head{}
	n, err := readAt(r, h.head[:], 0)
	if err != nil && !errors.Is(err, ErrNotELF) {
		return nil, err
	}
	if h.Foreign = Foreign(h.head[:n]); h.Foreign != "" {
		return h, nil
	}
	if err != nil || string(h.head[:4]) != elf.ELFMAG {
		return nil, ErrNotELF
	}
	if err := h.readProgs(r); err != nil {
		return nil, err
	}
	return h, h.readNotes(r)
}

// readAt fills d. If the file is too short, the error is ErrNotELF.
func readAt(r io.ReaderAt, d []byte, off uint64) (int, error) {
	if off > 1<<62 {
		return 0, ErrNotELF
	}
	n, err := r.ReadAt(d, int64(off))
	switch {
	case n == len(d):
		return n, nil
	case err == nil || errors.Is(err, io.EOF):
		return n, ErrNotELF
	}
	return n, err
}

func (h *Head) readProgs(r io.ReaderAt) error {
	size := int(le16(h.head[0x38:])) * progSize
	if le16(h.head[0x36:]) != progSize || size > maxProgs {
		return fmt.Errorf("%w that a program could consist of: its program headers are not those of one", ErrNotELF)
	}
	table := make([]byte, size)
	if _, err := readAt(r, table, le64(h.head[0x20:])); err != nil {
		return err
	}
	for ; len(table) > 0; table = table[progSize:] {
		h.Progs = append(h.Progs, Prog{
			Type: elf.ProgType(le32(table)), Flags: elf.ProgFlag(le32(table[4:])), Off: le64(table[8:]), Vaddr: le64(table[16:]),
			Filesz: le64(table[32:]), Memsz: le64(table[40:]), Align: le64(table[48:]),
		})
	}
	return nil
}

func (h *Head) readNotes(r io.ReaderAt) error {
	left := uint64(maxNotes)
	for _, p := range h.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		if p.Filesz > left {
			return fmt.Errorf("%w that a program could consist of: it has more than %d bytes of notes", ErrNotELF, maxNotes)
		}
		left -= p.Filesz
		notes := make([]byte, p.Filesz)
		if _, err := readAt(r, notes, p.Off); err != nil {
			return err
		}
		if id := FindBuildID(notes, p.Align, binary.LittleEndian); id != nil {
			h.BuildID = bytes.Clone(id) // copied so that the notes can be freed
			return nil
		}
	}
	return nil
}

// Type returns the type in the ELF header: program, shared object or another one.
func (h *Head) Type() elf.Type { return elf.Type(le16(h.head[0x10:])) }

// Loaded returns the total number of bytes of the loadable segments in the file, according to the program headers. The file
// may contain fewer.
func (h *Head) Loaded() uint64 {
	sum := uint64(0)
	for _, p := range h.Progs {
		if p.Type == elf.PT_LOAD {
			if sum += p.Filesz; sum < p.Filesz {
				return ^uint64(0)
			}
		}
	}
	return sum
}

// Span returns the start and the end of the loadable segments in memory, page aligned; 0, 0 if there are none.
func (h *Head) Span() (start, end uint64) {
	const page = 0x1000
	start = ^uint64(0)
	for _, p := range h.Progs {
		if p.Type == elf.PT_LOAD {
			start, end = min(start, p.Vaddr&^(page-1)), max(end, (p.Vaddr+p.Memsz+page-1)&^(page-1))
		}
	}
	return min(start, end), end
}

// LoadSHA256 is like File.LoadSHA256 for a file with this head. It reads as many bytes as Loaded returns.
func (h *Head) LoadSHA256(r io.ReaderAt) ([]byte, error) {
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	for _, p := range h.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		for off, left := p.Off, p.Filesz; left > 0; {
			part := buf[:min(left, uint64(len(buf)))]
			if _, err := readAt(r, part, off); err != nil {
				return nil, err
			}
			sum.Write(part)
			off, left = off+uint64(len(part)), left-uint64(len(part))
		}
	}
	return sum.Sum(nil), nil
}

// HasSection reports whether the file has a section called name. A file with more than most sections counts as having none.
func (h *Head) HasSection(r io.ReaderAt, name string, most int) (bool, error) {
	num, index := int(le16(h.head[0x3c:])), int(le16(h.head[0x3e:]))
	if h.Foreign != "" || le16(h.head[0x3a:]) != headSize || num > most || index >= num {
		return false, nil
	}
	heads := make([]byte, num*headSize)
	if _, err := readAt(r, heads, le64(h.head[0x28:])); err != nil {
		return false, damagedIs(err)
	}
	table := heads[index*headSize:]
	names := make([]byte, min(le64(table[0x20:]), maxNames))
	if _, err := readAt(r, names, le64(table[0x18:])); err != nil {
		return false, damagedIs(err)
	}
	for ; len(heads) > 0; heads = heads[headSize:] {
		if at := le32(heads); uint64(at) < uint64(len(names)) && bytes.HasPrefix(names[at:], append([]byte(name), 0)) {
			return true, nil
		}
	}
	return false, nil
}

// damagedIs returns nil for an error which says that a part of the file is missing, and err otherwise.
func damagedIs(err error) error {
	if errors.Is(err, ErrNotELF) {
		return nil
	}
	return err
}
