// SPDX-License-Identifier: GPL-2.0

package lpelf

import (
	"bytes"
	"debug/elf"
	"slices"
	"strings"
)

// HoldsLTO tells whether an object is input for link-time optimisation, of gcc ("fat" objects too, which have code besides)
// or of clang: then the linker may make the code that runs from that, and not from the object's code.
func (f *File) HoldsLTO() bool {
	return slices.ContainsFunc(f.Sections, func(s *Section) bool {
		return strings.HasPrefix(s.Name, ".gnu.lto_") || s.Name == ".llvm.lto"
	})
}

// LinkedWithLTO tells whether a linked file says of itself that code in it was made by link-time optimisation: gcc's
// compilers of that stage name themselves in the debug information ("GNU GIMPLE"), both compilers leave names of their own
// in the symbol table. That it does not say so proves nothing.
func (f *File) LinkedWithLTO() bool {
	for _, s := range f.Symbols {
		if strings.Contains(s.Name, ".lto_priv.") || s.Type == elf.STT_FILE && (s.Name == "ld-temp.o" || strings.Contains(s.Name, ".ltrans")) {
			return true
		}
	}
	ef, err := elf.NewFile(bytes.NewReader(f.Data))
	if err != nil {
		return false
	}
	for _, name := range []string{".debug_str", ".debug_line_str", ".debug_info"} {
		if s := ef.Section(name); s != nil && s.Type != elf.SHT_NOBITS {
			if data, err := s.Data(); err == nil && bytes.Contains(data, []byte("GNU GIMPLE ")) {
				return true
			}
		}
	}
	return false
}
