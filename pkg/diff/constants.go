// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"cmp"
	"debug/dwarf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// counts are words in the names of enumerators that say how many others there are, which programs do not keep.
var counts = lazyregexp.New(`(?i)(^|_)(max|count|cnt|last|num|end|size|total|limit|nr|nb|n)s?(_|$)`)

// compareConstants refuses enumerators with another value of enumerations that nothing is of: programs keep them in numbers.
// Those of variables and members compareEnums sees to; what functions alone hand to each other is not kept.
func (c *comparer) compareConstants(old, new *debuginfo.Info) {
	before, now := constantsOf(old), constantsOf(new)
	refused := map[dwarf.Offset]bool{} // enumerations: one of each is enough
	for _, name := range slices.SortedFunc(maps.Keys(now), func(a, b string) int {
		return cmp.Or(cmp.Compare(now[a].of.Offset, now[b].of.Offset), cmp.Compare(a, b))
	}) {
		o, n := before[name], now[name]
		switch {
		case o.of == nil || o.value == n.value || refused[n.of.Offset] || counts().MatchString(name):
			continue
		case slices.Contains(c.opts.LayoutOK, name):
			c.res.Layouts = append(c.res.Layouts, name)
			continue
		}
		refused[n.of.Offset] = true
		c.refuse(name, codes.EnumChanged, "the enumerator was %s and is %s, and the program may keep the old value in a number; put new ones behind the others, or say --layout-ok '%s' if it does not",
			o.value, n.value, name)
	}
}

// constant is an enumerator.
type constant struct {
	value string
	of    *debuginfo.Entry
}

// constantsOf are the enumerators of the enumerations that are no types of anything, by their names.
func constantsOf(info *debuginfo.Info) map[string]constant {
	types := map[dwarf.Offset]bool{}
	info.Walk(func(e *debuginfo.Entry) {
		if to := e.Type().Value(); to != nil && e.Tag != dwarf.TagTypedef {
			types[to.Offset] = true
		}
	})
	out := map[string]constant{}
	info.Walk(func(e *debuginfo.Entry) {
		if e.Tag != dwarf.TagEnumerationType || !e.IsDefined() || types[e.Offset] {
			return
		}
		scope := strings.TrimSuffix(e.Qualified(), cmp.Or(e.Name(), debuginfo.Unnamed))
		for name, value := range e.Enumerators() {
			out[scope+name] = constant{value, e}
		}
	})
	return out
}
