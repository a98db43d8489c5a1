// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"lpatch/pkg/testutil/fuzztest"
)

// TestHostile checks that a file in which each name is as long as the file, or each section covers it, is rejected before it
// is read.
func TestHostile(t *testing.T) {
	const count, length = 4000, 64 << 10
	long := append(bytes.Repeat([]byte{'n'}, length), 0)
	for name, tt := range map[string]struct {
		make func(h *hostile)
		want string
	}{
		"symbols": {func(h *hostile) {
			h.replace(elf.SHT_SYMTAB, make([]byte, 24*count))
			h.replace(elf.SHT_STRTAB, long)
		}, "the names of its symbols overlap"},
		"sections": {func(h *hostile) {
			heads := bytes.Repeat(h.data[h.shoff:h.shoff+64], count)
			h.replace(elf.SHT_STRTAB, long)
			copy(heads[64:], h.head(h.last(elf.SHT_STRTAB))[:64])
			h.put(0x28, 8, uint64(len(h.data)))
			h.put(0x3c, 2, count)
			h.put(0x3e, 2, 1)
			h.data = append(h.data, heads...)
		}, "the names of its sections overlap"},
		"one section twice": {func(h *hostile) {
			for i := range h.number() {
				copy(h.head(i)[0x18:0x28], h.head(h.last(elf.SHT_STRTAB))[0x18:0x28])
			}
			h.data = append(h.data, long...)
			for i := range h.number() {
				binary.LittleEndian.PutUint64(h.head(i)[0x20:], uint64(len(long)))
			}
		}, "shares bytes with another"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := fuzztest.Objects(t)
			if len(objects) == 0 {
				t.Skip("there is no compiler")
			}
			h := newHostile(objects[0])
			tt.make(h)
			fuzztest.Bounded(t, len(h.data), func() {
				if _, err := Parse("x.o", h.data); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one that says %q", err, tt.want)
				}
			})
		})
	}
}

// hostile is an object that is modified to be malicious.
type hostile struct {
	data  []byte
	shoff uint64
}

func newHostile(object []byte) *hostile { return &hostile{data: object, shoff: le64(object[0x28:])} }

func (h *hostile) number() int { return int(le16(h.data[0x3c:])) }

func (h *hostile) head(i int) []byte { return h.data[h.shoff+64*uint64(i):] }

// last returns the index of the last section of a type.
func (h *hostile) last(typ elf.SectionType) int {
	last := -1
	for i := range h.number() {
		if elf.SectionType(le32(h.head(i)[4:])) == typ {
			last = i
		}
	}
	return last
}

func (h *hostile) put(off, size int, v uint64) {
	b := binary.LittleEndian.AppendUint64(nil, v)
	copy(h.data[off:], b[:size])
}

// replace sets the content of all sections of a type, except the section name table.
func (h *hostile) replace(typ elf.SectionType, content []byte) {
	names := int(le16(h.data[0x3e:]))
	for i := range h.number() {
		if elf.SectionType(le32(h.head(i)[4:])) != typ || i == names && h.last(typ) != i {
			continue
		}
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(h.data)))
		b = binary.LittleEndian.AppendUint64(b, uint64(len(content)))
		copy(h.head(i)[0x18:], b)
		h.data = append(h.data, content...)
	}
}

// TestChainFits checks that the entries of a version table and their auxiliary entries are counted.
func TestChainFits(t *testing.T) {
	entry := func(parts uint16, next uint32) []byte {
		b := make([]byte, 16)
		binary.LittleEndian.PutUint16(b[2:], parts)
		binary.LittleEndian.PutUint32(b[12:], next)
		return b
	}
	for _, tt := range []struct {
		name string
		data []byte
		want bool
	}{
		{"none", nil, true},
		{"two", append(entry(0, 16), entry(0, 0)...), true},
		{"one byte after the other", append(entry(0, 1), bytes.Repeat([]byte{0}, 64)...), true},
		{"one every four bytes", bytes.Repeat([]byte{4, 0, 0, 0}, 64), false},
		{"too many parts", append(entry(9, 16), entry(0, 0)...), false},
		{"too long", make([]byte, maxVersions+1), false},
	} {
		if got := chainFits(tt.data, 2, 12); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
