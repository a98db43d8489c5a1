// SPDX-License-Identifier: GPL-2.0

package apply

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"lpatch/pkg/lpnl"
	"lpatch/pkg/patch"
	"lpatch/pkg/proc"
)

// Mitigation is what a patch that is no fix does in a target.
type Mitigation struct {
	Function string
	Action   string // as patch.Mitigation has it
	Hits     uint64 // how often the function was called, as the target's memory has it: the target can write there
	Err      error  // why Hits could not be read
}

// Mitigations looks into the targets of a status: of each report it returns the mitigation, or nil for what is none. It looks at those
// only that may be one, at several at a time, and at none for long.
func (s *Session) Mitigations(status []lpnl.Report) []*Mitigation {
	out := make([]*Mitigation, len(status))
	var may []int
	for i, r := range status {
		if r.Functions == 1 && r.Values == 0 && r.MappedBytes == patch.MitigationSpan {
			may = append(may, i)
		}
	}
	files := fileCache{most: maxMitigation}
	proc.Each(len(may), func(i int) { out[may[i]] = s.mitigation(status[may[i]], &files) })
	return out
}

// mitigation holds on to the process, as Session.run does. One that has ended, or of which it cannot be told whether the patch is a
// mitigation, has none; and one that maps another file in its place does not say for which function it is.
func (s *Session) mitigation(r lpnl.Report, files *fileCache) *Mitigation {
	t, err := s.proc.Process(r.PID)
	if err != nil {
		return nil
	}
	held, err := s.proc.Hold(t)
	if err != nil {
		return nil
	}
	defer held.Close()
	v := s.view(t)
	f, err := s.readAt(v, r.MappedAt, files)
	if err != nil || f.Spec.Mitigation == nil || s.vouch(f, v, r) != nil {
		return nil
	}
	m := &Mitigation{Function: f.Spec.Functions[0].Symbol, Action: f.Spec.Mitigation.Action}
	m.Hits, m.Err = s.hits(v, r.MappedAt, f.Spec.Mitigation.Hits)
	if m.Err != nil && !held.Alive() {
		return nil
	}
	return m
}

// hits reads the word of a mitigation, if the target has the patch's own file there.
func (s *Session) hits(v *view, base, offset uint64) (uint64, error) {
	maps, err := v.maps()
	if err != nil {
		return 0, err
	}
	at := base + offset
	begin := slices.IndexFunc(maps, func(m proc.Mapping) bool { return m.Start == base })
	i := slices.IndexFunc(maps, func(m proc.Mapping) bool { return at >= m.Start && at+8 <= m.End })
	if begin < 0 || i < 0 || maps[i].Inode != maps[begin].Inode || maps[i].Dev != maps[begin].Dev || maps[i].Offset != offset-(at-maps[i].Start) {
		return 0, fmt.Errorf("process %d has something else where the patch counts", v.PID)
	}
	word, err := s.proc.ReadMemory(v.PID, at, 8)
	if err != nil {
		return 0, v.note(err)
	}
	return binary.LittleEndian.Uint64(word), nil
}

// maxMitigation bounds the file of a mitigation, with a signature, in bytes: what a target may have in its place is not read.
const maxMitigation = 256 << 10

// fileCache has the patch files that were read of targets.
type fileCache struct {
	sync.Mutex
	most uint64 // bytes of a file that is read; 0: as many as a patch may have
	of   map[proc.FileID]*PatchFile
}

func (c *fileCache) get(id proc.FileID) *PatchFile {
	c.Lock()
	defer c.Unlock()
	return c.of[id]
}

func (c *fileCache) put(id proc.FileID, f *PatchFile) {
	c.Lock()
	defer c.Unlock()
	if c.of == nil {
		c.of = map[proc.FileID]*PatchFile{}
	}
	c.of[id] = f
}
