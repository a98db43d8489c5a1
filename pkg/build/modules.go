// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// ThinLTO of LLVM, which rustc applies to the objects of a crate by default, makes a static function or constant global if
// another module uses it. Its name gets the suffix ".llvm." and a number, a hash of the module that also depends on debug
// information. This file replaces the numbers in old and new objects by those of the target, so that names are comparable.
// Constants without a name in the source are also numbered by their order; those of the new objects get the names of old
// constants with equal content, else unique names.

// promoted matches the name of a former static symbol: its original name and the number of its module.
var promoted = lazyregexp.New(`^(.+)\.llvm\.([0-9]+)$`)

// modules holds the objects of one side that have such names.
type modules struct {
	objects map[string]*diff.Object
	numbers map[string]string // object -> number
}

// unifyModules renames the symbols in all objects as in the target or, if it has no symbol table, as in the old objects.
func (b *builder) unifyModules(olds, news map[string][]byte) error {
	old, err := readModules(olds)
	if err != nil {
		return err
	}
	new, err := readModules(news)
	if err != nil || len(old.objects)+len(new.objects) == 0 {
		return err
	}
	rename := func(number string) string { return number }
	if b.im.Named {
		target := b.targetModules(old)
		rename = func(number string) string { return cmp.Or(target[number], number) }
	}
	toOld := old.numbersOf(new)
	suffix := func(name string) string {
		m := promoted().FindStringSubmatch(name)
		if m == nil {
			return name
		}
		return m[1] + ".llvm." + rename(m[2])
	}
	constants := renameConstants(old, new, toOld)
	static, exported, err := becameGlobal(olds, news)
	if err != nil {
		return err
	}
	for name, data := range olds {
		if olds[name], err = renameSymbols(name, data, suffix); err != nil {
			return err
		}
	}
	for object, data := range news {
		news[object], err = renameSymbols(object, data, func(name string) string {
			if to := cmp.Or(constants[name], static[name], exported[object][name]); to != "" {
				return suffix(to)
			}
			if m := promoted().FindStringSubmatch(name); m != nil {
				name = m[1] + ".llvm." + cmp.Or(toOld[m[2]], m[2])
			}
			return suffix(name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// numbersOf maps the numbers of objects on the other side to those on this side.
func (m *modules) numbersOf(other *modules) map[string]string {
	to := map[string]string{}
	for name, number := range other.numbers {
		if was := m.numbers[name]; was != "" {
			to[number] = was
		}
	}
	return to
}

// becameGlobal finds symbols that have such a number on one side only, because another module started or stopped using them.
// It maps new names to old ones, globally and per object.
func becameGlobal(olds, news map[string][]byte) (all map[string]string, own map[string]map[string]string, err error) {
	all, own = map[string]string{}, map[string]map[string]string{}
	names := func(object string, data []byte) (map[string]string, error) { // names by name without number
		out := map[string]string{}
		f, err := lpelf.Parse(object, data)
		if err != nil {
			return nil, err
		}
		for _, s := range f.Symbols {
			switch m := promoted().FindStringSubmatch(s.Name); {
			case s.Section == elf.SHN_UNDEF || s.Name == "" || diff.IsNameless(s.Name) || s.Type == elf.STT_FILE:
			case m != nil:
				out[m[1]] = s.Name
			case out[s.Name] == "":
				out[s.Name] = s.Name
			}
		}
		return out, nil
	}
	for object, data := range news {
		if olds[object] == nil || bytes.Equal(olds[object], data) || isBitcode(data) || isBitcode(olds[object]) || !isModule(data) && !isModule(olds[object]) || lpelf.Foreign(data)+lpelf.Foreign(olds[object]) != "" {
			continue
		}
		was, err := names(object, olds[object])
		if err != nil {
			return nil, nil, err
		}
		is, err := names(object, data)
		if err != nil {
			return nil, nil, err
		}
		own[object] = map[string]string{}
		for base, name := range is {
			switch {
			case name != base && was[base] == base:
				all[name] = base
			case name == base && was[base] != "" && was[base] != base:
				own[object][name] = was[base]
			}
		}
	}
	return all, own, nil
}

func isModule(data []byte) bool { return bytes.Contains(data, []byte(".llvm.")) }

// readModules reads the objects that define names with numbers.
func readModules(objects map[string][]byte) (*modules, error) {
	m := &modules{map[string]*diff.Object{}, map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		data := objects[name]
		if isBitcode(data) || !isModule(data) || lpelf.Foreign(data) != "" {
			continue
		}
		f, err := lpelf.Parse(name, data)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(f.Symbols, func(s *lpelf.Symbol) bool {
			return s.Defined() && s.Bind != elf.STB_LOCAL && promoted().MatchString(s.Name)
		}) {
			continue // only references
		}
		obj, err := diff.NewObject(name, f)
		if err != nil {
			continue // refused where the object is compared
		}
		for _, s := range slices.Concat(obj.Functions(), obj.Variables()) {
			if p := promoted().FindStringSubmatch(s.Name); p != nil && s.Bind != elf.STB_LOCAL {
				m.objects[name], m.numbers[name] = obj, p[2]
			}
		}
	}
	return m, nil
}

// targetModules maps the numbers of old modules to those in the target. A number belongs to the only module that defines all
// names with this number, with the same sizes.
func (b *builder) targetModules(old *modules) map[string]string {
	there := map[string]map[string]uint64{} // number -> name -> size
	b.im.EachSymbol(func(s *lpelf.Symbol) {
		if m := promoted().FindStringSubmatch(s.Name); m != nil {
			if there[m[2]] == nil {
				there[m[2]] = map[string]uint64{}
			}
			there[m[2]][m[1]] = s.Size
		}
	})
	may := map[string][]string{} // number in the target -> candidates
	for number, names := range there {
		for object, own := range old.numbers {
			has := func(base string) bool {
				s := old.objects[object].Lookup(base + ".llvm." + own)
				return s != nil && s.Size == names[base]
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(names)), func(base string) bool { return !has(base) }) {
				may[number] = append(may[number], own)
			}
		}
	}
	out := map[string]string{}
	for found := true; found; {
		found = false
		for number, list := range may {
			list = slices.DeleteFunc(list, func(own string) bool { return out[own] != "" })
			if may[number] = list; len(list) == 1 {
				out[list[0]], found = number, true
			}
		}
	}
	return out
}

// renameConstants maps the names of constants in new modules to those of old constants with equal content.
func renameConstants(old, new *modules, toOld map[string]string) map[string]string {
	contents := func(m *modules, canonical map[string]string) map[string]string {
		c := &constants{m, canonical, map[string]string{}}
		for _, name := range slices.Sorted(maps.Keys(m.objects)) {
			for _, v := range m.objects[name].Variables() {
				if v.Bind != elf.STB_LOCAL && diff.IsNameless(v.Name) {
					c.texts[v.Name] = c.ofSymbol(m.objects[name], v, 0)
				}
			}
		}
		return c.texts
	}
	of := map[string]string{}
	was := contents(old, nil)
	for _, name := range slices.Sorted(maps.Keys(was)) {
		of[was[name]] = name
	}
	out := map[string]string{}
	for name, text := range contents(new, toOld) {
		out[name] = cmp.Or(of[text], "anon."+sumOf([]byte(text))[:32]+".new")
		if was[name] == text { // prefer the same name if several constants are equal
			out[name] = name
		}
	}
	return out
}

// constants describes constants by content, including what they point to.
type constants struct {
	*modules
	canonical map[string]string // canonical numbers of modules
	texts     map[string]string
}

// most is the maximum nesting depth.
const most = 8

func (c *constants) ofSymbol(o *diff.Object, s *lpelf.Symbol, depth int) string {
	sec := o.SectionOf(s)
	if sec == nil {
		return s.Name
	}
	return c.ofRange(o, sec, s.Value, s.Size, depth)
}

func (c *constants) ofRange(o *diff.Object, sec *lpelf.Section, start, size uint64, depth int) string {
	data := make([]byte, size)
	if start < uint64(len(sec.Data)) {
		copy(data, sec.Data[start:])
	}
	text := fmt.Sprintf("%v %d:", sec.Flags&elf.SHF_WRITE, sec.Align)
	for _, r := range o.RefsIn(sec, start, size) {
		for i := r.Off - start; i < min(r.Off-start+uint64(r.Type.Size), size); i++ {
			data[i] = 0
		}
		text += fmt.Sprintf("%d %d %s;", r.Off-start, r.Type.Number, c.ofRef(o, r, depth+1))
	}
	return text + string(data)
}

func (c *constants) ofRef(o *diff.Object, r diff.Ref, depth int) string {
	switch lit, ok := diff.Literal(r); {
	case ok:
		return fmt.Sprintf("%q+%d", lit.Content, lit.Off)
	case r.Sym != nil && r.Sym.Name != "" && !diff.IsNameless(r.Sym.Name):
		name := r.Sym.Name
		if m := promoted().FindStringSubmatch(name); m != nil {
			name = m[1] + ".llvm." + cmp.Or(c.canonical[m[2]], m[2])
		}
		return fmt.Sprintf("%s+%d", name, r.Add)
	case r.Sec == nil:
		if m := promoted().FindStringSubmatch(r.Sym.Name); m != nil {
			for name, number := range c.numbers {
				if def := c.objects[name].Lookup(r.Sym.Name); number == m[2] && def != nil && depth < most {
					return c.ofSymbol(c.objects[name], def, depth)
				}
			}
		}
		return r.Sym.Name
	case depth >= most:
		return fmt.Sprintf("%s %s+%d", o.Name, r.Sec.Name, r.At) // unique, so that it equals nothing else
	case r.Sym != nil && r.Sym.Name != "":
		return fmt.Sprintf("{%s}+%d", c.ofSymbol(o, r.Sym, depth), r.Add)
	}
	return fmt.Sprintf("{%s}+%d", c.ofRange(o, r.Sec, 0, r.Sec.Size, depth), r.At)
}

// renameSymbols renames the symbols of an object and appends a new string table to the file. Files that are not ELF files for
// this machine are returned unchanged.
func renameSymbols(object string, data []byte, name func(string) string) ([]byte, error) {
	if !isELF(data) || lpelf.Foreign(data) != "" {
		return data, nil
	}
	f, err := lpelf.Parse(object, data) // checks that all tables are within the file
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(f.Sections, func(s *lpelf.Section) bool { return s.Type == elf.SHT_SYMTAB })
	if i < 0 || f.Sections[i].Link >= uint32(len(f.Sections)) {
		return data, nil
	}
	le, table, names := binary.LittleEndian, f.Sections[i], f.Sections[f.Sections[i].Link]
	out, strs, renamed := slices.Clone(data), slices.Clone(names.Data), false
	for at := table.Offset; at+24 <= table.Offset+uint64(len(table.Data)); at += 24 {
		from := le.Uint32(out[at:])
		old, _, ok := strings.Cut(string(strs[min(uint64(from), uint64(len(strs))):]), "\x00")
		if !ok {
			return nil, fmt.Errorf("%s: its string table is damaged", object)
		}
		if to := name(old); to != old {
			renamed = true
			le.PutUint32(out[at:], uint32(len(strs)))
			strs = append(append(strs, to...), 0)
		}
	}
	if !renamed {
		return data, nil
	}
	header := out[le.Uint64(data[0x28:])+uint64(table.Link)*uint64(le.Uint16(data[0x3a:])):]
	le.PutUint64(header[24:], uint64(len(out)))
	le.PutUint64(header[32:], uint64(len(strs)))
	return append(out, strs...), nil
}
