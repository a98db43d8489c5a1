package link

import (
	"bytes"
	"debug/elf"

	"lpatch/pkg/arch/x86"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// relocateDescriptor handles a sequence with a descriptor: by the image's own descriptor in a shared object, rewritten in
// a program. It tells whether it could.
func (l *linker) relocateDescriptor(c *chunk, r diff.Ref) bool {
	if r.Type == elf.R_X86_64_TLSDESC_CALL {
		if !l.im.Shared() {
			copy(c.data[r.Off-c.lo:], x86.NopCall)
		}
		return true
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok {
		return true // refused
	}
	if l.im.Shared() {
		l.tlsSlot(c, r, func(s lpelf.Slot) bool {
			return s.Type == elf.R_X86_64_TLSDESC && (s.Symbol == r.Sym.Name || s.Symbol == "" && sym != nil && uint64(s.Addend) == sym.Value)
		})
		return true
	}
	lead := uint64(len(x86.LeaDescriptor))
	if sym == nil || r.Off < c.lo+lead || !bytes.HasPrefix(c.data[r.Off-c.lo-lead:], x86.LeaDescriptor) {
		return false
	}
	copy(c.data[r.Off-c.lo-lead:], x86.MovOffset)
	l.tlsConstant(c, r, sym, add)
	return true
}

// relaxTLS rewrites a sequence of a new function for a program; it tells whether it did, and then the relocation of the
// call that follows has no meaning any more.
func (l *linker) relaxTLS(c *chunk, r diff.Ref) bool {
	lead := uint64(4) // bytes of the sequence before the field
	if r.Type == elf.R_X86_64_TLSLD {
		lead = 3
	}
	if l.im.Shared() || r.Type != elf.R_X86_64_TLSGD && r.Type != elf.R_X86_64_TLSLD || r.Off < c.lo+lead {
		return false
	}
	seq := c.data[r.Off-c.lo-lead:]
	n := x86.TLSLength(r.Type, seq)
	if n == 0 {
		return false
	}
	if r.Type == elf.R_X86_64_TLSLD {
		copy(seq, x86.LocalDynamic(n))
		return true
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok || sym == nil {
		return false
	}
	copy(seq, x86.MovThread)
	copy(seq[len(x86.MovThread):], x86.LeaOffset)
	at := r
	at.Off = r.Off - lead + x86.GeneralLen - 4
	l.tlsConstant(c, at, sym, add)
	return true
}
