// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/lpelf"
)

// gcc stores the initial values of a large local array of pointers in .data, without a symbol, if the code is position
// dependent. Only assembly can write to data without a symbol.

// pairUnnamed pairs unchanged sections of writable data without symbols, if every function refers to the same offset in them
// as before.
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

// unnamedData returns the sections of writable data without any symbol.
func (o *Object) unnamedData() []*lpelf.Section {
	var out []*lpelf.Section
	for _, s := range o.Sections {
		if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_ALLOC != 0 && !isReadOnly(s) && !isSet(s.Name) && len(o.SymbolsIn(s)) == 0 && s.Size > 0 {
			out = append(out, s)
		}
	}
	return out
}

// placesIn returns the offset in s that each function refers to. ok is false if a function refers to several offsets, or if
// anything else refers to s.
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
