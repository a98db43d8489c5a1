// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/match"
)

// oldObjects holds all objects of the old source.
type oldObjects struct {
	raw    map[string][]byte
	parsed map[string]*diff.Object
}

// oldOf returns the old objects of pairs, by the names of the pairs.
func oldOf(pairs []pair) *oldObjects {
	o := &oldObjects{raw: map[string][]byte{}, parsed: map[string]*diff.Object{}}
	for _, p := range pairs {
		if p.old != nil {
			o.raw[p.name] = p.old
		}
	}
	return o
}

func (o *oldObjects) names() []string { return slices.Sorted(maps.Keys(o.raw)) }

func (o *oldObjects) get(name string) (*diff.Object, error) {
	if obj := o.parsed[name]; obj != nil {
		return obj, nil
	}
	f, err := lpelf.Parse("old "+name, o.raw[name])
	if err != nil {
		return nil, err
	}
	obj, err := diff.NewObject(name, f)
	if err != nil {
		return nil, err
	}
	o.parsed[name] = obj
	return obj, nil
}

// all returns the objects that can be read.
func (o *oldObjects) all() []*diff.Object {
	var out []*diff.Object
	for _, name := range o.names() {
		if obj, err := o.get(name); err == nil {
			out = append(out, obj)
		}
	}
	return out
}

// mayName reports whether an object may have a symbol called symbol: its string table contains the name, or another name with
// this suffix, which can share its bytes (gABI "String Table").
func mayName(object []byte, symbol string) bool {
	return bytes.Contains(object, []byte(symbol+"\x00"))
}

// naming returns the objects that define or reference a symbol called symbol.
func (o *oldObjects) naming(symbol string) ([]*diff.Object, error) {
	var out []*diff.Object
	for _, name := range o.names() {
		if !mayName(o.raw[name], symbol) && !strings.HasSuffix(name, diff.LateSuffix) { // these get their symbol names later
			continue
		}
		obj, err := o.get(name)
		if err != nil {
			return nil, err
		}
		out = append(out, obj)
	}
	return out, nil
}

// use is a function or variable of an object that refers to a symbol.
type use struct {
	obj *diff.Object
	sym *lpelf.Symbol // nil for an unnamed table, such as the list of constructors
	// through is set if it refers to the symbol only through others that the target does not contain.
	through bool
}

// name returns the name of the function, variable or table for messages.
func (u use) name() string {
	if u.sym == nil {
		return "a table"
	}
	return u.sym.Name
}

// usersIn returns the functions, variables and tables of an object that refer to a symbol called name.
func usersIn(obj *diff.Object, name string) []use {
	seen := map[*lpelf.Symbol]bool{}
	var out []use
	for _, sec := range obj.Sections {
		if sec.Flags&elf.SHF_ALLOC == 0 || sec.Name == ".eh_frame" {
			continue
		}
		for _, r := range obj.Refs(sec) {
			if r.Sym == nil || r.Sym.Name != name {
				continue
			}
			by, _ := obj.At(sec, int64(r.Off))
			// jump tables are unnamed, too, and refer to locations inside of the function
			if by == nil && !(r.Type.Pointer() || r.Add != 0 || sec.Flags&diff.LinkOrder != 0) || by != nil && by.Name == name || seen[by] {
				continue
			}
			seen[by] = true
			out = append(out, use{obj: obj, sym: by})
		}
	}
	return out
}

// users returns everything that refers to a symbol: in its object and, if the symbol is global, in all objects.
func (b *builder) users(obj *diff.Object, s *lpelf.Symbol) ([]use, error) {
	out := usersIn(obj, s.Name)
	if s.Bind == elf.STB_LOCAL {
		return out, nil
	}
	others, err := b.old.naming(s.Name)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		if other.Name == obj.Name || b.excluded(other.Name) != "" {
			continue
		}
		if def := other.Lookup(s.Name); def != nil && def.Bind == elf.STB_LOCAL {
			continue // a static symbol of that name
		}
		out = append(out, usersIn(other, s.Name)...)
	}
	return out, nil
}

// presence tells whether the target contains an old function or variable.
type presence int

const (
	isAbsent presence = iota // the target does not contain it
	isSame                   // the target contains it as in the object
	isOther                  // the target contains a different one
)

// present looks for an old function or variable in the target.
func (b *builder) present(u use) (presence, string) {
	if u.sym == nil {
		return isSame, "" // the linker keeps it together with any other part of the object
	}
	if u.sym.Bind == elf.STB_LOCAL && b.im.Named && !b.im.NamesLocals() {
		return isOther, "the target's symbol table names nothing that is static"
	}
	if !u.sym.IsFunc() {
		if len(b.definitions(u.obj, u.sym.Name)) > 0 {
			return isSame, ""
		}
		return isAbsent, ""
	}
	f := u.sym
	if parent, ok := diff.ColdParent(f.Name); ok && u.obj.Lookup(parent) != nil {
		f = u.obj.Lookup(parent)
	}
	_, err := match.Locate(b.im, u.obj, []*lpelf.Symbol{f})
	var refusals diff.Refusals
	switch {
	case err == nil:
		return isSame, ""
	case b.mustBeThere(u.obj, f):
		return isOther, "no code like it was found"
	case !errors.As(err, &refusals):
		if !b.namedElsewhere(u.obj, f) {
			return isAbsent, ""
		}
		refusals = diff.Refusals{{Text: "the target has a function of this name, which is from another file"}}
	case refusals[0].Code == codes.NeedsSymbols:
		return isAbsent, ""
	}
	if b.claimed(u.obj, f) {
		return isAbsent, ""
	}
	return isOther, refusals[0].Text
}

// mustBeThere reports whether a stripped target must contain a function although its code was not found: this is the case for
// main, if the target lacks the code of its object and no other object provides main. Link-time optimisation inlines called
// functions into main.
func (b *builder) mustBeThere(obj *diff.Object, f *lpelf.Symbol) bool {
	if f.Name != "main" || b.im.Soname() != "" || !b.im.Refutes(obj) {
		return false
	}
	owner, err := b.owner(obj, f, func(*diff.Object, *lpelf.Symbol) bool { return true })
	return err == nil && owner == ""
}

// namedElsewhere reports whether the target has a function with the name of an old one, but not from the source file of its
// object: from another object, or from this one if the target was linked with -flto or compiled as a single unit.
func (b *builder) namedElsewhere(obj *diff.Object, f *lpelf.Symbol) bool {
	if f.Bind != elf.STB_LOCAL {
		return b.im.Global(f.Name) != nil
	}
	if len(b.im.Local(0, f.Name)) > 0 {
		return true
	}
	return slices.ContainsFunc(b.im.LocalSources(f.Name), func(source string) bool {
		return !slices.ContainsFunc(b.old.names(), func(name string) bool {
			other, err := b.old.get(name)
			return err == nil && other.Name != obj.Name && other.Source == source && other.Lookup(f.Name) != nil
		})
	})
}

// claimed reports whether the function of the target with this name belongs to another old object: for a global function
// another definition that was linked, for a static one that of another source file of the same name.
func (b *builder) claimed(obj *diff.Object, f *lpelf.Symbol) bool {
	owner, err := b.owner(obj, f, func(other *diff.Object, def *lpelf.Symbol) bool {
		if f.Bind == elf.STB_LOCAL {
			return def.Bind == elf.STB_LOCAL && other.Source == obj.Source
		}
		return def.Bind != elf.STB_LOCAL
	})
	return err == nil && owner != ""
}

// overridden reports whether the target contains the function of another object instead of a weak one. All references then
// resolve to it, and compilers do not inline a preemptible weak function.
func (b *builder) overridden(obj *diff.Object, f *lpelf.Symbol) bool {
	return f.Bind == elf.STB_WEAK && !obj.Shared(f) && b.claimed(obj, f)
}

// owner returns the name of another old object whose function of the same name is the one in the target and satisfies counts;
// "" if there is none.
func (b *builder) owner(obj *diff.Object, f *lpelf.Symbol, counts func(*diff.Object, *lpelf.Symbol) bool) (string, error) {
	others, err := b.old.naming(f.Name)
	if err != nil {
		return "", err
	}
	for _, other := range others {
		def := other.Lookup(f.Name)
		if other.Name == obj.Name || def == nil || !def.IsFunc() || !counts(other, def) {
			continue
		}
		if _, err := match.Locate(b.im, other, []*lpelf.Symbol{def}); err == nil {
			return other.Name, nil
		}
	}
	return "", nil
}

// checkUsers refuses a changed symbol if something that refers to it, directly or through symbols that the target does not
// contain, is in the target but differs from the old object. The old code may then have been inlined there, unless the number
// of calls of address at, that of the symbol, is at least that in the object. If the target does not contain the symbol (at
// is 0), it must not contain anything that refers to it.
func (b *builder) checkUsers(obj *diff.Object, s *lpelf.Symbol, at uint64) (diff.Refusals, error) {
	var out diff.Refusals
	missing := at == 0
	if missing && b.overridden(obj, s) {
		return nil, nil
	}
	seen := map[*lpelf.Symbol]bool{s: true}
	for queue := []use{{obj: obj, sym: s}}; len(queue) > 0; queue = queue[1:] {
		users, err := b.users(queue[0].obj, queue[0].sym)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			u.through = queue[0].sym != s
			data := u.sym == nil || !u.sym.IsFunc()
			if u.sym != nil && seen[u.sym] || data && !missing && (!u.through || b.im.Named) {
				continue
			}
			seen[u.sym] = true
			switch is, why := b.present(u); {
			case is == isAbsent:
				queue = append(queue, u)
			case is == isOther && !b.changes(u) && (missing || u.through || b.callsLess(u, s.Name, at)):
				out = append(out, diff.Refusal{Code: codes.TargetDiffers, File: u.obj.Name, Symbol: u.name(),
					Text: fmt.Sprintf("it refers to %s of %s, which changes, and it is not in the target as it is in the old object, so the target may have a copy of that in it: %s",
						s.Name, obj.Name, why)})
			case data && !missing && is == isSame && b.im.Found(u.obj):
				out = append(out, diff.Refusal{Code: codes.TargetDiffers, File: u.obj.Name, Symbol: queue[0].name(),
					Text: fmt.Sprintf("it refers to %s of %s, which changes, and the target, which has %s with its address, has no code like it, so it may have a copy of that in it; name an unstripped build of exactly the target with --symbols",
						s.Name, obj.Name, u.name())})
			case is == isSame && missing:
				out = append(out, diff.Refusal{Code: codes.ObjectNotFound, File: obj.Name, Symbol: s.Name,
					Text: fmt.Sprintf("it changes, and %s of %s, which refers to it, is in %s, but it was not found there; name an unstripped build of exactly the target with --symbols",
						u.name(), u.obj.Name, b.im.Path)})
			}
		}
	}
	return out, nil
}

// callsLess reports whether the target's version of a function contains fewer calls of the function name, at address at, than
// the object's.
func (b *builder) callsLess(u use, name string, at uint64) bool {
	want := 0
	for _, part := range []*lpelf.Symbol{u.sym, u.obj.Lookup(u.sym.Name + ".cold")} {
		if part == nil {
			continue
		}
		for _, r := range u.obj.RefsIn(u.obj.SectionOf(part), part.Value, part.Size) {
			if r.Sym != nil && r.Sym.Name == name && r.Type.Meaning == arch.Branch {
				want++
			}
		}
	}
	to := b.im.Entries(name, at)
	most := 0
	for _, f := range b.definitions(u.obj, u.sym.Name) {
		n := b.im.Branches(f.Value, f.Size, to)
		for _, cold := range b.definitions(u.obj, u.sym.Name+".cold") {
			n += b.im.Branches(cold.Value, cold.Size, to)
		}
		most = max(most, n)
	}
	return most < want
}

// definitions returns the symbols of the target that may correspond to the symbol called name of an object.
func (b *builder) definitions(obj *diff.Object, name string) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	if s := b.im.Global(name); s != nil {
		out = append(out, s)
	}
	if def := obj.Lookup(name); obj.IsLate() && b.im.Named && def != nil {
		return append(out, b.im.LateLocals(def)...)
	}
	for _, block := range append(slices.Clone(b.im.Blocks(obj.Source)), 0) {
		out = append(out, b.im.Local(block, name)...)
	}
	return out
}

// changes reports whether a function is itself changed, so that it is compared with the target anyway.
func (b *builder) changes(u use) bool { return b.changed[changeKey(u.obj, u.sym)] }

func changeKey(obj *diff.Object, f *lpelf.Symbol) string { return obj.Name + "\x00" + f.Name }

// baseOf strips compiler-generated suffixes of clones from the name of a function.
func baseOf(name string) string {
	if base, _, ok := strings.Cut(name, "."); ok && base != "" {
		return base
	}
	return name
}
