// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"testing"
)

// note returns a note of owner GNU.
func note(typ uint32, desc []byte) []byte {
	d := binary.LittleEndian.AppendUint32(nil, 4)
	d = binary.LittleEndian.AppendUint32(d, uint32(len(desc)))
	d = append(binary.LittleEndian.AppendUint32(d, typ), "GNU\x00"...)
	d = append(d, desc...)
	return append(d, make([]byte, -len(d)&3)...)
}

// TestHostileBuildID checks that a build-id of excessive size is ignored.
func TestHostileBuildID(t *testing.T) {
	id := bytes.Repeat([]byte{7}, 20)
	for _, c := range []struct {
		name  string
		notes []byte
		want  []byte
	}{
		{"alone", note(ntGNUBuildID, id), id},
		{"behind another", append(note(5, []byte{1}), note(ntGNUBuildID, id)...), id},
		{"the longest", note(ntGNUBuildID, make([]byte, maxBuildID)), make([]byte, maxBuildID)},
		{"too long", note(ntGNUBuildID, make([]byte, maxBuildID+1)), nil},
		{"behind one that is too long", append(note(ntGNUBuildID, make([]byte, maxBuildID+1)), note(ntGNUBuildID, id)...), id},
		{"empty", note(ntGNUBuildID, nil), nil},
	} {
		got := FindBuildID(c.notes, 4, binary.LittleEndian)
		if !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
		}
	}
}

// TestHostileNotes checks that a file with an excessive amount of notes is rejected without reading them, and that only the
// build-id is retained of other notes.
func TestHostileNotes(t *testing.T) {
	id := bytes.Repeat([]byte{7}, 20)
	for size, want := range map[uint64]error{maxNotes: nil, maxNotes + 1: ErrNotELF} {
		data, le := make([]byte, headSize+progSize, headSize+progSize+maxNotes+1), binary.LittleEndian
		copy(data, "\x7fELF\x02\x01\x01")
		for at, v := range map[int]uint16{16: uint16(elf.ET_DYN), 18: uint16(elf.EM_X86_64), 0x34: 64, 0x36: progSize, 0x38: 1, 0x3a: 64} {
			le.PutUint16(data[at:], v)
		}
		le.PutUint32(data[20:], 1)
		le.PutUint64(data[0x20:], headSize)
		prog := data[headSize:]
		le.PutUint32(prog, uint32(elf.PT_NOTE))
		le.PutUint64(prog[8:], headSize+progSize)
		le.PutUint64(prog[32:], size)
		data = append(data, note(ntGNUBuildID, id)...)
		notes := &given{Reader: bytes.NewReader(data[:cap(data)])}
		h, err := ReadHead(notes)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes of notes: %v, want %v", size, err, want)
		}
		if err != nil {
			continue
		}
		if clear(notes.last); !bytes.Equal(h.BuildID, id) || cap(h.BuildID) > maxBuildID {
			t.Errorf("the build-id is %x, or keeps the notes", h.BuildID)
		}
	}
}

// given records up to which offset it was read.
type given struct {
	*bytes.Reader
	last []byte
}

func (g *given) ReadAt(d []byte, off int64) (int, error) {
	g.last = d
	return g.Reader.ReadAt(d, off)
}
