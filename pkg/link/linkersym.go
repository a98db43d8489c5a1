// SPDX-License-Identifier: GPL-2.0

package link

import (
	"debug/elf"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/image"
)

// linkerNames lists symbols that a linker defines if an object refers to them ("ld --verbose" shows their definitions).
var linkerNames = []string{
	"__ehdr_start", "__executable_start", "etext", "_etext", "__etext", "edata", "_edata", "end", "_end", "__bss_start", "_DYNAMIC", "__dso_handle",
	"__preinit_array_start", "__preinit_array_end", "__init_array_start", "__init_array_end", "__fini_array_start", "__fini_array_end",
	"__rela_iplt_start", "__rela_iplt_end", "__GNU_EH_FRAME_HDR", "__TMC_END__", "__data_start", "data_start",
}

// linkerSymbol resolves a symbol defined by the linker that the target's own code does not refer to. done is false for other
// symbols.
func (l *linker) linkerSymbol(c *chunk, r diff.Ref) (d dest, done, ok bool) {
	name := r.Sym.Name
	_, start := strings.CutPrefix(name, image.StartPrefix)
	_, stop := strings.CutPrefix(name, image.StopPrefix)
	if !start && !stop && !slices.Contains(linkerNames, name) {
		return dest{}, false, true
	}
	if addr, known := l.im.LinkerAddress(name); known {
		return inImage(addr), true, true
	}
	if start || stop || r.Sym.Bind == elf.STB_WEAK {
		return dest{}, false, true // the program may define the symbol itself, and a weak one may remain undefined
	}
	l.refuse(c.in, name, codes.LinkerSymbol, "the linker defines this symbol only if an object refers to it; no old object does, so its address in %s is not known; do not use it", l.im.Path)
	return dest{}, true, false
}
