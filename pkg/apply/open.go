// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"fmt"
	"io"
	"os"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// Open opens, reads and checks a patch file.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return OpenFile(f)
}

// OpenFile is Open for a file that is open. It is closed with what is returned, or if that fails.
func OpenFile(f *os.File) (*File, error) {
	p, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return p, nil
}

// read checks the very file that the kernel will be given, not what is at its path later.
func read(f *os.File) (*File, error) {
	data, err := io.ReadAll(io.LimitReader(f, patch.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	p, err := patch.Read(data)
	if err != nil {
		return nil, err
	}
	return &File{Spec: p.Spec, Data: data, buildID: p.BuildID, file: f, sum: p.SHA256, segments: segments(p)}, nil
}

func segments(p *patch.File) []lpnl.Segment {
	var list []lpnl.Segment
	for _, s := range p.Segments() {
		list = append(list, lpnl.Segment{Offset: s.Offset, Vaddr: s.Vaddr, Size: s.Size, Prot: prots[s.Prot]})
	}
	return list
}

var prots = map[patch.Prot]lpnl.SegmentProt{
	patch.ProtR:  lpnl.SegmentProtRead,
	patch.ProtRX: lpnl.SegmentProtRead | lpnl.SegmentProtExec,
	patch.ProtRW: lpnl.SegmentProtRead | lpnl.SegmentProtWrite,
}
