package link

import (
	"bytes"
	"debug/elf"

	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
)

// Position independent code asks __tls_get_addr for thread-local variables; linked into a program, where the distance
// from the thread pointer is known, ld rewrites the whole sequence ("ELF Handling For Thread-Local Storage", x86-64
// general and local dynamic to local exec).
var (
	movThread = []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0} // mov %fs:0,%rax
	leaOffset = []byte{0x48, 0x8d, 0x80}                         // lea off(%rax),%rax
)

// generalLen is the length of the general dynamic sequence, before and after.
const generalLen = 16

// tlsLength returns the length of the sequence at code if it is one that starts with the given relocation.
func tlsLength(t elf.R_X86_64, code []byte) int {
	switch {
	case t == elf.R_X86_64_TLSGD && len(code) >= generalLen && bytes.HasPrefix(code, []byte{0x66, 0x48, 0x8d, 0x3d}) &&
		(bytes.HasPrefix(code[8:], []byte{0x66, 0x66, 0x48, 0xe8}) || bytes.HasPrefix(code[8:], []byte{0x66, 0x48, 0xff, 0x15})):
		return generalLen
	case t == elf.R_X86_64_TLSLD && len(code) >= 13 && bytes.HasPrefix(code, []byte{0x48, 0x8d, 0x3d}):
		if code[7] == 0xe8 {
			return 12
		}
		if code[7] == 0xff && code[8] == 0x15 {
			return 13
		}
	}
	return 0
}

// localDynamic is what the local dynamic sequence of n bytes becomes.
func localDynamic(n int) []byte {
	return append(bytes.Repeat([]byte{0x66}, n-len(movThread)), movThread...)
}

// tlsSequence compares a sequence of the object with its rewritten form in the image; it returns the length of both, or
// 0 if there is no such sequence.
func (m *matcher) tlsSequence(obj, code []byte, refs []diff.Ref) int {
	if len(refs) != 1 {
		return 0
	}
	n := tlsLength(refs[0].Type, obj)
	if n == 0 || len(code) < n {
		return 0
	}
	if refs[0].Type == elf.R_X86_64_TLSLD {
		if bytes.HasPrefix(code, localDynamic(n)) {
			return n
		}
		return 0
	}
	if !bytes.HasPrefix(code, movThread) || !bytes.HasPrefix(code[len(movThread):], leaOffset) {
		return 0
	}
	off := int64(int32(le32(code[n-4:])))
	if !m.tlsIs(refs[0], off) {
		return 0
	}
	return n
}

// What a linker makes of the two parts of a sequence with a descriptor where the distance is known: mov $off,%rax for
// lea x@tlsdesc(%rip),%rax, and a no-op for call *x@tlscall(%rax).
var (
	leaDescriptor = []byte{0x48, 0x8d, 0x05}
	movOffset     = []byte{0x48, 0xc7, 0xc0}
	nopCall       = []byte{0x66, 0x90}
)

// relaxedDescriptor compares either part with its rewritten form.
func (m *matcher) relaxedDescriptor(p place, r diff.Ref) (bool, error) {
	if r.Type == elf.R_X86_64_TLSDESC_CALL {
		return bytes.Equal(p.t, nopCall), nil
	}
	if !bytes.HasPrefix(p.t, movOffset) || len(p.t) != len(p.o) {
		return false, nil
	}
	if v := int64(int32(le32(p.t[len(movOffset):]))); !m.tlsIs(r, v) {
		return true, p.wrongRef(r, uint64(v))
	}
	return true, nil
}

// relocateDescriptor handles a sequence with a descriptor: by the image's own descriptor in a shared object, rewritten in
// a program. It tells whether it could.
func (l *linker) relocateDescriptor(c *chunk, r diff.Ref) bool {
	if r.Type == elf.R_X86_64_TLSDESC_CALL {
		if !l.im.Shared() {
			copy(c.data[r.Off-c.lo:], nopCall)
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
	lead := uint64(len(leaDescriptor))
	if sym == nil || r.Off < c.lo+lead || !bytes.HasPrefix(c.data[r.Off-c.lo-lead:], leaDescriptor) {
		return false
	}
	copy(c.data[r.Off-c.lo-lead:], movOffset)
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
	n := tlsLength(r.Type, seq)
	if n == 0 {
		return false
	}
	if r.Type == elf.R_X86_64_TLSLD {
		copy(seq, localDynamic(n))
		return true
	}
	sym, add, ok := l.tlsSymbol(c, r)
	if !ok || sym == nil {
		return false
	}
	copy(seq, movThread)
	copy(seq[len(movThread):], leaOffset)
	at := r
	at.Off = r.Off - lead + generalLen - 4
	l.tlsConstant(c, at, sym, add)
	return true
}
