// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Forms and attributes as bytes of an abbreviation.
const (
	dwNear      = "0x13"       // DW_FORM_ref4
	dwFar       = "0xa0, 0x3e" // DW_FORM_GNU_ref_alt: an entry in a supplementary file of dwz
	dwOrigin    = "0x31"
	dwSpecifies = "0x47"
	dwType      = "0x49"
	dwNoReturn  = "0x87, 1"
)

// entryText is an entry with references, each an attribute, its form, and a label or number; address is set for a function.
type entryText struct {
	label, tag string
	refs       [][3]string
	address    int
}

// dwarfText returns assembly source for entries, each with an abbreviation of its own.
func dwarfText(entries []entryText) string {
	abbrevs := ".section .debug_abbrev\n.byte 1, 0x11, 1, 0, 0\n"
	info := ".section .debug_info\ninfo:\n.long end - begin\nbegin:\n.short 4\n.long 0\n.byte 8, 1\n"
	for i, e := range entries {
		abbrevs += fmt.Sprintf(".byte %d, %s, 0\n", i+2, e.tag)
		info += fmt.Sprintf("%s: .byte %d\n", e.label, i+2)
		for _, r := range e.refs {
			abbrevs += fmt.Sprintf(".byte %s, %s\n", r[0], r[1])
			switch r[1] {
			case dwNear:
				info += fmt.Sprintf(".long %s - info\n", r[2])
			case dwFar:
				info += fmt.Sprintf(".long %s\n", r[2])
			}
		}
		if e.address != 0 { // DW_AT_low_pc, DW_AT_high_pc
			abbrevs += ".byte 0x11, 1, 0x12, 7\n"
			info += fmt.Sprintf(".quad %d, 16\n", e.address)
		}
		abbrevs += ".byte 0, 0\n"
	}
	return abbrevs + ".byte 0\n" + info + ".byte 0\nend:\n"
}

// TestLinkedElsewhere checks that a type in a supplementary file, or at the end of an overlong chain, is unknown and not
// void.
func TestLinkedElsewhere(t *testing.T) {
	const function, typedef, inlined = "0x2e", "0x16", "0x1d"
	at := func(address int, refs ...[3]string) entryText {
		return entryText{fmt.Sprintf("f%d", address), function, refs, address}
	}
	entries := []entryText{
		at(1), at(2, [3]string{dwOrigin, dwFar, "7"}), at(3, [3]string{dwSpecifies, dwFar, "7"}), at(4, [3]string{dwOrigin, dwNear, "f2"}),
		at(5, [3]string{dwOrigin, dwNear, "f1"}), at(6, [3]string{dwOrigin, dwNear, "f6"}), at(7, [3]string{dwType, dwFar, "7"}),
		at(8, [3]string{dwType, dwNear, "name"}), at(9, [3]string{dwType, dwNear, "void"}), at(10, [3]string{dwType, dwNear, "round"}),
		at(11, [3]string{dwNoReturn, "0x19", ""}, [3]string{dwOrigin, dwFar, "7"}), at(12, [3]string{dwOrigin, dwNear, "f11"}),
		at(13, [3]string{dwType, dwNear, "void"}, [3]string{dwOrigin, dwFar, "7"}),
		{"name", typedef, [][3]string{{dwType, dwFar, "7"}}, 0}, {"void", typedef, nil, 0}, {"round", typedef, [][3]string{{dwType, dwNear, "round"}}, 0},
	}
	unknown, void := &Linked{}, &Linked{Returns: Returned{Known: true, Void: true}}
	want := map[int]*Linked{1: void, 2: unknown, 3: unknown, 4: unknown, 5: void, 6: unknown, 7: unknown, 8: unknown, 9: void, 10: unknown,
		11: {NoReturn: true}, 12: {NoReturn: true}, 13: unknown}
	f := compile(t, "gcc", dwarfText(entries), "-x", "assembler")
	for address, w := range want {
		got, err := ReadLinked(f, uint64(address))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%d: %s", address, diff)
		}
	}

	// instances with an origin in a supplementary file may be those of the function
	for _, form := range []string{dwNear, dwFar} {
		f := compile(t, "gcc", dwarfText([]entryText{at(1), {"copy", inlined, [][3]string{{dwOrigin, form, map[string]string{dwNear: "f1", dwFar: "7"}[form]}}, 0}}), "-x", "assembler")
		got, err := ReadLinked(f, 1)
		if err != nil || got.InlinedUnknown != (form == dwFar) || got.Inlined != map[string]int{dwNear: 1}[form] {
			t.Errorf("%s: %+v, %v", form, got, err)
		}
	}
}
