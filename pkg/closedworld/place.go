// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// place is the target of a reference, described by what it is instead of by its address.
type place struct {
	through string // linker-generated indirection: "PLT", "GOT"
	name    string // symbol that the dynamic linker looks up, or a mark of the linker; else ""
	piece   *piece // piece with a symbol
	sec     *lpelf.Section
	addr    uint64
	off     int64 // relative to name or piece
}

// locate describes the location addr.
func (im *Image) locate(addr uint64) place {
	sec := im.sectionAt(addr)
	if sec == nil {
		return place{addr: addr}
	}
	switch {
	case strings.HasPrefix(sec.Name, ".plt"), strings.HasPrefix(sec.Name, ".iplt"):
		if slot, ok := im.slots.PLT[addr]; ok {
			return im.through("PLT", im.slots.ByVaddr[slot])
		}
		return place{through: "PLT", sec: sec, addr: addr}
	case strings.HasPrefix(sec.Name, ".got") && addr < sec.Addr+sec.Size:
		return im.word(sec, addr)
	case isMade(sec):
		return place{name: sec.Name, off: int64(addr - sec.Addr)}
	}
	return im.within(sec, addr)
}

func (im *Image) through(what string, s lpelf.Slot) place {
	if s.Symbol != "" {
		return place{through: what, name: versioned(s), off: s.Addend}
	}
	p := im.locateDirect(uint64(s.Addend))
	p.through = what
	return p
}

// word describes the target of a GOT word.
func (im *Image) word(sec *lpelf.Section, addr uint64) place {
	slot, ok := im.slots.ByVaddr[addr]
	switch {
	case ok && (slot.Type.Meaning == arch.ThreadSlot || slot.Type.Meaning == arch.Module || slot.Type.Meaning == arch.DescriptorWord):
		p := place{through: "GOT", name: versioned(slot), off: slot.Addend}
		if slot.Symbol == "" && slot.Type.Meaning != arch.Module {
			p = im.threadPlace(im.tls + uint64(slot.Addend))
			p.through = "GOT"
		}
		return p
	case ok:
		return im.through("GOT", slot)
	}
	b := bytesAt(sec, addr)
	if len(b) < 8 {
		return place{through: "GOT", sec: sec, addr: addr}
	}
	v := read(b, 8)
	if int64(v) < 0 { // offset of a thread-local variable from the thread pointer, at the end of the TLS block
		return place{through: "GOT", name: "a thread-local variable"}
	}
	p := im.locateDirect(v)
	p.through = "GOT"
	return p
}

// locateDirect is like locate, but does not follow PLT entries and GOT words.
func (im *Image) locateDirect(addr uint64) place {
	sec := im.sectionAt(addr)
	if sec == nil || isMade(sec) {
		return place{addr: addr, sec: sec}
	}
	return im.within(sec, addr)
}

func (im *Image) within(sec *lpelf.Section, addr uint64) place {
	p := place{sec: sec, addr: addr}
	if at, _ := im.pieceAt(sec, addr); at != nil {
		p.piece, p.off = at, int64(addr-at.start)
	}
	return p
}

// threadPlace describes the location of the initial value of a thread-local variable.
func (im *Image) threadPlace(addr uint64) place {
	for sec, list := range im.in {
		if sec.Flags&elf.SHF_TLS == 0 || len(list) == 0 {
			continue
		}
		if at, _ := im.pieceAt(sec, addr); at != nil {
			return place{sec: sec, addr: addr, piece: at, off: int64(addr - at.start)}
		}
	}
	return place{addr: addr}
}

// places returns the possible interpretations of a reference, most likely first. An address may be the end of one piece and
// the start of the next, and compilers bias the addresses of arrays. table is the start of the unnamed table that contains
// the reference.
func (im *Image) places(f *field, table uint64) []place {
	switch {
	case f.name != "":
		return []place{{name: f.name, off: f.add}}
	case f.offset:
		return []place{im.threadPlace(f.to)}
	}
	out := []place{im.locate(f.to)}
	if f.sym != nil && (isMark(f.sym.Name) || f.sym.Type == elf.STT_SECTION) && (out[0].through == "" || !f.word) {
		return []place{{name: f.sym.Name, off: int64(f.to - f.sym.Value)}}
	}
	if f.isTable && table != 0 && table != f.at {
		out = append(out, im.locate(f.to-f.at+table))
	}
	if p := im.pieceOf(f.sym); p != nil && p != out[0].piece && out[0].through == "" {
		return append([]place{{sec: p.sec, addr: f.to, piece: p, off: int64(f.to - p.start)}}, out...)
	}
	for _, p := range slices.Clone(out) {
		if p.sec == nil || p.through != "" {
			continue
		}
		at, next := im.pieceAt(p.sec, p.addr)
		if before, _ := im.pieceAt(p.sec, p.addr-1); before != nil && before != at {
			out = append(out, place{sec: p.sec, addr: p.addr, piece: before, off: int64(p.addr - before.start)})
		}
		if next != nil {
			out = append(out, place{sec: p.sec, addr: p.addr, piece: next, off: int64(p.addr - next.start)})
		}
	}
	return out
}

// pieceOf returns the piece that a symbol names.
func (im *Image) pieceOf(s *lpelf.Symbol) *piece {
	if s == nil {
		return nil
	}
	sec := im.SectionOf(s)
	if sec == nil {
		return nil
	}
	at, _ := im.pieceAt(sec, im.addressOf(s))
	return at
}

// extent returns the end of the data without a symbol at addr: the next address that has a symbol or is referenced.
func (im *Image) extent(sec *lpelf.Section, addr uint64) uint64 {
	end := sec.Addr + sec.Size
	if _, next := im.pieceAt(sec, addr); next != nil {
		end = min(end, next.start)
	}
	i, found := slices.BinarySearch(im.landings, addr)
	if found {
		i++
	}
	if i < len(im.landings) {
		end = min(end, im.landings[i])
	}
	return max(im.endOfOrigin(addr, end), addr)
}

// String describes the place for messages.
func (p place) String() string {
	what := ""
	switch {
	case p.name != "":
		what = p.name
	case p.piece != nil:
		what = p.piece.name()
	case p.sec == nil:
		return fmt.Sprintf("address %#x", p.addr)
	default:
		what = "something without a name in " + p.sec.Name
		if b := bytesAt(p.sec, p.addr); p.sec.Flags&(elf.SHF_EXECINSTR|elf.SHF_WRITE) == 0 {
			if s := text(b); s != "" {
				what = fmt.Sprintf("%q", s[:min(len(s), 40)])
			}
		}
	}
	if p.off != 0 {
		what += fmt.Sprintf("%+d", p.off)
	}
	if p.through != "" {
		what += " by the " + p.through
	}
	return what
}

// text returns the string at the start of b, or "" if it is not printable text.
func text(b []byte) string {
	for i, c := range b {
		switch {
		case c == 0:
			return string(b[:i])
		case c < ' ' && (c < '\a' || c > '\r') && c != 0x1b || c == 0x7f:
			return ""
		}
	}
	return ""
}

// origin is a part of an input section according to the link map.
type origin struct {
	start, end uint64
	file       string
	strings    bool // contains strings, or data merged by lld, which may be strings
}

// origin returns the object file that the content of addr came from, or "".
func (im *Image) origin(addr uint64) string {
	if o := im.originAt(addr); o != nil {
		return o.file
	}
	return ""
}

// mayBeText reports whether a NUL-terminated string may be at addr: its input section is a string section, or is not listed
// in the link map, as for sections merged by gold. A table may start with the same bytes as a string.
func (im *Image) mayBeText(addr uint64) bool {
	o := im.originAt(addr)
	return o == nil || o.strings
}

// endOfOrigin limits end to the end of the object file's contribution at addr. The contributions to .init form one function.
func (im *Image) endOfOrigin(addr, end uint64) uint64 {
	o := im.originAt(addr)
	if sec := im.sectionAt(addr); o == nil || sec == nil || sec.Name == ".init" || sec.Name == ".fini" {
		return end
	}
	return min(end, o.end)
}

func (im *Image) originAt(addr uint64) *origin {
	i, found := slices.BinarySearchFunc(im.origins, addr, func(o origin, a uint64) int { return cmp.Compare(o.start, a) })
	if !found {
		i--
	}
	if i < 0 || addr >= im.origins[i].end {
		return nil
	}
	return &im.origins[i]
}
