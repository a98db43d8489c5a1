// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
)

// Open opens, reads and checks a patch file.
func Open(path string) (*PatchFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return OpenFile(f)
}

// OpenFile is Open for a file that is open. It is closed with what is returned, or if that fails.
func OpenFile(f *os.File) (*PatchFile, error) {
	p, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return p, nil
}

// read checks the very file that the kernel will be given, not what is at its path later.
func read(f *os.File) (*PatchFile, error) {
	data, err := io.ReadAll(io.LimitReader(f, patch.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	return parse(f, data)
}

func parse(f *os.File, data []byte) (*PatchFile, error) {
	p, err := patch.Read(data)
	if err != nil {
		return nil, err
	}
	return &PatchFile{Spec: p.Spec, Data: data, buildID: p.BuildID, file: f, sum: p.SHA256, segments: segments(p)}, nil
}

// smallFile bounds, in bytes, the patch files of which several are read at a time.
const smallFile = 1 << 20

// large is held while a larger one is read of a target, so that there is no more than one in memory.
var large sync.Mutex

// readMapped is read for what a target has mapped where a patch was, which may be any file by now: what has not the headers of a
// patch is not read, the target's look bounds how much is and for how long, and nobody is waited for. What the patch has in it is
// not kept.
func (s *Session) readMapped(v *view, f *os.File) (*PatchFile, error) {
	v.begin()
	defer v.end()
	switch id, err := identify(f); {
	case err != nil:
		return nil, err
	case !id.patch:
		return nil, errors.New("it is no patch")
	}
	p, err := newPages(f)
	if err != nil {
		return nil, err
	}
	if p.size > patch.MaxFileSize {
		return nil, fmt.Errorf("it has more than %d bytes", patch.MaxFileSize)
	}
	if p.size > smallFile {
		v.end() // to wait for others takes none of its own time
		large.Lock()
		defer large.Unlock()
		v.begin()
	}
	data, err := v.readAll(p, int(p.size))
	if err != nil {
		return nil, err
	}
	file, err := parse(f, data)
	if err != nil {
		return nil, err
	}
	file.Data, file.buildID = nil, bytes.Clone(file.buildID)
	return file, nil
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
