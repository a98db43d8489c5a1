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

// Fixed tells whether the image's addresses are absolute (ET_EXEC).
func (im *Image) Fixed() bool { return im.Type == elf.ET_EXEC }

// Shared tells whether the image is a shared object rather than a program: its global symbols may be interposed, and its
// thread-local storage has no place known at link time. A position independent program says so (DF_1_PIE), or, of
// binutils before 2.26, has an interpreter and no name; libc has both.
func (im *Image) Shared() bool {
	if im.Type != elf.ET_DYN || im.PIE() {
		return false
	}
	return im.Soname() != "" || !im.interpreted()
}

// interpreted tells whether the image asks for a dynamic linker.
func (im *Image) interpreted() bool {
	return slices.ContainsFunc(im.Progs, func(p lpelf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// Static tells whether the image is a program without a dynamic linker.
func (im *Image) Static() bool {
	return !im.Shared() && !im.interpreted()
}

// LibraryName is the name by which others need a library.
func (im *Image) LibraryName() string {
	if name := im.Soname(); name != "" {
		return name
	}
	return filepath.Base(im.Path)
}

// Definitions returns what the image defines for other files by a name, in all versions.
func (im *Image) Definitions(name string) []*lpelf.Symbol { return im.dyn[name] }

// Exports tells whether the image defines a symbol for other files.
func (im *Image) Exports(name string) bool { return len(im.dyn[name]) > 0 }

// ExportsData tells whether a variable that the image defines may be replaced by that of another file.
func (im *Image) ExportsData(name string) bool {
	return !im.Symbolic() && slices.ContainsFunc(im.dyn[name], func(s *lpelf.Symbol) bool {
		return s.Type == elf.STT_OBJECT && s.Vis == elf.STV_DEFAULT
	})
}

// ExportsFunction tells whether another file may define a function instead of the image, which is a library that
// exports it.
func (im *Image) ExportsFunction(name string) bool {
	return im.Shared() && !im.Symbolic() && slices.ContainsFunc(im.dyn[name], func(s *lpelf.Symbol) bool {
		return s.IsFunc() && s.Vis == elf.STV_DEFAULT
	})
}

// Exported tells whether a program may use a variable of its own in place of the one of a name at a place of this shared object: by
// interposition, or by a copy that it makes at its start (R_X86_64_COPY).
func (im *Image) Exported(symbol string, vaddr uint64) bool {
	return im.Shared() && slices.ContainsFunc(im.dyn[symbol], func(s *lpelf.Symbol) bool {
		return s.Vis == elf.STV_DEFAULT && s.Value <= vaddr && vaddr-s.Value < s.Size
	})
}

// Word returns the word of an image's GOT for a symbol of a library, under any of its names (environ, __environ): a
// program's copy of a variable has all of them.
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

// WordFor returns the address of a word of the image that the dynamic linker sets to a symbol of another file plus add,
// or 0.
func (im *Image) WordFor(name string, add int64) uint64 {
	best := uint64(0)
	for vaddr, s := range im.Slots.ByVaddr {
		if s.Symbol == name && (s.Type.Pointer() && s.Addend == add || s.Type.Meaning == arch.GlobDat && add == 0) && (best == 0 || vaddr < best) {
			best = vaddr
		}
	}
	return best
}

// TPOff returns the offset of a thread-local variable of a program from the thread pointer (psABI: variant II, the block
// ends at the thread pointer, rounded to its alignment).
func (im *Image) TPOff(s *lpelf.Symbol) (int64, bool) {
	p := im.TLS()
	if p == nil || im.Shared() {
		return 0, false
	}
	align := max(p.Align, 1)
	return int64(s.Value) - int64((p.Memsz+align-1)&^(align-1)), true
}

// TLSValue is the reverse of TPOff: the value of the symbol that is at an offset from the thread pointer.
func (im *Image) TLSValue(off int64) (uint64, bool) {
	zero, ok := im.TPOff(&lpelf.Symbol{})
	return uint64(off - zero), ok
}

// Throws tells whether exceptions may pass through code of the image: it uses the runtime of C++, or has it inside.
func (im *Image) Throws() bool {
	for _, s := range im.DynSymbols {
		if isRuntime(s.Name) {
			return true
		}
	}
	return im.Global("__cxa_throw") != nil // a static C program has libgcc's unwinder too, and nothing throws
}

// isRuntime tells whether a symbol is of libgcc's unwinder or of what compilers call for exceptions of C++. Those of
// backtraces are not.
func isRuntime(name string) bool {
	switch name {
	case "_Unwind_Backtrace", "_Unwind_GetIP", "_Unwind_GetCFA", "_Unwind_GetIPInfo", "_Unwind_FindEnclosingFunction":
		return false
	}
	return strings.HasPrefix(name, "_Unwind_") || strings.HasPrefix(name, "__cxa_throw") || strings.HasPrefix(name, "__cxa_begin_catch") ||
		strings.HasPrefix(name, "__cxa_rethrow") || strings.HasSuffix(name, "_personality_v0")
}
