// SPDX-License-Identifier: GPL-2.0

package closedworld

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// The formats of link maps: GNU ld and gold print the name of a section, possibly on a line of its own, its address, size and
// file; lld prints two addresses, size, alignment, and FILE:(SECTION).
var (
	gnuLine = lazyregexp.New(`^(?: (\.?\S+))?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$`)
	gnuName = lazyregexp.New(`^ (\.\S+)$`)
	lldLine = lazyregexp.New(`^\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+\s+(\S.*):\((\S*)\)$`)
	// assigned is what linkers write of a symbol of a linker script.
	assigned = lazyregexp.New(`^\s+(?:0x[0-9a-f]+|[0-9a-f]+\s+[0-9a-f]+\s+[0-9a-f]+\s+\d+)\s+(?:PROVIDE(?:_HIDDEN)? \()?([^\s.()]\S*) = `)
	// stringsName is how compilers name sections of text that linkers merge.
	stringsName = lazyregexp.New(`\.str\d+\.\d+$`)
)

// readMap parses a link map and returns the locations of the input sections.
func readMap(text string) []origin {
	var out []origin
	above := "" // section name from the preceding line
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		var at, length, file, name string
		if m := lldLine().FindStringSubmatch(line); m != nil {
			at, length, file, name = m[1], m[2], m[3], m[4]
		} else if m := gnuLine().FindStringSubmatch(line); m != nil {
			at, length, file, name = m[2], m[3], m[4], cmp.Or(m[1], above)
		}
		above = ""
		if m := gnuName().FindStringSubmatch(line); m != nil {
			above = m[1]
		}
		if file == "" || strings.HasPrefix(file, "load address") {
			continue
		}
		start, err1 := strconv.ParseUint(at, 16, 64)
		size, err2 := strconv.ParseUint(length, 16, 64)
		if err1 == nil && err2 == nil && size > 0 && start > 0 {
			out = append(out, origin{start, start + size, file, file == "<internal>" || stringsName().MatchString(name)})
		}
	}
	slices.SortStableFunc(out, func(a, b origin) int { return cmp.Compare(a.start, b.start) })
	return out
}

// readAssigned takes from a linker's map the names that a linker script gives to places. gold tells none.
func readAssigned(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		if m := assigned().FindStringSubmatch(line); m != nil && !isMark(m[1]) {
			out[m[1]] = true
		}
	}
	return out
}
