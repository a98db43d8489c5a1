// SPDX-License-Identifier: GPL-2.0

package match

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// field compares a relocated field in an instruction that has the same form in object and image.
func (m *matcher) field(p place, r diff.Ref) error {
	k := int(r.Off) - p.pos
	if k < 0 || k+int(uint64(r.Type.Size)) > len(p.t) {
		return p.differ()
	}
	if uint64(r.Type.Size) < 4 {
		return nil // too small for an address
	}
	v := int64(int32(binary.LittleEndian.Uint32(p.t[k:])))
	var actual uint64
	switch t := r.Type; {
	case t.Near(), t.Meaning == arch.Branch:
		actual = p.end() + uint64(v)
	case t.Short() && t.Signed:
		actual = uint64(v)
	case t.Short():
		actual = uint64(uint32(v))
	case t.Pointer():
		actual = binary.LittleEndian.Uint64(p.t[k:])
	case t.Meaning == arch.Word, t.Meaning == arch.ThreadWord:
		if !m.slotIs(p, r, p.end()+uint64(v)) {
			return p.wrongRef(r, p.end()+uint64(v))
		}
		return nil
	case t.Meaning == arch.ThreadOffset:
		if !m.tlsIs(r, v-r.Raw.Addend) {
			return p.wrongRef(r, uint64(v))
		}
		return nil
	case t.Meaning == arch.BlockOffset && t.Size == 4, t.Meaning == arch.GeneralDynamic, t.Meaning == arch.Descriptor:
		if !m.dynamicTLS(p, r, v) {
			return p.wrongRef(r, uint64(v))
		}
		return nil
	default:
		// other fields contain no address (first part of the local dynamic TLS model, sizes); the instruction itself matched
		return nil
	}
	if !m.refersTo(p, r, actual) {
		return p.wrongRef(r, actual)
	}
	return nil
}

// refersTo reports whether the target of reference r is at address actual of the image.
func (m *matcher) refersTo(p place, r diff.Ref, actual uint64) bool {
	if lit, ok := diff.Literal(r); ok {
		return bytes.HasPrefix(m.im.BytesAt(actual-uint64(lit.Off)), []byte(lit.Content))
	}
	if r.Sec != nil && r.Sec.IsText() && (r.Sym == nil || r.Add != 0 || r.Sec == p.sec) {
		m.pending = append(m.pending, jump{from: p.name, sec: r.Sec, off: uint64(r.At), to: actual})
		return true
	}
	if r.Sym == nil || r.Sym.Name == "" {
		if m.unnamed != nil {
			m.unnamed[unnamedPlace{r.Sec, r.At}] = actual
		}
		return r.Sec == nil || m.tableIs(p, r, actual)
	}
	if diff.ByContent(r.Sym) && r.Sec != nil {
		return m.contentIs(r, actual)
	}
	if m.note(r.Sym, m.im.LeadTo(actual-uint64(r.Add))) {
		return true
	}
	return m.symbolIs(r.Sym, actual-uint64(r.Add))
}

// symbolIs reports whether a symbol of the object is at addr: according to the symbol table, or through a PLT entry. A local
// symbol that the symbol table lacks is bound to the address at its first use.
func (m *matcher) symbolIs(s *lpelf.Symbol, addr uint64) bool {
	addr = m.im.EntryOf(addr)
	if slot, ok := m.im.Slots.PLT[addr]; ok {
		sl := m.im.Slots.ByVaddr[slot]
		if m.im.Same(s, sl.Symbol) {
			return true
		}
		if g := m.im.Global(s.Name); g != nil && sl.Type.Meaning == arch.Indirect && uint64(sl.Addend) == g.Value {
			return true
		}
	}
	addrs := m.addresses(s)
	for _, a := range addrs {
		if a == addr {
			if len(addrs) > 1 || m.numbered(s) {
				m.bind(s, addr) // several statics share the name, so the code decides
			}
			return true
		}
	}
	if s.Section == elf.SHN_UNDEF && m.im.IsWrap(s.Name, image.Lead{Vaddr: addr}) {
		return true
	}
	if len(addrs) == 0 && m.mayBind(s, addr) {
		m.bind(s, addr)
		return true
	}
	if len(addrs) == 0 && addr == 0 && s.Bind == elf.STB_WEAK && s.Section == elf.SHN_UNDEF {
		return true // undefined weak symbol
	}
	// a copy relocation places an imported variable in the image, under any of its names
	copied, ok := m.im.Slots.Copies[s.Name]
	return ok && copied == addr
}

// mayBind reports whether the first use of a symbol without a known address may bind it to addr.
func (m *matcher) mayBind(s *lpelf.Symbol, addr uint64) bool {
	if m.unit != nil {
		return m.unit.mayBe(s, addr)
	}
	return s.Bind == elf.STB_LOCAL && s.Section != elf.SHN_UNDEF
}

// contentIs compares a compiler-generated constant by its content.
func (m *matcher) contentIs(r diff.Ref, actual uint64) bool {
	want := r.Sec.Data
	if r.Sym.Value+r.Sym.Size > uint64(len(want)) {
		return false
	}
	want = want[r.Sym.Value : r.Sym.Value+r.Sym.Size]
	got := m.im.BytesAt(actual - uint64(r.Add))
	if len(r.Sec.Relocs) > 0 {
		return len(got) >= len(want)
	}
	return len(got) >= len(want) && bytes.Equal(got[:len(want)], want)
}

// tableIs compares unnamed data: jump table entries must lead to corresponding instructions, other bytes must be equal. The
// data extends to the next offset that code refers to. Entries of a PC-relative table are relative to its start.
func (m *matcher) tableIs(p place, r diff.Ref, actual uint64) bool {
	if m.tables == nil { // most matchers need none
		m.tables = tableStarts(m.obj)
	}
	start, end := r.At, int64(r.Sec.Size)
	for _, s := range m.tables[r.Sec] {
		if s > start && s < end {
			end = s
		}
	}
	if r.Sec.Type == elf.SHT_NOBITS || start < 0 || start > end || r.Sec.Flags&elf.SHF_WRITE != 0 && len(r.Sec.Relocs) == 0 {
		return true
	}
	want := bytes.Clone(r.Sec.Data[start:end])
	got := bytes.Clone(m.im.BytesAt(actual))
	last := int64(0)
	for _, e := range m.obj.Refs(r.Sec) {
		off := int64(e.Off) - start
		if off < 0 || off >= end-start {
			continue
		}
		if !m.entryIs(p, e, off, actual) {
			return false
		}
		size := int64(uint64(e.Type.Size))
		last = off + size
		for i := off; i < last && i < int64(len(want)) && i < int64(len(got)); i++ {
			want[i], got[i] = 0, 0
		}
	}
	if last > 0 {
		want = want[:min(last, int64(len(want)))]
	}
	return len(got) >= len(want) && bytes.Equal(got[:len(want)], want)
}

// entryIs compares the relocated entry at offset off of a table that the image has at address table.
func (m *matcher) entryIs(p place, e diff.Ref, off int64, table uint64) bool {
	at := table + uint64(off)
	var to uint64
	label := e.At
	switch {
	case e.Type.Near():
		b := m.im.BytesAt(at)
		if len(b) < 4 {
			return false
		}
		to = table + uint64(int64(int32(binary.LittleEndian.Uint32(b))))
		label -= off
	case e.Type.Pointer():
		v, ok := m.im.Pointer(at)
		if !ok {
			return e.Sec == nil
		}
		return m.refersTo(p, e, v)
	default:
		return false
	}
	if e.Sec != nil && e.Sec.IsText() {
		m.pending = append(m.pending, jump{from: p.name + " (jump table)", sec: e.Sec, off: uint64(label), to: to})
		return true
	}
	return m.refersTo(p, e, to+uint64(off)) // S + A, as for any other reference
}

// slotIs reports whether a GOT slot contains the address, or the TLS offset, of the target of r.
func (m *matcher) slotIs(p place, r diff.Ref, slot uint64) bool {
	s, ok := m.im.Slots.ByVaddr[slot]
	if ok && s.Symbol != "" {
		return r.Sym != nil && (m.note(r.Sym, image.Lead{Name: s.Symbol, Version: s.Version}) || m.im.Same(r.Sym, s.Symbol))
	}
	if r.Type.Meaning == arch.ThreadWord {
		if ok {
			return s.Type.Meaning == arch.ThreadSlot && m.tlsAt(r, uint64(s.Addend))
		}
		b := m.im.BytesAt(slot)
		return len(b) >= 8 && m.tlsIs(r, int64(binary.LittleEndian.Uint64(b)))
	}
	v, ok := m.im.Pointer(slot)
	return ok && m.refersTo(p, withoutAdd(r), v)
}

// withoutAdd removes the addend of a GOT reference, which applies to the slot and not to the symbol.
func withoutAdd(r diff.Ref) diff.Ref {
	if r.Sec != nil {
		r.At -= r.Add
	}
	r.Add = 0
	return r
}

// tlsIs reports whether off is the offset from the thread pointer of the variable that r refers to.
func (m *matcher) tlsIs(r diff.Ref, off int64) bool {
	value, ok := m.im.TLSValue(off)
	return ok && m.tlsAt(r, value)
}

// tlsAt reports whether the variable that r refers to has the given offset in the TLS block. If its offset is unknown, the
// first use determines it.
func (m *matcher) tlsAt(r diff.Ref, value uint64) bool {
	value -= uint64(tlsAdd(r))
	if s := m.tlsSymbol(r); s != nil {
		if s.Value == value && m.numbered(r.Sym) {
			m.bind(r.Sym, value)
		}
		return s.Value == value
	}
	tls := m.im.TLS()
	if r.Sym == nil || m.im.Named || tls == nil || value >= tls.Memsz {
		return false
	}
	if m.unit == nil {
		return r.Sym.Bind == elf.STB_LOCAL
	}
	if known := m.addresses(r.Sym); len(known) > 0 {
		return known[0] == value
	}
	m.bind(r.Sym, value)
	return true
}

// dynamicTLS compares the fields of the general and local dynamic TLS models. The latter also occurs in programs, where ld
// makes its offsets relative to the thread pointer.
func (m *matcher) dynamicTLS(p place, r diff.Ref, v int64) bool {
	if r.Type.Meaning == arch.BlockOffset {
		if m.im.Shared() {
			return m.tlsAt(r, uint64(v-r.Raw.Addend))
		}
		return m.tlsIs(r, v-r.Raw.Addend)
	}
	slot := p.end() + uint64(v)
	s, ok := m.im.Slots.ByVaddr[slot]
	if r.Type.Meaning == arch.Descriptor {
		return ok && s.Type.Meaning == arch.DescriptorWord && (s.Symbol != "" && r.Sym != nil && s.Symbol == r.Sym.Name || s.Symbol == "" && m.tlsAt(r, uint64(s.Addend)))
	}
	switch {
	case !ok || s.Type.Meaning != arch.Module:
		return false
	case s.Symbol != "":
		return r.Sym != nil && s.Symbol == r.Sym.Name
	}
	b := m.im.BytesAt(slot + 8)
	return len(b) >= 8 && m.tlsAt(r, binary.LittleEndian.Uint64(b))
}

// tlsAdd returns the offset within the variable, for a reference through a section symbol.
func tlsAdd(r diff.Ref) int64 {
	if r.Raw.Sym.Type == elf.STT_SECTION && r.Sym != nil {
		return r.Add - r.Raw.Addend
	}
	return 0
}

func (m *matcher) tlsSymbol(r diff.Ref) *lpelf.Symbol {
	if r.Sym == nil {
		return nil
	}
	if g := m.im.Global(r.Sym.Name); g != nil && r.Sym.Bind != elf.STB_LOCAL && !m.isLateHidden(r.Sym) {
		return g
	}
	if l := m.locals(r.Sym); len(l) == 1 {
		return l[0]
	}
	return nil
}

// relaxed compares a load from the GOT that the linker has rewritten because it knew the address (psABI, "Optimize GOTPCRELX
// Relocations") or the TLS offset ("Thread-Local Storage Linker Optimization").
func (m *matcher) relaxed(p place, r diff.Ref) (bool, error) {
	switch r.Type.Meaning {
	case arch.Word, arch.ThreadWord:
	case arch.Descriptor, arch.DescriptorCall:
		return m.relaxedDescriptor(p, r)
	default:
		return false, nil
	}
	v, kind := m.obj.Arch.Relaxed(p.o, p.t, p.oi, p.ti)
	var ok bool
	var actual uint64
	switch kind {
	case arch.NotRelaxed:
		return false, nil
	case arch.ToNear:
		actual = p.end() + uint64(v)
		ok = m.refersTo(p, withoutAdd(r), actual)
	case arch.ToNumber:
		actual = uint64(v)
		if r.Type.Meaning == arch.ThreadWord {
			ok = m.tlsIs(r, v)
		} else {
			ok = m.refersTo(p, withoutAdd(r), actual)
		}
	}
	if !ok {
		return true, p.wrongRef(r, actual)
	}
	return true, nil
}
