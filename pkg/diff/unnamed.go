// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// gcc keeps the first values of a large local array of pointers in .data, without a name, where code does not depend on its
// address. Only assembly can write to what has no name.

// pairUnnamed pairs writable data without names that did not change, if no function refers to another place of it.
func (c *comparer) pairUnnamed() {
	for _, n := range c.new.unnamedData() {
		same := func(s *lpelf.Section) bool { return s.Name == n.Name }
		olds, news := slices.DeleteFunc(c.old.unnamedData(), not(same)), slices.DeleteFunc(c.new.unnamedData(), not(same))
		if len(olds) != 1 || len(news) != 1 || !c.equalSection(olds[0], n) {
			continue
		}
		was, ok1 := c.old.placesIn(olds[0])
		is, ok2 := c.new.placesIn(n)
		if ok1 && ok2 && maps.Equal(was, is) {
			c.res.Unnamed[n] = olds[0]
		}
	}
}

func not[T any](f func(T) bool) func(T) bool { return func(v T) bool { return !f(v) } }

// unnamedData are the sections of writable data without any name.
func (o *Object) unnamedData() []*lpelf.Section {
	var out []*lpelf.Section
	for _, s := range o.Sections {
		if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_ALLOC != 0 && !isReadOnly(s) && !isSet(s.Name) && len(o.SymbolsIn(s)) == 0 && s.Size > 0 {
			out = append(out, s)
		}
	}
	return out
}

// placesIn says which place of a section each function refers to. ok is false if one refers to several, or something else
// to any.
func (o *Object) placesIn(s *lpelf.Section) (places map[string]int64, ok bool) {
	places = map[string]int64{}
	for _, from := range o.Sections {
		if from.Flags&elf.SHF_ALLOC == 0 || strings.HasPrefix(from.Name, ".eh_frame") {
			continue
		}
		for _, r := range o.Refs(from) {
			if r.Sec != s {
				continue
			}
			f, _ := o.At(from, int64(r.Off))
			if f == nil || !from.IsText() {
				return nil, false
			}
			name := f.Name
			if parent, cold := ColdParent(name); cold {
				name = parent
			}
			if at, there := places[name]; there && at != r.At {
				return nil, false
			}
			places[name] = r.At
		}
	}
	return places, true
}
