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

// MaxFileSize is the maximum size of a patch file in bytes. Open rejects a larger file without reading it.
const MaxFileSize = 256 << 20

// MaxSections is the maximum number of sections of a patch file. A file with more sections cannot be a patch.
const MaxSections = 64

// ErrInvalid is wrapped by every error of Read that concerns the content of the file.
var ErrInvalid = errors.New("not a valid patch file")

// Prot is the protection of a segment. It never changes after mapping, and is never both writable and executable.
type Prot string

// The protections of a patch's segments.
const (
	ProtR  Prot = "r--"
	ProtRX Prot = "r-x"
	ProtRW Prot = "rw-"
)

// Segment is a PT_LOAD segment of a patch file. Offset and Vaddr are page aligned, Size is a multiple of the page size, and
// all Size bytes are present in the file.
type Segment struct {
	Offset uint64
	Vaddr  uint64
	Size   uint64
	Prot   Prot
}

// File is a patch file that has been read and validated.
type File struct {
	Spec     *Spec
	Data     []byte
	SHA256   [sha256.Size]byte // of the whole file
	BuildID  Hex
	segments []Segment
	elf      *lpelf.File
}

// Segments returns the segments to map, sorted by address.
func (f *File) Segments() []Segment { return append([]Segment{}, f.segments...) }

// Span returns the size of the patch in memory in bytes: from address 0 to the end of its last segment.
func (f *File) Span() uint64 {
	last := f.segments[len(f.segments)-1]
	return last.Vaddr + last.Size
}

// Symbols returns the symbol table of the patch. It is meant for diagnostics and for debuggers.
func (f *File) Symbols() []Symbol {
	var out []Symbol
	for _, s := range f.elf.Symbols {
		if s.Name != "" && s.Defined() && s.Type != elf.STT_FILE {
			name := s.Name
			if s.Version != "" { // the symbol of a stub: NAME@plt
				name += "@" + s.Version
			}
			out = append(out, Symbol{Name: name, Addr: s.Value, Size: s.Size, Func: s.Type == elf.STT_FUNC, Local: s.Bind == elf.STB_LOCAL, File: s.File})
		}
	}
	return out
}

// Frames returns the unwind tables of the patch (.eh_frame) and their address. data is nil if there are none.
func (f *File) Frames() (addr uint64, data []byte) {
	s := f.elf.Section(".eh_frame")
	if s == nil || !f.inside(s.Addr, s.Size, ProtR) {
		return 0, nil
	}
	return s.Addr, s.Data
}

// BytesAt returns the file content from vaddr to the end of its segment, or nil if no segment contains vaddr.
func (f *File) BytesAt(vaddr uint64) []byte { return f.elf.BytesAt(vaddr) }

// Open reads and validates the patch file at path. Errors about its content wrap ErrInvalid.
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

// Read parses and validates data, which is untrusted and is retained by the returned File. It never panics. Errors wrap
// ErrInvalid.
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

// readSegments reads the PT_LOAD headers and checks that they are page aligned, ascending, backed by the file in full, and
// never both writable and executable.
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
