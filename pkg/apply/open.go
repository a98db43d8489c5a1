package apply

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// Open opens a patch file and reads its descriptor.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func read(f *os.File) (*File, error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	e, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	s := e.Section(".lpatch")
	if s == nil {
		return nil, fmt.Errorf("not a patch file: it has no section .lpatch")
	}
	text, err := s.Data()
	if err != nil {
		return nil, err
	}
	out := &File{file: f, sum: sha256.Sum256(data), Spec: &patch.Spec{}}
	if err := json.Unmarshal(text, out.Spec); err != nil {
		return nil, err
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			prot := lpnl.SegmentProt(0)
			if p.Flags&elf.PF_R != 0 {
				prot |= lpnl.SegmentProtRead
			}
			if p.Flags&elf.PF_W != 0 {
				prot |= lpnl.SegmentProtWrite
			}
			if p.Flags&elf.PF_X != 0 {
				prot |= lpnl.SegmentProtExec
			}
			out.segments = append(out.segments, lpnl.Segment{Offset: p.Off, Vaddr: p.Vaddr, Size: p.Memsz, Prot: prot})
		}
	}
	return out, nil
}
