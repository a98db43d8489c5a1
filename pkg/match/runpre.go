// SPDX-License-Identifier: GPL-2.0

package match

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// Match is the location of an old function in the image.
type Match struct {
	Name  string
	Start uint64 // image addresses, [Start, End)
	End   uint64
	last  uint64 // end of the compared code, which is in a patch if the image carries one that replaces the function
	sec   *lpelf.Section
	at    map[uint64]uint64 // offset in the object's section -> image address, for each instruction except no-ops
}

// errDiffers is wrapped by the error for code that differs from that of the target.
var errDiffers = errors.New("the target has other code")

// matcher compares the code of an old object with the image. Each reference must resolve to the address in the symbol table;
// if that has none, all references to a symbol must resolve to the same address.
type matcher struct {
	im      *Target
	obj     *diff.Object
	block   int
	matches map[*lpelf.Section]*Match
	bound   map[*lpelf.Symbol]uint64 // addresses of local symbols, learned from the image's code
	trail   []*lpelf.Symbol          // keys of bound in the order of insertion
	pending []jump
	unit    *unit                      // set for a finder: global symbols are learned as well
	tables  map[*lpelf.Section][]int64 // offsets of unnamed data that code refers to
	leads   Leads                      // if not nil, records the destinations of names, which may be arbitrary
	unnamed map[unnamedPlace]uint64    // if not nil, records the addresses of unnamed data
}

// jump is a reference to a location in code. It is checked after all code of the function has been compared.
type jump struct {
	from string
	sec  *lpelf.Section
	off  uint64
	to   uint64 // image address
}

func newMatcher(im *Target, obj *diff.Object, block int) *matcher {
	return &matcher{
		im: im, obj: obj, block: block, matches: map[*lpelf.Section]*Match{}, bound: map[*lpelf.Symbol]uint64{},
	}
}

// tableStarts returns, per section without symbols, the offsets that code refers to. Jump tables start there.
func tableStarts(obj *diff.Object) map[*lpelf.Section][]int64 {
	m := map[*lpelf.Section][]int64{}
	for _, s := range obj.Sections {
		if !s.IsText() {
			continue
		}
		for _, r := range obj.Refs(s) {
			if r.Sec != nil && !r.Sec.IsText() && (r.Sym == nil || r.Sym.Name == "") {
				m[r.Sec] = append(m[r.Sec], r.At)
			}
		}
	}
	return m
}

// function compares a function and its .cold part with the image. If they do not match completely, nothing is recorded.
func (m *matcher) function(f *lpelf.Symbol) error {
	err := m.whole(f, m.obj.Lookup(f.Name+".cold"))
	if err != nil {
		m.forget(f)
	}
	return err
}

// forget removes the match of a function and of its .cold part.
func (m *matcher) forget(f *lpelf.Symbol) {
	m.pending = nil
	delete(m.matches, m.obj.SectionOf(f))
	if cold := m.obj.Lookup(f.Name + ".cold"); cold != nil {
		delete(m.matches, m.obj.SectionOf(cold))
	}
}

// bind records the address of a symbol.
func (m *matcher) bind(s *lpelf.Symbol, addr uint64) {
	m.bound[s] = addr
	m.trail = append(m.trail, s)
}

// undo removes all recorded addresses except the first n.
func (m *matcher) undo(n int) {
	for _, s := range m.trail[n:] {
		delete(m.bound, s)
	}
	m.trail = m.trail[:n]
}

func (m *matcher) whole(f, cold *lpelf.Symbol) error {
	if err := m.one(f); err != nil {
		return err
	}
	if cold != nil {
		if err := m.one(cold); err != nil {
			return err
		}
	}
	for _, j := range m.pending {
		if err := m.checkJump(j); err != nil {
			return err
		}
	}
	m.pending = nil
	return nil
}

func (m *matcher) one(f *lpelf.Symbol) error {
	sec := m.obj.SectionOf(f)
	if sec == nil || m.matches[sec] != nil {
		return nil
	}
	addrs := m.addresses(f)
	if len(addrs) == 0 && m.unit != nil {
		addrs = m.unit.places[sec]
	}
	if len(addrs) == 0 {
		return fmt.Errorf("%w: no function %s in %s", errDiffers, f.Name, m.im.Path)
	}
	fits, err := 0, error(nil)
	var found *Match
	var pending []jump
	for _, a := range m.replaced(addrs) {
		// several statics share the name, so the code decides
		before, mark := len(m.pending), len(m.trail)
		if e := m.compare(f.Name, sec, a); e != nil {
			err = e
			m.undo(mark)
		} else if found == nil || found.Start != a {
			fits++
			found, pending = m.matches[sec], append([]jump{}, m.pending[before:]...)
		}
		m.pending = m.pending[:before]
		delete(m.matches, sec)
	}
	switch fits {
	case 0:
		return err
	case 1:
		m.matches[sec] = found
		m.pending = append(m.pending, pending...)
		return nil
	}
	return fmt.Errorf("%w: %d functions named %s in %s have this code, and the symbol table does not say of which source", errDiffers, fits, f.Name, m.im.Path)
}

// addresses returns the candidate addresses of a symbol of the object.
func (m *matcher) addresses(s *lpelf.Symbol) []uint64 {
	if a, ok := m.bound[s]; ok {
		return []uint64{a}
	}
	var out []uint64
	if m.numbered(s) && s.Type == elf.STT_OBJECT && s.Bind == elf.STB_LOCAL {
		return m.alike(s)
	}
	if m.isLateHidden(s) {
		for _, l := range m.im.LateLocals(s) {
			out = append(out, l.Value)
		}
		return out
	}
	if s.Bind != 0 || s.Section == 0 {
		if g := m.im.Global(s.Name); g != nil {
			out = append(out, g.Value)
		} else if m.unit != nil {
			if a, ok := m.unit.f.globals[s.Name]; ok {
				out = append(out, a)
			}
		}
		return out
	}
	for _, l := range m.locals(s) {
		out = append(out, l.Value)
	}
	return out
}

// locals returns the local symbols of the image that may correspond to a symbol of the object. An object that was joined from
// several ones (ld -r) has one block of the symbol table for each of them.
func (m *matcher) locals(s *lpelf.Symbol) []*lpelf.Symbol {
	if m.obj.IsLate() && !m.im.recovered {
		return m.im.LateLocals(s)
	}
	if m.block == 0 || m.im.recovered || s.File == m.obj.Source || len(m.im.Blocks(s.File)) == 0 {
		return m.im.Local(m.block, s.Name)
	}
	var out []*lpelf.Symbol
	for _, b := range m.im.Blocks(s.File) {
		out = append(out, m.im.Local(b, s.Name)...)
	}
	return out
}

// compare walks the instructions of the object and of the image in parallel. No-ops are treated as padding on both sides.
func (m *matcher) compare(name string, sec *lpelf.Section, addr uint64) error {
	start := addr
	addr = m.im.CodeOf(start)
	code := m.im.Code(addr)
	match := &Match{Name: name, Start: start, sec: sec, at: map[uint64]uint64{}}
	m.matches[sec] = match
	refs := m.obj.Refs(sec)
	pos, t := 0, 0
	for pos < len(sec.Data) {
		oi, err := m.obj.Arch.Decode(sec.Data[pos:])
		if err != nil {
			return fmt.Errorf("%s+%#x in %s: %w", name, pos, m.obj.Name, err)
		}
		var here []diff.Ref
		for len(refs) > 0 && refs[0].Off < uint64(pos+oi.Len) {
			here, refs = append(here, refs[0]), refs[1:]
		}
		if oi.Kind == arch.Nop && len(here) == 0 {
			pos += oi.Len
			continue
		}
		t += skipNops(m.im.Arch, code, t)
		if t >= len(code) {
			return fmt.Errorf("%w at %s+%#x: it ends there", errDiffers, name, pos)
		}
		if n := m.tlsSequence(sec.Data, pos, code[t:], here); n > 0 {
			match.at[uint64(pos)] = addr + uint64(t)
			pos, t = pos+n, t+n
			for len(refs) > 0 && refs[0].Off < uint64(pos) {
				refs = refs[1:]
			}
			continue
		}
		p := place{name: name, sec: sec, pos: pos, o: sec.Data[pos : pos+oi.Len], oi: oi, addr: addr + uint64(t)}
		if p.ti, err = m.im.Arch.Decode(code[t:]); err != nil {
			return fmt.Errorf("%w at %s+%#x: %w", errDiffers, name, pos, err)
		}
		p.t = code[t : t+p.ti.Len]
		match.at[uint64(pos)] = p.addr
		if err := m.insn(p, here); err != nil {
			return err
		}
		pos, t = pos+oi.Len, t+p.ti.Len
	}
	match.last = addr + uint64(t)
	if match.End = match.last; start != addr {
		match.End = m.im.EndOf(start)
	}
	return nil
}

// skipNops returns the length in bytes of the run of no-ops at code[t:].
func skipNops(a arch.Arch, code []byte, t int) (n int) {
	for _, in := range arch.Instructions(a, code[min(t, len(code)):]) {
		if in.Kind != arch.Nop {
			break
		}
		n += in.Len
	}
	return n
}

// place is a pair of corresponding instructions.
type place struct {
	name   string
	sec    *lpelf.Section
	pos    int
	o, t   []byte
	oi, ti arch.Insn
	addr   uint64 // address of the image's instruction
}

func (p place) differ() error {
	return fmt.Errorf("%w at %s+%#x (address %#x): it has % x, the old object has % x", errDiffers, p.name, p.pos, p.addr, p.t, p.o)
}

func (p place) wrongRef(r diff.Ref, actual uint64) error {
	what := "unnamed data"
	if r.Sym != nil && r.Sym.Name != "" {
		what = r.Sym.Name
	}
	return fmt.Errorf("%w at %s+%#x (address %#x): it refers to %#x, which is not %s", errDiffers, p.name, p.pos, p.addr, actual, what)
}

// end returns the image address after the instruction.
func (p place) end() uint64 { return p.addr + uint64(p.ti.Len) }

// insn compares one instruction.
func (m *matcher) insn(p place, refs []diff.Ref) error {
	if len(refs) == 0 {
		return m.plain(p)
	}
	if p.oi.IsBranch() {
		if !p.sameBranch() {
			return p.differ()
		}
		actual := p.end() + uint64(p.ti.Disp(p.t))
		if !m.refersTo(p, refs[0], actual) {
			return p.wrongRef(refs[0], actual)
		}
		return nil
	}
	if relaxed, err := m.relaxed(p, refs[0]); relaxed || err != nil {
		return err
	}
	if p.ti.Len != p.oi.Len || !bytes.Equal(mask(p, p.o, refs), mask(p, p.t, refs)) {
		return p.differ()
	}
	for _, r := range refs {
		if err := m.field(p, r); err != nil {
			return err
		}
	}
	return nil
}

// sameBranch reports whether both instructions are the same branch, in short or near form, with the same prefixes (bnd,
// notrack).
func (p place) sameBranch() bool {
	return p.ti.Kind == p.oi.Kind && p.ti.Cond == p.oi.Cond && bytes.Equal(p.o[:p.oi.Prefix], p.t[:p.ti.Prefix])
}

// plain compares an instruction without relocations: the bytes must be equal, or both must be branches within the function,
// in short or near form.
func (m *matcher) plain(p place) error {
	if p.oi.PCRel == 0 {
		if !bytes.Equal(p.o, p.t) {
			return p.differ()
		}
		return nil
	}
	if p.oi.IsBranch() {
		if !p.sameBranch() {
			return p.differ()
		}
	} else if k := p.oi.PCRelOff; p.ti.Len != p.oi.Len || p.ti.PCRelOff != k || !bytes.Equal(p.o[:k], p.t[:k]) || !bytes.Equal(p.o[k+4:], p.t[k+4:]) {
		return p.differ()
	}
	off := int64(p.pos+p.oi.Len) + p.oi.Disp(p.o)
	m.pending = append(m.pending, jump{from: fmt.Sprintf("%s+%#x", p.name, p.pos), sec: p.sec, off: uint64(off), to: p.end() + uint64(p.ti.Disp(p.t))})
	return nil
}

// mask returns an instruction with its relocated fields set to zero.
func mask(p place, code []byte, refs []diff.Ref) []byte {
	b := bytes.Clone(code)
	for _, r := range refs {
		k := int(r.Off) - p.pos
		for i := k; i < k+int(uint64(r.Type.Size)) && i < len(b); i++ {
			b[i] = 0
		}
	}
	return b
}

// checkJump reports whether a location in the object's code corresponds to the address that the image uses for it.
func (m *matcher) checkJump(j jump) error {
	match := m.matches[j.sec]
	if match == nil {
		return fmt.Errorf("%w at %s: it refers into %s, which has not been found", errDiffers, j.from, j.sec.Name)
	}
	if int64(j.off) < 0 || j.off > uint64(len(j.sec.Data)) {
		return fmt.Errorf("%w at %s: it refers outside %s", errDiffers, j.from, j.sec.Name)
	}
	off := j.off + uint64(skipNops(m.obj.Arch, j.sec.Data, int(j.off)))
	to := j.to + uint64(skipNops(m.im.Arch, m.im.Code(j.to), 0))
	if want, ok := match.at[off]; ok && want == to || off == uint64(len(j.sec.Data)) && j.to >= match.last {
		return nil
	}
	return fmt.Errorf("%w at %s: it branches to %#x, not to %s+%#x", errDiffers, j.from, j.to, match.Name, j.off)
}
