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

// relocate applies one relocation of a chunk (psABI AMD64, table "Relocation Types"). If the value depends on the load
// address of an image or of the patch, it emits a fixup instead.
func (l *linker) relocate(c *chunk, r diff.Ref) {
	if c.sec != nil && diff.IsExceptTable(c.sec) && l.relocateWord(c, r) {
		return
	}
	switch r.Type.Meaning {
	case arch.ThreadOffset, arch.ThreadWord, arch.GeneralDynamic, arch.LocalDynamic, arch.BlockOffset:
		l.relocateTLS(c, r)
		return
	case arch.Descriptor, arch.DescriptorCall:
		if !l.relocateDescriptor(c, r) {
			l.refuse(c.in, r.Sym.Name, codes.TLSModel, "the thread-local variable is used by a descriptor (%v), which does not fit to %s; compile with -mtls-dialect=gnu", r.Type, l.im.Path)
		}
		return
	case arch.SymbolSize:
		l.relocateSize(c, r)
		return
	}
	if r.Sec != nil && r.Sec.Flags&shfLarge != 0 {
		l.refuse(c.in, r.Sym.Name, codes.LargeData, "the new code uses data of the medium or large model (section %s), which may be out of reach; compile with the default code model", r.Sec.Name)
		return
	}
	if l.interposedWord(c, r) {
		return
	}
	d, done, ok := l.interposable(c, r)
	if !done {
		d, ok = l.resolve(c, r)
	}
	if ok {
		l.relocateTo(c, r, d)
	}
}

// relocateTo makes a relocated field refer to d.
func (l *linker) relocateTo(c *chunk, r diff.Ref, d dest) {
	switch t := r.Type; {
	case t.Near(), t.Meaning == arch.Branch:
		l.relocatePC(c, r, d)
	case t.Meaning == arch.Word:
		l.relocateGOT(c, r, d)
	case t.Short():
		l.relocateAbs32(c, r, d)
	case t.Pointer():
		l.relocate64(c, r, d)
	case t.Meaning == arch.Address && t.Size == 8:
		l.relocatePC64(c, r, d)
	default:
		l.refuse(c.in, c.name, codes.UnsupportedRelocation, "the new code needs relocation %v, which is not supported; compile with -fPIE or -fPIC and the default code model", r.Type)
	}
}

// shfLarge is SHF_X86_64_LARGE of the psABI.
const shfLarge = 0x10000000

// relocateSize computes Z + A. The size of a symbol of the image is that in the image's symbol table.
func (l *linker) relocateSize(c *chunk, r diff.Ref) {
	size := r.Sym.Size
	if r.Sec == nil {
		if g := l.im.Global(r.Sym.Name); g != nil {
			size = g.Size
		}
	}
	if size == 0 {
		l.refuse(c.in, r.Sym.Name, codes.UnsupportedRelocation, "the new code needs the size of this symbol (%v), which is not known; do without it", r.Type)
		return
	}
	l.put(c, r.Off, uint64(r.Type.Size), int64(size)+r.Raw.Addend)
}

// put stores the size low-order bytes of v at an offset of a chunk, little endian.
func (l *linker) put(c *chunk, off, size uint64, v int64) {
	b := c.data[off-c.lo:]
	if size == 8 {
		binary.LittleEndian.PutUint64(b, uint64(v))
		return
	}
	binary.LittleEndian.PutUint32(b, uint32(v))
}

// after returns the distance in bytes from the start of a field to the address that its addend is relative to.
func after(r diff.Ref) uint64 {
	if r.End == 0 {
		return 0
	}
	return r.End - r.Off
}

// relocatePC computes S + A - P.
func (l *linker) relocatePC(c *chunk, r diff.Ref, d dest) {
	if d.imported != "" {
		var ok bool
		if d, ok = l.importCall(c, r, d); !ok {
			return
		}
	}
	switch {
	case d.lib > 0:
		// a variable of a library may be out of reach, so lea becomes a mov from a word with the address
		l.im.Arch.Load(c.data, r.Off-c.lo)
		l.relocatePC(c, r, inPatch(l.addSlot(d), 0))
	case d.chunk != nil:
		l.later = append(l.later, func() {
			l.put(c, r.Off, 4, int64(d.chunk.vaddr)+d.off-int64(c.vaddr+r.Off-c.lo+after(r)))
		})
	case d.image:
		l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: d.vaddr, end: after(r)})
	default:
		l.refuse(c.in, r.Sym.Name, codes.UnsupportedRelocation, "the new code refers PC-relative to an absolute address; refer to a symbol instead")
	}
}

// importCall resolves a direct reference to an import through the PLT entry of the image, or through its GOT slot.
func (l *linker) importCall(c *chunk, r diff.Ref, d dest) (dest, bool) {
	slot, ok := l.importSlot(c, d)
	if !ok {
		return dest{}, false
	}
	add := r.Add
	switch {
	case l.isDataImport(d.imported) || add != 0:
		l.refuse(c.in, d.imported, codes.ImportNotInImage, "%s has no copy of this variable of a library, so new code compiled as part of a program cannot reach it; compile it with -fPIC", l.im.Path)
		return dest{}, false
	case l.im.Slots.PLTOf[slot.Vaddr] != 0:
		return inImage(l.im.Slots.PLTOf[slot.Vaddr]), true
	}
	return inPatch(l.addStub(slot.Vaddr), 0), true
}

// takesAddress reports whether the instruction computes the address that it refers to, rather than accessing memory there.
func (l *linker) takesAddress(c *chunk, r diff.Ref) bool {
	return c.kind == kindText && r.Type.Near() && r.Off >= c.lo && r.End == r.Off+4 && l.im.Arch.Use(c.data, r.Off-c.lo) == arch.TakesAddress
}

func (l *linker) isDataImport(name string) bool {
	for _, s := range l.im.DynSymbols {
		if s.Name == name {
			return s.Type == elf.STT_OBJECT || s.Type == elf.STT_TLS
		}
	}
	return false
}

// importSlots returns the slots of the image for a symbol of another file, GLOB_DAT before JUMP_SLOT.
func (l *linker) importSlots(d dest) []lpelf.Slot {
	var out []lpelf.Slot
	for _, s := range l.im.Slots.GOT[d.imported] {
		if d.version == "" || s.Version == d.version {
			out = append(out, s)
		}
	}
	return out
}

// importSlot returns the slot to use for an import.
func (l *linker) importSlot(c *chunk, d dest) (lpelf.Slot, bool) {
	slots := l.importSlots(d)
	for _, s := range slots[1:] {
		if s.Version != slots[0].Version {
			l.refuse(c.in, d.imported, codes.ImportAmbiguous, "%s imports versions %s and %s of this symbol; the new code does not say which it means", l.im.Path, slots[0].Version, s.Version)
			return lpelf.Slot{}, false
		}
	}
	// a call prefers the slot with a PLT entry
	return slots[0], true
}

// relocateGOT computes G + GOT + A - P. An import has its slot in the image. For any other symbol, the load is relaxed to an
// address computation if the instruction permits it, as ld does, else it reads a private slot.
func (l *linker) relocateGOT(c *chunk, r diff.Ref, d dest) {
	d = d.add(-r.Add)
	if d.image && l.im.Shared() && r.Sym.Bind != elf.STB_LOCAL {
		// the symbol is preemptible: read the slot that the image itself reads
		if slots := l.im.Slots.GOT[r.Sym.Name]; len(slots) > 0 && slots[0].Type.Meaning == arch.GlobDat {
			l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: slots[0].Vaddr, end: uint64(-r.Raw.Addend)})
			return
		}
		if l.im.ExportsData(r.Sym.Name) {
			l.refuse(c.in, r.Sym.Name, codes.InterposedData, "a program may have a copy of this variable, and %s has no word that says which one counts, because its code does not use it; use a function that returns it", l.im.Path)
			return
		}
	}
	switch {
	case d.imported != "":
		l.relocateImportGOT(c, r, d)
		return
	case d.word:
		l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: d.vaddr, end: uint64(-r.Raw.Addend), lib: d.lib})
		return
	}
	if !d.abs && d.lib == 0 && l.relaxLoad(c, r, d) {
		return
	}
	slot := l.addSlot(d)
	l.later = append(l.later, func() { l.put(c, r.Off, 4, int64(slot.vaddr)+r.Raw.Addend-int64(c.vaddr+r.Off-c.lo)) })
}

// relocateImportGOT makes a load read the slot of the image. A lazily bound slot contains the address of the function only
// after its first call, so a load that is not part of a call gets the address of the PLT entry instead.
func (l *linker) relocateImportGOT(c *chunk, r diff.Ref, d dest) {
	slot, ok := l.importSlot(c, d)
	if !ok {
		return
	}
	plt := l.im.Slots.PLTOf[slot.Vaddr]
	if slot.Type.Meaning == arch.JumpSlot && !l.im.BindNow() && plt != 0 && !l.callsThrough(c, r) {
		private := l.addSlot(inImage(plt))
		l.later = append(l.later, func() { l.put(c, r.Off, 4, int64(private.vaddr)+r.Raw.Addend-int64(c.vaddr+r.Off-c.lo)) })
		return
	}
	l.fixupsPC = append(l.fixupsPC, pcFix{c: c, off: r.Off - c.lo, to: slot.Vaddr, end: uint64(-r.Raw.Addend)})
}

// callsThrough reports whether the instruction is an indirect call or jump through the word that it refers to.
func (l *linker) callsThrough(c *chunk, r diff.Ref) bool {
	return c.sec != nil && l.im.Arch.Use(c.sec.Data, r.Off) == arch.BranchesThrough
}

// relaxLoad rewrites a load from the GOT to an address computation.
func (l *linker) relaxLoad(c *chunk, r diff.Ref, d dest) bool {
	if r.Raw.Addend != -4 || r.Off < c.lo {
		return false
	}
	to, ok := l.im.Arch.Relax(r.Type, c.data, r.Off-c.lo)
	if !ok {
		return false
	}
	pc := r
	pc.Off, pc.End, pc.Add = c.lo+to, c.lo+to+4, 0
	l.relocatePC(c, pc, d)
	return true
}

// relocateAbs32 computes S + A in 32 bits. This only occurs in code of position-dependent programs.
func (l *linker) relocateAbs32(c *chunk, r diff.Ref, d dest) {
	if d.imported != "" {
		var ok bool
		if d, ok = l.importCall(c, r, d); !ok {
			return
		}
	}
	switch {
	case d.abs, d.image && l.im.Fixed() && !l.inPatch(d.vaddr):
		v := int64(d.vaddr)
		if v != int64(int32(v)) && (r.Type.Signed || v != int64(uint32(v))) {
			l.refuse(c.in, c.name, codes.RelocationOverflow, "the address %#x does not fit into 32 bits; compile with -fPIE", uint64(v))
			return
		}
		l.later = append(l.later, func() { l.put(c, r.Off, 4, v) })
	case !l.im.Fixed():
		l.refuse(c.in, c.name, codes.AbsoluteCode, "the new object has absolute 32-bit addresses, but %s is position independent; compile with its flags (-fPIE or -fPIC)", l.im.Path)
	default:
		l.fixups32 = append(l.fixups32, absFix{c, r.Off - c.lo, d})
	}
}

// relocate64 computes S + A. The image has no word from which another word could be initialised with the address of an
// imported variable, so the variable is looked up in the libraries.
func (l *linker) relocate64(c *chunk, r diff.Ref, d dest) {
	ok := true
	switch {
	case d.imported == "":
	case l.isDataImport(d.imported):
		d, ok = l.importNew(c, r)
	default:
		d, ok = l.importCall(c, r, d)
	}
	if !ok {
		return
	}
	l.fixups64 = append(l.fixups64, pointerFix{c, r.Off - c.lo, d})
}

// relocatePC64 computes S + A - P in 64 bits. Both ends must be in the patch.
func (l *linker) relocatePC64(c *chunk, r diff.Ref, d dest) {
	if d.chunk == nil {
		l.refuse(c.in, c.name, codes.UnsupportedRelocation, "the new code has a 64-bit PC-relative reference out of the patch; compile with the default code model")
		return
	}
	l.later = append(l.later, func() { l.put(c, r.Off, 8, int64(d.chunk.vaddr)+d.off-int64(c.vaddr+r.Off-c.lo)) })
}
