// SPDX-License-Identifier: GPL-2.0

package link

import (
	"lpatch/pkg/arch"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// relocateDescriptor resolves a TLS descriptor sequence: through the image's own descriptor in a shared object, by relaxation
// in a program. It reports whether it could.
func (l *linker) relocateDescriptor(c *chunk, r diff.Ref) bool {
	if r.Type.Meaning == arch.DescriptorCall {
		if !l.im.Shared() {
			l.im.Arch.ToLocalExec(r.Type, c.data[r.Off-c.lo:])
		}
		return true
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok {
		return true // refused
	}
	if l.im.Shared() {
		l.tlsSlot(c, r, func(s lpelf.Slot) bool {
			return s.Type.Meaning == arch.DescriptorWord && (s.Symbol == r.Sym.Name || s.Symbol == "" && sym != nil && uint64(s.Addend) == sym.Value)
		})
		return true
	}
	start, n := l.im.Arch.Sequence(r.Type, c.data, r.Off-c.lo)
	if sym == nil || n == 0 {
		return false
	}
	l.im.Arch.ToLocalExec(r.Type, c.data[start:start+n])
	l.tlsConstant(c, r, sym, add)
	return true
}

// relaxTLS rewrites a TLS code sequence of a new function to the local-exec model of a program. It reports whether it did;
// the relocation of the call that follows is then obsolete.
func (l *linker) relaxTLS(c *chunk, r diff.Ref) bool {
	if l.im.Shared() || r.Type.Meaning != arch.GeneralDynamic && r.Type.Meaning != arch.LocalDynamic {
		return false
	}
	start, n := l.im.Arch.Sequence(r.Type, c.data, r.Off-c.lo)
	if n == 0 {
		return false
	}
	seq := c.data[start : start+n]
	if r.Type.Meaning == arch.LocalDynamic {
		l.im.Arch.ToLocalExec(r.Type, seq)
		return true
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok || sym == nil {
		return false
	}
	at := r
	at.Off = c.lo + start + l.im.Arch.ToLocalExec(r.Type, seq)
	l.tlsConstant(c, at, sym, add)
	return true
}
