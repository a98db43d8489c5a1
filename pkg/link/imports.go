// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
	"lpatch/pkg/lpelf"
)

// importNew resolves a symbol that the image does not import by searching the libraries that the image uses. The library
// becomes an additional image of the patch, which then refers to an address in it. If the library itself reaches the symbol
// through a word that the dynamic linker fills, the patch reads this word: it contains the address that the process uses,
// even if another file interposes.
func (l *linker) importNew(c *chunk, r diff.Ref) (dest, bool) {
	name, weak := r.Sym.Name, r.Sym.Bind == elf.STB_WEAK
	lib, sym, ok := l.lookup(c.in, name, r.Sym.Version, weak)
	if !ok {
		return dest{}, false
	}
	if lib == nil {
		return l.nowhere(c, r), true
	}
	got := r.Type.Meaning == arch.Word
	code := lib.Code(sym.Value) != nil
	switch {
	case code && r.Add != 0 && !got:
		l.refuse(c.in, name, codes.InnerReference, "%s refers into the middle of this function of %s; leave it out of the patch", c.name, lib.LibraryName())
	case sym.Type == elf.STT_TLS:
		l.refuse(c.in, name, codes.ImportTLS, "%s defines this thread-local variable, and %s does not use it; use what the target uses already", lib.LibraryName(), l.im.Path)
	case sym.Type == elf.STT_GNU_IFUNC:
		if d, ok := l.resolvedWord(lib, sym); ok {
			return inPatch(l.addFarStub(name, d, true), r.Add), true
		}
		l.refuse(c.in, name, codes.ImportIFUNC, "%s chooses this function when the program starts, and no word of %s's own has the choice; use functions that the target uses already", lib.LibraryName(), lib.LibraryName())
	case code:
		if d, ok := l.resolvedWord(lib, sym); ok {
			return inPatch(l.addFarStub(name, d, true), r.Add), true
		}
		return inPatch(l.addFarStub(name, l.inLibrary(lib, sym.Value), false), r.Add), true
	case !got && !r.Type.Pointer() && !l.takesAddress(c, r):
		l.refuse(c.in, name, codes.ImportData, "%s has no copy of this variable of %s, so new code compiled as part of a program cannot reach it; compile it with -fPIC", l.im.Path, lib.LibraryName())
	default:
		return l.importVariable(c, r, lib, sym)
	}
	return dest{}, false
}

// lookup searches the libraries for a symbol. lib is nil for a weak symbol without a definition.
func (l *linker) lookup(in *Input, name, version string, weak bool) (lib *image.Image, sym *lpelf.Symbol, ok bool) {
	if weak && l.im.Static() {
		return nil, nil, true
	}
	if !l.im.Named {
		l.refuse(in, name, codes.NeedsSymbols, "%s is stripped, so whether it has this symbol itself is not known: name an unstripped build of exactly the target with --symbols", l.im.Path)
		return nil, nil, false
	}
	if l.im.Static() {
		l.refuse(in, name, codes.ImportStatic, "%s is statically linked and does not contain this symbol; use functions that it contains", l.im.Path)
		return nil, nil, false
	}
	scope := l.scope
	if err := scope.load(); err != nil {
		l.refuse(in, name, codes.ImportLibraryMissing, "the target does not import this symbol, and its libraries cannot be read: %v", err)
		return nil, nil, false
	}
	if len(scope.missing) > 0 {
		l.refuse(in, name, codes.ImportLibraryMissing, "%s does not import this symbol, and some libraries that may define it were not found: %s; name them with --lib, as the target maps them",
			l.im.Path, strings.Join(scope.missing, "; "))
		return nil, nil, false
	}
	lib, sym, old := scope.lookup(name, version)
	switch {
	case lib != nil:
		return lib, sym, true
	case weak && l.im.Shared():
		l.refuse(in, name, codes.ImportWeak, "%s does not import this weak symbol, so whether the program defines it is not known; avoid it", l.im.Path)
	case weak:
		return nil, nil, true
	case len(old) > 0:
		l.refuse(in, name, codes.ImportNotDefined, "only old programs may use this symbol (%s); use its successor", strings.Join(slices.Compact(old), ", "))
	case version != "":
		l.refuse(in, name, codes.ImportNotDefined, "neither %s nor a library that it needs defines version %s of this symbol; name the library that does, if the target has it mapped, with --lib", l.im.Path, version)
	default:
		l.refuse(in, name, codes.ImportNotDefined, "neither %s nor a library that it needs defines this symbol; name the library that does, if the target has it mapped, with --lib", l.im.Path)
	}
	return nil, nil, false
}

// inLibrary returns the location vaddr in a library, which becomes an image of the patch.
func (l *linker) inLibrary(lib *image.Image, vaddr uint64) dest {
	i := slices.Index(l.libs, lib)
	if i < 0 {
		i = len(l.libs)
		l.libs = append(l.libs, lib)
	}
	return dest{image: true, lib: i + 1, vaddr: vaddr}
}

// resolvedWord returns the location of a word that contains the address which the process uses for a function of a library: a
// GOT word of the library itself or, for an indirect function, of any library.
func (l *linker) resolvedWord(lib *image.Image, sym *lpelf.Symbol) (dest, bool) {
	if w, ok := lib.Word(lib, sym); ok {
		return l.inLibrary(lib, w), true
	}
	if sym.Type != elf.STT_GNU_IFUNC {
		return dest{}, false
	}
	for _, vaddr := range slices.Sorted(maps.Keys(lib.Slots.ByVaddr)) {
		if s := lib.Slots.ByVaddr[vaddr]; s.Type.Meaning == arch.Indirect && uint64(s.Addend) == sym.Value {
			return l.inLibrary(lib, vaddr), true
		}
	}
	for _, other := range l.scope.libs {
		if w, ok := other.Word(lib, sym); ok {
			return l.inLibrary(other, w), true
		}
	}
	return dest{}, false
}

// importVariable resolves a variable of a library. A program may use a copy of it instead (R_X86_64_COPY). If the image is a
// library, this program is unknown, and the patch reads the GOT word of the library that defines the variable.
func (l *linker) importVariable(c *chunk, r diff.Ref, lib *image.Image, sym *lpelf.Symbol) (dest, bool) {
	if !l.im.Shared() || diff.IsTypeData(sym.Name) { // type data is compared by content
		return l.inLibrary(lib, sym.Value).add(r.Add), true
	}
	w, ok := lib.Word(lib, sym)
	if !ok || r.Type.Pointer() || lib.Fixed() {
		l.refuse(c.in, sym.Name, codes.ImportData, "a program that uses %s may have a copy of this variable of %s, and which one counts is not known; use a function that returns it", l.im.Path, lib.LibraryName())
		return dest{}, false
	}
	l.near[lib] = true
	d := l.inLibrary(lib, w).add(r.Add)
	d.word = true
	return d, true
}

// nowhere returns the address 0, for an undefined weak symbol. A call cannot encode this address; since it is never executed,
// it is directed to a faulting instruction.
func (l *linker) nowhere(c *chunk, r diff.Ref) dest {
	if c.kind != kindText || l.im.Arch.Use(c.sec.Data, r.Off) != arch.Branches {
		return dest{abs: true, vaddr: uint64(r.Add)}
	}
	if l.trap == nil {
		l.trap = &chunk{kind: kindText, data: l.im.Arch.Trap(), align: 1}
		l.chunks = append(l.chunks, l.trap)
	}
	return inPatch(l.trap, 0)
}

// addFarStub adds a stub that jumps to a function of a library, which may be out of reach of a call. target is the function
// or, if read is true, a word that contains its address.
func (l *linker) addFarStub(name string, target dest, read bool) *chunk {
	if c := l.farStubs[target]; c != nil {
		return c
	}
	code, at := l.im.Arch.Through(read)
	c := &chunk{kind: kindText, name: name + "@plt", data: code, align: 16}
	l.farStubs[target] = c
	l.chunks = append(l.chunks, c)
	slot := l.addSlot(target)
	l.later = append(l.later, func() { l.put(c, at, 4, int64(slot.vaddr)-int64(c.vaddr+at+4)) })
	return c
}
