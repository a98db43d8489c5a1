// SPDX-License-Identifier: GPL-2.0

package image

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lpelf"
)

// Fixed reports whether the addresses of the image are absolute (ET_EXEC).
func (im *Image) Fixed() bool { return im.Type == elf.ET_EXEC }

// Shared reports whether the image is a shared object rather than a program: its global symbols are subject to interposition,
// and the TP offset of its thread-local variables is not known at link time. A PIE is recognized by DF_1_PIE or, if it was
// linked by binutils before 2.26, by an interpreter without a DT_SONAME; libc has both.
func (im *Image) Shared() bool {
	if im.Type != elf.ET_DYN || im.PIE() {
		return false
	}
	return im.Soname() != "" || !im.interpreted()
}

// interpreted reports whether the image has a PT_INTERP.
func (im *Image) interpreted() bool {
	return slices.ContainsFunc(im.Progs, func(p lpelf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// Static reports whether the image is a program without a dynamic linker.
func (im *Image) Static() bool {
	return !im.Shared() && !im.interpreted()
}

// LibraryName returns the name by which other files refer to the library: its DT_SONAME, or the base name of its path.
func (im *Image) LibraryName() string {
	if name := im.Soname(); name != "" {
		return name
	}
	return filepath.Base(im.Path)
}

// Definitions returns the dynamic symbols called name that the image defines, in all versions.
func (im *Image) Definitions(name string) []*lpelf.Symbol { return im.dyn[name] }

// Exports reports whether the image defines the dynamic symbol name.
func (im *Image) Exports(name string) bool { return len(im.dyn[name]) > 0 }

// ExportsData reports whether the variable name of the image is preemptible: a definition in another file may take its place.
func (im *Image) ExportsData(name string) bool {
	return !im.Symbolic() && slices.ContainsFunc(im.dyn[name], func(s *lpelf.Symbol) bool {
		return s.Type == elf.STT_OBJECT && s.Vis == elf.STV_DEFAULT
	})
}

// ExportsFunction reports whether the function name is preemptible: the image is a shared object that exports it, and another
// file may define it instead.
func (im *Image) ExportsFunction(name string) bool {
	return im.Shared() && !im.Symbolic() && slices.ContainsFunc(im.dyn[name], func(s *lpelf.Symbol) bool {
		return s.IsFunc() && s.Vis == elf.STV_DEFAULT
	})
}

// Exported reports whether the variable symbol at vaddr of this shared object may be replaced by a variable of the program,
// through interposition or through a copy relocation (R_X86_64_COPY).
func (im *Image) Exported(symbol string, vaddr uint64) bool {
	return im.Shared() && slices.ContainsFunc(im.dyn[symbol], func(s *lpelf.Symbol) bool {
		return s.Vis == elf.STV_DEFAULT && s.Value <= vaddr && vaddr-s.Value < s.Size
	})
}

// Word returns the address of the GOT word of im for the symbol sym of lib. It considers all aliases of sym (environ,
// __environ), because a copy relocation of the program covers all of them.
func (im *Image) Word(lib *Image, sym *lpelf.Symbol) (uint64, bool) {
	for _, alias := range lib.DynSymbols {
		if alias.Name == "" || !alias.Defined() || alias.Value != sym.Value || alias.Type != sym.Type {
			continue
		}
		for _, s := range im.Slots.GOT[alias.Name] {
			if s.Version == alias.Version {
				return s.Vaddr, true
			}
		}
	}
	return 0, false
}

// WordFor returns the lowest address of a word of the image that the dynamic linker sets to symbol name plus add, or 0 if
// there is none.
func (im *Image) WordFor(name string, add int64) uint64 {
	best := uint64(0)
	for vaddr, s := range im.Slots.ByVaddr {
		if s.Symbol == name && (s.Type.Pointer() && s.Addend == add || s.Type.Meaning == arch.GlobDat && add == 0) && (best == 0 || vaddr < best) {
			best = vaddr
		}
	}
	return best
}

// TPOff returns the offset in bytes of the thread-local variable s of a program from the thread pointer (psABI, TLS variant
// II: the TLS block, rounded up to its alignment, ends at the thread pointer). ok is false for shared objects and images
// without PT_TLS.
func (im *Image) TPOff(s *lpelf.Symbol) (int64, bool) {
	p := im.TLS()
	if p == nil || im.Shared() {
		return 0, false
	}
	align := max(p.Align, 1)
	return int64(s.Value) - int64((p.Memsz+align-1)&^(align-1)), true
}

// TLSValue is the inverse of TPOff: it returns the symbol value that corresponds to an offset from the thread pointer.
func (im *Image) TLSValue(off int64) (uint64, bool) {
	zero, ok := im.TPOff(&lpelf.Symbol{})
	return uint64(off - zero), ok
}

// Throws reports whether exceptions may propagate through code of the image: it imports the C++ runtime or has it linked in.
func (im *Image) Throws() bool {
	for _, s := range im.DynSymbols {
		if isRuntime(s.Name) {
			return true
		}
	}
	return im.Global("__cxa_throw") != nil // a static C program contains libgcc's unwinder too, but nothing throws
}

// isRuntime reports whether name is a function of libgcc's unwinder or of the C++ exception ABI. Functions that only produce
// backtraces do not count.
func isRuntime(name string) bool {
	switch name {
	case "_Unwind_Backtrace", "_Unwind_GetIP", "_Unwind_GetCFA", "_Unwind_GetIPInfo", "_Unwind_FindEnclosingFunction":
		return false
	}
	return strings.HasPrefix(name, "_Unwind_") || strings.HasPrefix(name, "__cxa_throw") || strings.HasPrefix(name, "__cxa_begin_catch") ||
		strings.HasPrefix(name, "__cxa_rethrow") || strings.HasSuffix(name, "_personality_v0")
}
