// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"encoding/binary"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// relocateTLS resolves references to thread-local variables of the image (psABI; "ELF Handling For Thread-Local Storage").
// Those of a program have a constant offset from the thread pointer; those of a shared object are reached through the GOT
// words that its own code uses.
func (l *linker) relocateTLS(c *chunk, r diff.Ref) {
	if r.Type.Meaning == arch.LocalDynamic {
		l.tlsSlot(c, r, func(s lpelf.Slot) bool {
			_, used := l.im.Slots.ByVaddr[s.Vaddr+8]
			b := l.im.BytesAt(s.Vaddr + 8)
			return s.Type.Meaning == arch.Module && s.Symbol == "" && !used && len(b) >= 8 && binary.LittleEndian.Uint64(b) == 0
		})
		return
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok {
		return
	}
	imported := sym == nil
	switch r.Type.Meaning {
	case arch.ThreadOffset:
		if !imported {
			l.tlsConstant(c, r, sym, add+r.Raw.Addend)
			return
		}
	case arch.BlockOffset:
		if !imported && !l.im.Shared() && r.Type.Size == 4 {
			l.tlsConstant(c, r, sym, add+r.Raw.Addend) // the preceding sequence computes the thread pointer
			return
		}
		if !imported && l.im.Shared() {
			l.later = append(l.later, func() { l.put(c, r.Off, uint64(r.Type.Size), int64(sym.Value)+add+r.Raw.Addend) })
			return
		}
	case arch.ThreadWord:
		if off, fixed := l.tpoff(sym); fixed {
			slot := l.addSlot(dest{abs: true, vaddr: uint64(off + add)})
			l.later = append(l.later, func() { l.put(c, r.Off, 4, int64(slot.vaddr)+r.Raw.Addend-int64(c.vaddr+r.Off-c.lo)) })
			return
		}
		l.tlsSlot(c, r, func(s lpelf.Slot) bool {
			return s.Type.Meaning == arch.ThreadSlot && (s.Symbol == r.Sym.Name || s.Symbol == "" && sym != nil && uint64(s.Addend) == sym.Value)
		})
		return
	case arch.GeneralDynamic:
		l.tlsSlot(c, r, func(s lpelf.Slot) bool {
			return s.Type.Meaning == arch.Module && (s.Symbol == r.Sym.Name && s.Symbol != "" || s.Symbol == "" && sym != nil && l.dtpoffAt(s.Vaddr+8) == sym.Value)
		})
		return
	}
	l.refuse(c.in, r.Sym.Name, codes.TLSModel, "the thread-local variable is used with %v, which does not fit to %s; compile the objects as the target was compiled", r.Type, l.im.Path)
}

func (l *linker) tpoff(sym *lpelf.Symbol) (int64, bool) {
	if sym == nil {
		return 0, false
	}
	return l.im.TPOff(sym)
}

func (l *linker) dtpoffAt(vaddr uint64) uint64 {
	if b := l.im.BytesAt(vaddr); len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return ^uint64(0)
}

func (l *linker) tlsConstant(c *chunk, r diff.Ref, sym *lpelf.Symbol, add int64) {
	off, ok := l.im.TPOff(sym)
	if !ok {
		l.refuse(c.in, sym.Name, codes.TLSModel, "code of a program cannot use a thread-local variable of the shared object %s; compile with -fPIC", l.im.Path)
		return
	}
	l.later = append(l.later, func() { l.put(c, r.Off, 4, off+add) })
}

// tlsSymbol returns the variable in the image, or nil if another file defines it. add is the offset within the variable that
// a reference through a section symbol denotes, without the addend of the relocation.
func (l *linker) tlsSymbol(c *chunk, r diff.Ref) (sym *lpelf.Symbol, add int64, ok bool) {
	if r.Raw.Sym.Type == elf.STT_SECTION && r.Sym != nil {
		add = int64(r.Raw.Sym.Value) - int64(r.Sym.Value)
	}
	if r.Sym == nil || r.Sym.Name == "" {
		l.refuse(c.in, c.name, codes.NewTLS, "the new code uses thread-local data without a name; use ordinary storage")
		return nil, 0, false
	}
	old := r.Sym
	if r.Sec != nil {
		if old = c.in.Diff.OldOf[r.Sym]; old == nil {
			l.refuse(c.in, r.Sym.Name, codes.NewTLS, "a new thread-local variable has no room in the threads that run; use ordinary storage")
			return nil, 0, false
		}
	}
	if !c.in.Loc.LocalHere(old) {
		g := l.im.Global(old.Name)
		if g != nil && g.Type != elf.STT_TLS {
			l.refuse(c.in, r.Sym.Name, codes.TLSChanged, "the variable is not thread-local in %s; give it another name", l.im.Path)
			return nil, 0, false
		}
		if g != nil && l.unsaid(c.in, g) {
			return nil, 0, false
		}
		return g, add, true
	}
	if _, _, err := c.in.Loc.Address(old); err != nil {
		l.refuse(c.in, r.Sym.Name, codes.SymbolAmbiguous, "%v; no patch can tell them apart", err)
		return nil, 0, false
	}
	locals := c.in.Loc.Locals(old)
	if len(locals) != 1 {
		l.refuse(c.in, r.Sym.Name, codes.NeedsSymbols, "the symbol table of %s has %d thread-local variables of this name; give an unstripped build with --symbols", l.im.Path, len(locals))
		return nil, 0, false
	}
	return locals[0], add, true
}

// tlsSlot makes a relocated field refer to a GOT word of the image that satisfies fits.
func (l *linker) tlsSlot(c *chunk, r diff.Ref, fits func(lpelf.Slot) bool) {
	best := uint64(0)
	for vaddr, s := range l.im.Slots.ByVaddr {
		if fits(s) && (best == 0 || vaddr < best) {
			best = vaddr
		}
	}
	if best == 0 {
		l.refuse(c.in, r.Sym.Name, codes.TLSModel, "%s has no word in its GOT for this thread-local variable (%v); use it as the target's own code does", l.im.Path, r.Type)
		return
	}
	l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: best, end: uint64(-r.Raw.Addend)})
}
