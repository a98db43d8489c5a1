package closedworld

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The formats of link maps: GNU ld and gold write a section's name, which may be on a line of its own, its address, size, and file;
// lld its address twice, size, alignment, and FILE:(SECTION).
var (
	gnuLine = regexp.MustCompile(`^(?: \.?\S+)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$`)
	lldLine = regexp.MustCompile(`^\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+\s+(\S.*):\(\S*\)$`)
)

// readMap takes from a linker's map where it put what of which object.
func readMap(text string) []origin {
	var out []origin
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		m := lldLine.FindStringSubmatch(line)
		if m == nil {
			m = gnuLine.FindStringSubmatch(line)
		}
		if m == nil || strings.HasPrefix(m[3], "load address") {
			continue
		}
		start, err1 := strconv.ParseUint(m[1], 16, 64)
		size, err2 := strconv.ParseUint(m[2], 16, 64)
		if err1 == nil && err2 == nil && size > 0 && start > 0 {
			out = append(out, origin{start, start + size, m[3]})
		}
	}
	slices.SortStableFunc(out, func(a, b origin) int { return cmp.Compare(a.start, b.start) })
	return out
}
