// SPDX-License-Identifier: GPL-2.0

package patch

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// MaxFileSize bounds a patch file; a bigger one is refused unread.
const MaxFileSize = 256 << 20

// MaxSections bounds the sections of a patch file, so that a file which has more is known to be none.
const MaxSections = 64

// ErrInvalid is wrapped by every error of Read that is about the content.
var ErrInvalid = errors.New("not a valid patch file")

// Prot is the protection of a segment, fixed from the start and never both writable and executable.
type Prot string

// The protections of a patch's segments.
const (
	ProtR  Prot = "r--"
	ProtRX Prot = "r-x"
	ProtRW Prot = "rw-"
)

// Segment is a part of the file to map. Offset and Vaddr are page aligned; Size is a multiple of the page size, and the
// file reaches as far.
type Segment struct {
	Offset uint64
	Vaddr  uint64
	Size   uint64
	Prot   Prot
}

// File is a patch file that has been read and checked.
type File struct {
	Spec     *Spec
	Data     []byte
	SHA256   [sha256.Size]byte // of the whole file
	BuildID  Hex
	segments []Segment
	elf      *lpelf.File
}

// Segments lists what is to be mapped, by ascending address.
func (f *File) Segments() []Segment { return append([]Segment{}, f.segments...) }

// Span is the size of the patch in memory in bytes, from address 0 to the end of its last segment.
func (f *File) Span() uint64 {
	last := f.segments[len(f.segments)-1]
	return last.Vaddr + last.Size
}

// Symbols returns the symbols of the patch, for people.
func (f *File) Symbols() []Symbol {
	var out []Symbol
	for _, s := range f.elf.Symbols {
		if s.Name != "" && s.Defined() && s.Type != elf.STT_FILE {
			name := s.Name
			if s.Version != "" { // a stub, NAME@plt
				name += "@" + s.Version
			}
			out = append(out, Symbol{Name: name, Addr: s.Value, Size: s.Size, Func: s.Type == elf.STT_FUNC, Local: s.Bind == elf.STB_LOCAL, File: s.File})
		}
	}
	return out
}

// Frames returns the unwind tables of the patch, .eh_frame, and their address; nil if it has none.
func (f *File) Frames() (addr uint64, data []byte) {
	s := f.elf.Section(".eh_frame")
	if s == nil || !f.inside(s.Addr, s.Size, ProtR) {
		return 0, nil
	}
	return s.Addr, s.Data
}

// BytesAt returns the patch's bytes from a virtual address to the end of its segment, as in the file, or nil.
func (f *File) BytesAt(vaddr uint64) []byte { return f.elf.BytesAt(vaddr) }

// Open reads and checks the patch file at path.
func Open(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(io.LimitReader(in, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Read checks data, which may come from anywhere, and keeps it. It never panics.
func Read(data []byte) (*File, error) {
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxFileSize)
	}
	ef, err := lpelf.Parse("patch", data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if ef.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%w: it is %s", ErrInvalid, ef.Kind())
	}
	if n := len(ef.Sections); n > MaxSections {
		return nil, fmt.Errorf("%w: it has %d sections; %d are possible", ErrInvalid, n, MaxSections)
	}
	f := &File{Data: data, SHA256: sha256.Sum256(data), BuildID: ef.BuildID(), elf: ef}
	if f.Spec, err = readSpec(ef); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if f.segments, err = readSegments(ef); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return f, nil
}

func readSpec(ef *lpelf.File) (*Spec, error) {
	sec := ef.Section(SpecSection)
	if sec == nil || sec.Data == nil {
		return nil, errors.New("it has no section " + SpecSection + ": it was not made by lpctl build")
	}
	spec, err := decodeSpec(sec.Data)
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", SpecSection, err)
	}
	return spec, nil
}

func decodeSpec(text []byte) (*Spec, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	spec := &Spec{}
	if err := d.Decode(spec); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the descriptor")
	}
	return spec, nil
}

// readSegments checks the PT_LOADs: page aligned, ascending, whole, backed by the file, W^X.
func readSegments(ef *lpelf.File) ([]Segment, error) {
	var out []Segment
	end := uint64(0)
	for _, p := range ef.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		s := Segment{Offset: p.Off, Vaddr: p.Vaddr, Size: (p.Memsz + arch.PageSize - 1) &^ (arch.PageSize - 1)}
		switch p.Flags {
		case elf.PF_R:
			s.Prot = ProtR
		case elf.PF_R | elf.PF_X:
			s.Prot = ProtRX
		case elf.PF_R | elf.PF_W:
			s.Prot = ProtRW
		default:
			return nil, fmt.Errorf("segment at %#x: protection %v is not allowed", p.Vaddr, p.Flags)
		}
		switch {
		case p.Off%arch.PageSize != 0 || p.Vaddr%arch.PageSize != 0:
			return nil, fmt.Errorf("segment at %#x is not page aligned", p.Vaddr)
		case p.Filesz != p.Memsz || p.Memsz == 0:
			return nil, fmt.Errorf("segment at %#x: %d bytes in the file, %d in memory", p.Vaddr, p.Filesz, p.Memsz)
		case p.Memsz > MaxFileSize || p.Vaddr > MaxFileSize || p.Off+s.Size > uint64(len(ef.Data)):
			return nil, fmt.Errorf("segment at %#x reaches beyond the file", p.Vaddr)
		case p.Vaddr < end || len(out) == 0 && p.Vaddr != 0:
			return nil, fmt.Errorf("segment at %#x is out of order", p.Vaddr)
		}
		end = s.Vaddr + s.Size
		out = append(out, s)
	}
	if len(out) == 0 || len(out) > MaxSegments {
		return nil, fmt.Errorf("it has %d loadable segments; 1 to %d are possible", len(out), MaxSegments)
	}
	return out, nil
}
