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

// oldObjects are all objects of the old source.
type oldObjects struct {
	raw    map[string][]byte
	parsed map[string]*diff.Object
}

// oldOf takes the old objects of pairs, by the names of the pairs.
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

// all returns those that can be read.
func (o *oldObjects) all() []*diff.Object {
	var out []*diff.Object
	for _, name := range o.names() {
		if obj, err := o.get(name); err == nil {
			out = append(out, obj)
		}
	}
	return out
}

// mayName tells whether an object may have a symbol of that name: it has the name, or another one that ends with it, of which
// a string table then need not have a copy (gABI "String Table").
func mayName(object []byte, symbol string) bool {
	return bytes.Contains(object, []byte(symbol+"\x00"))
}

// naming returns the objects that have a symbol of that name, defined or not.
func (o *oldObjects) naming(symbol string) ([]*diff.Object, error) {
	var out []*diff.Object
	for _, name := range o.names() {
		if !mayName(o.raw[name], symbol) && !strings.HasSuffix(name, diff.LateSuffix) { // names of that are given later
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

// use is what refers to a symbol: a function or a variable of an object.
type use struct {
	obj *diff.Object
	sym *lpelf.Symbol // nil for a table without a name, as the list of constructors is
	// through tells that it does so through others, which the target has not.
	through bool
}

// name is that of the function or variable, or of the table, for a sentence.
func (u use) name() string {
	if u.sym == nil {
		return "a table"
	}
	return u.sym.Name
}

// usersIn returns what refers to a symbol of that name within one object.
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
			// The tables of a switch have no name either, and lead into the function.
			if by == nil && !(r.Type.Pointer() || r.Add != 0 || sec.Flags&diff.LinkOrder != 0) || by != nil && by.Name == name || seen[by] {
				continue
			}
			seen[by] = true
			out = append(out, use{obj: obj, sym: by})
		}
	}
	return out
}

// users returns what refers to a symbol: in its object, and if it is global, in all.
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
			continue // a static of that name
		}
		out = append(out, usersIn(other, s.Name)...)
	}
	return out, nil
}

// presence is what is known of an old function or variable in the target.
type presence int

const (
	isAbsent presence = iota // the target has none
	isSame                   // the target has it, as it is in the object
	isOther                  // the target has one, but another
)

// present looks for an old function or variable in the target.
func (b *builder) present(u use) (presence, string) {
	if u.sym == nil {
		return isSame, "" // the linker keeps it if it keeps anything of the object
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

// mustBeThere tells whether a stripped target has a function though its code was not found: main, where the target lacks the
// code of its object, and none of another object was found. Link-time optimisation puts into main what it calls.
func (b *builder) mustBeThere(obj *diff.Object, f *lpelf.Symbol) bool {
	if f.Name != "main" || b.im.Soname() != "" || !b.im.Refutes(obj) {
		return false
	}
	owner, err := b.owner(obj, f, func(*diff.Object, *lpelf.Symbol) bool { return true })
	return err == nil && owner == ""
}

// namedElsewhere tells whether the target has a function under an old one's name, though not from a source file of its
// object: of another object, or of this one where the target was linked with -flto or built as one unit.
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

// claimed tells whether what the target has under the name of a function is that of another old object: for a global one
// another definition that was linked, for a static one that of a source file of the same name.
func (b *builder) claimed(obj *diff.Object, f *lpelf.Symbol) bool {
	owner, err := b.owner(obj, f, func(other *diff.Object, def *lpelf.Symbol) bool {
		if f.Bind == elf.STB_LOCAL {
			return def.Bind == elf.STB_LOCAL && other.Source == obj.Source
		}
		return def.Bind != elf.STB_LOCAL
	})
	return err == nil && owner != ""
}

// overridden tells whether the target has another object's function instead of a weak one. All references go to that then,
// and no compiler puts a copy of a weak function into another.
func (b *builder) overridden(obj *diff.Object, f *lpelf.Symbol) bool {
	return f.Bind == elf.STB_WEAK && !obj.Shared(f) && b.claimed(obj, f)
}

// owner finds another old object whose function of that name is the one that the target has, and of a kind that counts.
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

// checkUsers finds out whether something that refers to a changed symbol, directly or through what the target has not, is in
// the target and not the same there as in the old object: then a copy of the old code may have been put into it (inlining),
// unless it calls at, the address of the symbol, as often as the object's does. For a symbol that the target has not (at is
// 0), nothing that refers to it may be there at all.
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

// callsLess tells whether the target's version of a function calls a function of that name, which is at an address, less
// often than the object's.
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

// definitions are the symbols of the target that may be an object's symbol of that name.
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

// changes tells whether a function changes itself, so that it is compared with the target anyway.
func (b *builder) changes(u use) bool { return b.changed[changeKey(u.obj, u.sym)] }

func changeKey(obj *diff.Object, f *lpelf.Symbol) string { return obj.Name + "\x00" + f.Name }

// baseOf strips what compilers append to the name of a function for its clones.
func baseOf(name string) string {
	if base, _, ok := strings.Cut(name, "."); ok && base != "" {
		return base
	}
	return name
}
