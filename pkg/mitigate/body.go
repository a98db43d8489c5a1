// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"sort"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/ehframe"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/patch"
)

// body is the new code before its address is known.
type body struct {
	m     *maker
	code  []byte
	field uint64 // offset in code of the displacement of the counter
	count uint64 // end of the instruction with this displacement
	steps []ehframe.Step
	refs  []arch.MovedRef
	words []uint64 // addresses in the image, for references that require a word
}

// body generates the code that the site jumps to.
func (m *maker) body(site uint64) (*body, error) {
	b := &body{m: m}
	b.code, b.field = m.im.Arch.Count()
	b.count = uint64(len(b.code))
	switch m.act.kind {
	case answer:
		b.code = append(b.code, m.im.Arch.Return(m.act.number)...)
	case trap:
		b.code = append(b.code, m.im.Arch.Trap()...)
	default:
		return b, b.goOn(site)
	}
	return b, nil
}

// goOn relocates the overwritten instructions and continues after them.
func (b *body) goOn(site uint64) error {
	m := b.m
	rules, err := m.rules()
	if err != nil {
		return err
	}
	end, err := b.moveAll(site, rules)
	if err != nil {
		return err
	}
	return m.checkEntries(site, end, rules)
}

// moveAll relocates instructions until there is room for a jump or the code does not fall through. It returns the address of
// the next instruction.
func (b *body) moveAll(site uint64, rules *ehframe.Rules) (end uint64, err error) {
	m := b.m
	from := m.fn.start
	for at, size := site, m.im.JumpSize(); ; from = at {
		if at >= site+size {
			code, field := m.im.Arch.Jump()
			b.addSteps(rules, from, at)
			b.add(arch.Moved{Code: code, Refs: []arch.MovedRef{{Field: field, End: uint64(len(code)), To: at}}})
			return at, nil
		}
		code := m.im.Code(at)
		in, err := m.im.Arch.Decode(code)
		if err != nil || at+uint64(in.Len) > m.fn.end {
			return 0, m.refuse(codes.CannotMove, "the instruction at %#x is not understood; use --return or --trap", at)
		}
		moved, err := m.im.Arch.Move(code, at)
		if err != nil {
			return 0, m.refuse(codes.CannotMove, "the instruction at %#x cannot be moved: %v; use --return or --trap", at, err)
		}
		next := at + uint64(in.Len)
		b.addSteps(rules, from, next-1)
		switch in.Kind {
		case arch.Call, arch.CallInd:
			return next, b.addCall(moved, rules, at, next, site+size)
		case arch.Jmp, arch.JmpInd, arch.Ret:
			b.add(moved)
			return max(next, site+size), nil
		}
		b.add(moved)
		at = next
	}
}

// add appends code and its references.
func (b *body) add(moved arch.Moved) {
	at := uint64(len(b.code))
	for _, r := range moved.Refs {
		r.Field, r.End = r.Field+at, r.End+at
		if r.Word {
			b.words = append(b.words, r.To)
		}
		b.refs = append(b.refs, r)
	}
	b.code = append(b.code, moved.Code...)
}

// addCall adds a call that returns into the function itself, which must not be to overwritten bytes. It consists of two
// instructions; the stack is one word deeper at the second one.
func (b *body) addCall(moved arch.Moved, rules *ehframe.Rules, at, back, free uint64) error {
	m := b.m
	if back < free {
		return m.refuse(codes.CannotMove, "the call at %#x returns to bytes that are overwritten; use --return or --trap", at)
	}
	if m.im.ShadowStack() {
		return m.refuse(codes.CannotMove, "the call at %#x cannot be moved, for the file is marked to run with a shadow stack (-fcf-protection); use --return or --trap", at)
	}
	push := moved.Refs[0].End
	if rule, ok := rules.CFAAt(at - m.fn.start).PushOne(); ok {
		b.steps = append(b.steps, ehframe.Step{At: uint64(len(b.code)) + push, Rule: rule})
	}
	b.add(moved)
	return nil
}

// addSteps copies the call frame instructions with locations in [from, to] to the end of the code.
func (b *body) addSteps(rules *ehframe.Rules, from, to uint64) {
	for _, s := range rules.Steps {
		if at := b.m.fn.start + s.At; at >= from && at <= to {
			b.steps = append(b.steps, ehframe.Step{At: uint64(len(b.code)), Rule: s.Rule})
		}
	}
}

// checkInto refuses a function if code outside of it branches to the overwritten bytes. It applies to all actions.
func (m *maker) checkInto(site uint64) error {
	free := site + m.im.JumpSize()
	into := func(to uint64) bool { return to > site && to < free }
	if users := m.im.UsersOf(site+1, free); len(users) > 0 {
		return m.refuse(codes.CannotMove, "%s leads to the bytes that are overwritten; choose one that calls it", m.im.Place(users[0]))
	}
	for at, s := range m.im.Slots.ByVaddr {
		if s.Type.Meaning == arch.Relative && into(uint64(s.Addend)) {
			return m.refuse(codes.CannotMove, "the pointer at %#x leads to the bytes that are overwritten; choose one that calls it", at)
		}
	}
	var named []string
	m.eachSymbol(func(s *lpelf.Symbol) {
		if into(s.Value) {
			named = append(named, s.Name)
		}
	})
	if len(named) > 0 {
		return m.refuse(codes.CannotMove, "%s begins in the bytes that are overwritten; choose one that calls it", slices.Min(named))
	}
	return nil
}

// checkEntries proves that the function itself does not branch to the overwritten bytes, because all following code remains
// in use.
func (m *maker) checkEntries(site, end uint64, rules *ehframe.Rules) error {
	again := false
	for p := range m.parts(m.isOwn) {
		loops, err := m.checkPart(p, site, end, rules)
		if err != nil {
			return err
		}
		again = again || loops
	}
	if again {
		m.warn("it jumps back to its start, so that each pass of that loop counts as a call")
	}
	return nil
}

// checkPart does this for one part, and reports whether the part jumps back to the start of the function.
func (m *maker) checkPart(p part, site, end uint64, rules *ehframe.Rules) (again bool, err error) {
	free := site + m.im.JumpSize()
	code := m.code(p)
	for pos, in := range arch.Instructions(m.im.Arch, code) {
		at := p.start + uint64(pos)
		to := at + uint64(in.Len)
		if in.IsBranch() {
			to += uint64(in.Disp(code[pos:]))
		}
		switch {
		case in.Kind == arch.Bad:
			return false, m.refuse(codes.CannotMove, "the instruction at %#x is not understood, so it is not known where it leads; use --return or --trap", at)
		case in.IsBranch() && to > site && to < free:
			return false, m.refuse(codes.CannotMove, "the instruction at %#x jumps to the bytes that are overwritten; use --return or --trap", at)
		case in.IsBranch() && in.Kind != arch.Call && (to == site || to == m.fn.start):
			again = true
		case in.Kind == arch.JmpInd && !m.leavesBy(at, in, code[pos:]) && m.mayMeet(p.cfaAt(at), site, end, rules):
			return false, m.refuse(codes.CannotMove, "the instruction at %#x jumps to an address that is computed, and nothing proves that this is not one of the bytes that are overwritten; "+
				"use --return or --trap", at)
		}
	}
	return again, nil
}

// leavesBy reports whether an indirect jump goes to another function through a word that the dynamic linker fills in.
func (m *maker) leavesBy(at uint64, in arch.Insn, code []byte) bool {
	if in.PCRel != 4 {
		return false
	}
	slot, ok := m.im.Slots.ByVaddr[at+uint64(in.Len)+uint64(in.Disp(code))]
	return ok && slot.Symbol != ""
}

// mayMeet reports whether an indirect jump may lead to an overwritten instruction other than the first one. here is the CFA
// at the jump. Compilers do not generate jumps between locations with different stack depths, so locations with another CFA
// are excluded.
func (m *maker) mayMeet(here ehframe.CFA, site, end uint64, rules *ehframe.Rules) bool {
	for to := site; to < min(end, site+m.im.JumpSize()); {
		there := rules.CFAAt(to - m.fn.start)
		if to > site && (here == ehframe.CFA{} || there == ehframe.CFA{} || here == there) {
			return true
		}
		in, err := m.im.Arch.Decode(m.im.Code(to))
		if err != nil {
			return true
		}
		to += uint64(in.Len)
	}
	return false
}

// content lays out the patch: unwind tables and constant words, code, and the counter, each protection on pages of its own.
func (b *body) content(spec *patch.Spec) *patch.Content {
	hdr := arch.AlignUp(patch.HeaderSize, 4)
	frames := arch.AlignUp(hdr+ehframe.HeaderSize(1), 8)
	text := uint64(0)
	rules := ehframe.Rules{Steps: b.steps}
	table, _ := rules.Write(frames)
	words := arch.AlignUp(frames+uint64(len(table)), 8)
	text = arch.AlignUp(words+8*uint64(len(b.words)), arch.PageSize)
	data := arch.AlignUp(text+uint64(len(b.code)), arch.PageSize)

	binary.LittleEndian.PutUint32(b.code[b.field:], uint32(data-(text+b.count)))
	rules.Range = ehframe.Range{Start: text, End: text + uint64(len(b.code))}
	table, fde := rules.Write(frames)
	index, _ := ehframe.Header(hdr, frames, []ehframe.Row{{PC: text, FDE: frames + fde}})
	b.fixups(spec, text, words)
	spec.Sites[0].Target, spec.Mitigation.Hits = text, data
	out := &patch.Content{Spec: spec, Sections: []patch.Section{
		{Name: ".eh_frame_hdr", Flags: elf.SHF_ALLOC, Addr: hdr, Align: 4, Data: index},
		{Name: ".eh_frame", Flags: elf.SHF_ALLOC, Addr: frames, Align: 8, Data: table},
	}}
	if n := len(b.words); n > 0 {
		out.Sections = append(out.Sections, patch.Section{Name: ".got", Flags: elf.SHF_ALLOC, Addr: words, Align: 8, Data: make([]byte, 8*n)})
	}
	out.Sections = append(out.Sections,
		patch.Section{Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: text, Align: 16, Data: b.code},
		patch.Section{Name: ".data", Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: data, Align: 8, Data: make([]byte, 8)})
	name := b.m.fn.name
	out.Symbols = []patch.Symbol{
		{Name: name, Addr: text, Size: uint64(len(b.code)), Func: true, Local: true},
		{Name: name + ".hits", Addr: data, Size: 8, Local: true},
	}
	return out
}

// fixups adds the fixups for the code at address text and the words at address words.
func (b *body) fixups(spec *patch.Spec, text, words uint64) {
	for i, to := range b.words {
		spec.Fixups = append(spec.Fixups, patch.Fixup{Kind: patch.FixupAbs64, Place: words + 8*uint64(i), Addend: int64(to)})
	}
	word := words
	for _, r := range b.refs {
		if r.Word {
			binary.LittleEndian.PutUint32(b.code[r.Field:], uint32(word-(text+r.End)))
			word += 8
			continue
		}
		spec.Fixups = append(spec.Fixups, patch.Fixup{Kind: patch.FixupPC32, Place: text + r.Field, Addend: int64(r.To - (r.End - r.Field))})
	}
	sort.Slice(spec.Fixups, func(i, j int) bool { return spec.Fixups[i].Place < spec.Fixups[j].Place })
}
