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

// place is what a reference leads to, by what it is and not by its address.
type place struct {
	through string // the stub or word of the linker that it goes through: "PLT", "GOT"
	name    string // what the dynamic linker looks up, or a linker's mark; else "":
	piece   *piece // what has a name
	sec     *lpelf.Section
	addr    uint64
	off     int64 // from name or piece
}

// locate tells what is at an address.
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

// word is what a word of the GOT has.
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
	if int64(v) < 0 { // a thread-local variable's place, from where those of the program end
		return place{through: "GOT", name: "a thread-local variable"}
	}
	p := im.locateDirect(v)
	p.through = "GOT"
	return p
}

// locateDirect is locate for what a word of the linker has: that leads to no other one.
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

// threadPlace is the initial value of a thread-local variable.
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

// places are what a reference may mean, the likeliest first. The end of one thing is where another begins, and compilers bias
// addresses of arrays. table is where the unnamed table begins that it is in.
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

// pieceOf is the piece that a symbol names.
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

// extent is the room from an address without a name to the next place that something leads to, or that has a name.
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

// String says what it is, for messages.
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

// text is the string that bytes begin with, or "" if that is none that people write.
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

// origin is a part of an input section, by the linker's map.
type origin struct {
	start, end uint64
	file       string
	strings    bool // it has text, or what lld has merged, which may be
}

// origin names the object of an address, or "".
func (im *Image) origin(addr uint64) string {
	if o := im.originAt(addr); o != nil {
		return o.file
	}
	return ""
}

// mayBeText tells whether what is at an address can be a text that ends with a NUL: it is from a section of such, or the map does not
// say from which, as gold's does not of what it has merged. A table may begin like one.
func (im *Image) mayBeText(addr uint64) bool {
	o := im.originAt(addr)
	return o == nil || o.strings
}

// endOfOrigin is the end of what is at an address if what is behind it is another object's. Parts of .init are one function.
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
