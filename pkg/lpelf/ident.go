// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"strings"
)

// ntGNUBuildID is NT_GNU_BUILD_ID of <elf.h>.
const ntGNUBuildID = 3

// maxBuildID is the maximum size of a build-id in bytes. Linkers generate 8 to 32.
const maxBuildID = 64

// BuildID returns the content of the GNU build-id note, or nil.
func (f *File) BuildID() []byte {
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE && p.Off+p.Filesz >= p.Off && p.Off+p.Filesz <= uint64(len(f.Data)) {
			if id := FindBuildID(f.Data[p.Off:p.Off+p.Filesz], p.Align, binary.LittleEndian); id != nil {
				return id
			}
		}
	}
	if s := f.Section(".note.gnu.build-id"); s != nil {
		return FindBuildID(s.Data, 4, binary.LittleEndian)
	}
	return nil
}

// FindBuildID returns the GNU build-id in the notes of a segment or section, or nil (gABI "Note Section"; entries are padded
// to 8 bytes if align is 8). A build-id that is empty or longer than maxBuildID is ignored. The result is a slice of d.
func FindBuildID(d []byte, align uint64, order binary.ByteOrder) []byte {
	return findNote(d, align, order, ntGNUBuildID, func(desc []byte) bool { return len(desc) > 0 && len(desc) <= maxBuildID })
}

// findNote returns the descriptor of the first GNU note of type want that fits accepts.
func findNote(d []byte, align uint64, order binary.ByteOrder, want uint32, fits func(desc []byte) bool) []byte {
	pad := uint64(4)
	if align == 8 {
		pad = 8
	}
	up := func(n uint64) uint64 { return (n + pad - 1) &^ (pad - 1) }
	for len(d) >= 12 {
		namesz, descsz, typ := uint64(order.Uint32(d)), uint64(order.Uint32(d[4:])), order.Uint32(d[8:])
		desc := up(12 + namesz)
		end := desc + descsz
		if end > uint64(len(d)) {
			return nil
		}
		if typ == want && bytes.Equal(d[12:12+namesz], []byte("GNU\x00")) && fits(d[desc:end]) {
			return d[desc:end:end]
		}
		next := up(end)
		if next > uint64(len(d)) {
			return nil
		}
		d = d[next:]
	}
	return nil
}

// ShadowStack reports whether the file is marked as compatible with shadow stacks (psABI, GNU_PROPERTY_X86_FEATURE_1_SHSTK).
// Its functions must then return to the address after the call.
func (f *File) ShadowStack() bool {
	const typeProperty, feature1, shstk = 5, 0xc0000002, 2
	s := f.Section(".note.gnu.property")
	if s == nil {
		return false
	}
	return findNote(s.Data, 8, binary.LittleEndian, typeProperty, func(d []byte) bool {
		for len(d) >= 8 {
			size := (uint64(le32(d[4:])) + 7) &^ 7
			if size > uint64(len(d)-8) {
				return false
			}
			if le32(d) == feature1 && size > 0 && d[8]&shstk != 0 {
				return true
			}
			d = d[8+size:]
		}
		return false
	}) != nil
}

// LoadSHA256 returns the SHA-256 of the file content of the PT_LOAD segments, in order. It identifies an image without a
// build-id.
func (f *File) LoadSHA256() []byte {
	h := sha256.New()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			h.Write(f.Data[p.Off : p.Off+p.Filesz])
		}
	}
	return h.Sum(nil)
}

// dynamicEntry is an entry of the dynamic section.
type dynamicEntry struct {
	tag   elf.DynTag
	value uint64
}

// dynamicEntries returns the entries of the dynamic section before DT_NULL.
func (f *File) dynamicEntries() []dynamicEntry {
	var out []dynamicEntry
	for _, p := range f.Progs {
		if p.Type != elf.PT_DYNAMIC || p.Off+p.Filesz < p.Off || p.Off+p.Filesz > uint64(len(f.Data)) {
			continue
		}
		for d := f.Data[p.Off : p.Off+p.Filesz]; len(d) >= 16; d = d[16:] {
			e := dynamicEntry{elf.DynTag(le64(d)), le64(d[8:])}
			if e.tag == elf.DT_NULL {
				return out
			}
			out = append(out, e)
		}
	}
	return out
}

// Dynamic returns the value of the first dynamic entry with this tag.
func (f *File) Dynamic(tag elf.DynTag) (uint64, bool) {
	for _, e := range f.dynamicEntries() {
		if e.tag == tag {
			return e.value, true
		}
	}
	return 0, false
}

// dynamicString returns the string that the first dynamic entry with this tag refers to, or "".
func (f *File) dynamicString(tag elf.DynTag) string {
	off, ok := f.Dynamic(tag)
	if !ok {
		return ""
	}
	strtab, ok := f.Dynamic(elf.DT_STRTAB)
	if !ok {
		return ""
	}
	return f.cstring(strtab + off)
}

// Soname returns DT_SONAME, or "".
func (f *File) Soname() string { return f.dynamicString(elf.DT_SONAME) }

// Needed returns the names of the libraries that the file needs (DT_NEEDED), in order.
func (f *File) Needed() []string {
	strtab, ok := f.Dynamic(elf.DT_STRTAB)
	if !ok {
		return nil
	}
	var out []string
	for _, e := range f.dynamicEntries() {
		if e.tag == elf.DT_NEEDED {
			out = append(out, f.cstring(strtab+e.value))
		}
	}
	return out
}

// RunPath returns the library search path of the file (DT_RUNPATH, else DT_RPATH), with $ORIGIN replaced by the directory of
// the file.
func (f *File) RunPath() []string {
	list := f.dynamicString(elf.DT_RUNPATH)
	if list == "" {
		list = f.dynamicString(elf.DT_RPATH)
	}
	if list == "" {
		return nil
	}
	origin := filepath.Dir(f.Path)
	return strings.Split(strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(list), ":")
}

// DebugLink returns the name and the CRC-32 of the separate debug file. They are in section .gnu_debuglink, which strip and
// dh_strip write: the name, padded to 4 bytes, and the checksum. name is "" if there is none.
func (f *File) DebugLink() (name string, sum uint32) {
	s := f.Section(".gnu_debuglink")
	if s == nil {
		return "", 0
	}
	n := bytes.IndexByte(s.Data, 0)
	at := (n + 4) &^ 3
	if n <= 0 || at+4 > len(s.Data) {
		return "", 0
	}
	return string(s.Data[:n]), le32(s.Data[at:])
}

// PIE reports whether the file is marked as a position-independent executable (DF_1_PIE).
func (f *File) PIE() bool {
	flags, _ := f.Dynamic(elf.DT_FLAGS_1)
	return elf.DynFlag1(flags)&elf.DF_1_PIE != 0
}

// Symbolic reports whether references in the file prefer its own definitions (DF_SYMBOLIC).
func (f *File) Symbolic() bool {
	if _, ok := f.Dynamic(elf.DT_SYMBOLIC); ok {
		return true
	}
	flags, _ := f.Dynamic(elf.DT_FLAGS)
	return elf.DynFlag(flags)&elf.DF_SYMBOLIC != 0
}

// BindNow reports whether the dynamic linker fills in every PLT slot before the program starts (DF_BIND_NOW, DF_1_NOW).
func (f *File) BindNow() bool {
	if _, ok := f.Dynamic(elf.DT_BIND_NOW); ok {
		return true
	}
	flags, _ := f.Dynamic(elf.DT_FLAGS)
	flags1, _ := f.Dynamic(elf.DT_FLAGS_1)
	return elf.DynFlag(flags)&elf.DF_BIND_NOW != 0 || flags1&1 != 0
}

// cstring returns the NUL-terminated string at a virtual address, or "".
func (f *File) cstring(vaddr uint64) string {
	b := f.BytesAt(vaddr)
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i])
	}
	return ""
}

// BytesAt returns the file content from a virtual address to the end of the segment's part in the file, or nil.
func (f *File) BytesAt(vaddr uint64) []byte {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && vaddr >= p.Vaddr && vaddr-p.Vaddr < p.Filesz {
			return f.Data[p.Off+vaddr-p.Vaddr : p.Off+p.Filesz]
		}
	}
	return nil
}

// Segment returns the PT_LOAD segment that contains a virtual address, or nil.
func (f *File) Segment(vaddr uint64) *Prog {
	for i := range f.Progs {
		p := &f.Progs[i]
		if p.Type == elf.PT_LOAD && vaddr >= p.Vaddr && vaddr-p.Vaddr < p.Memsz {
			return p
		}
	}
	return nil
}

// TLS returns the PT_TLS segment, or nil.
func (f *File) TLS() *Prog {
	for i := range f.Progs {
		if f.Progs[i].Type == elf.PT_TLS {
			return &f.Progs[i]
		}
	}
	return nil
}
