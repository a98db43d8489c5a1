// SPDX-License-Identifier: GPL-2.0

// Package diff compares the object files of the old and the new source, which are compiled with -ffunction-sections
// -fdata-sections. It determines which functions changed and why, and which changes cannot be made by a live patch. Code is
// compared with its relocations resolved to symbol names; strings and constants are compared by content.
package diff

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lpelf"
)

// Object is a relocatable file together with the indexes that are needed to follow its references.
type Object struct {
	*lpelf.File
	Name   string // relative path, by which old and new objects are matched
	Source string // name of the STT_FILE symbol

	byName map[string]*lpelf.Symbol  // functions and variables
	inSec  map[int][]*lpelf.Symbol   // the same by section, sorted by value
	ends   map[int]map[uint64]uint64 // per text section: start of a relocated field -> end of its instruction
	decode map[int]error             // per text section: decoding error
	refs   map[*lpelf.Section][]Ref  // resolved relocations
	// referring maps each section to the sections that refer to it; nil until needed.
	referring map[*lpelf.Section][]*lpelf.Section
	frames    []Frame                     // nil until they are read
	unwound   map[int][]Frame             // the same by the section of their code; nil until they are asked for
	reaches   map[*lpelf.Section][]uint64 // see reach
	debug     *debuginfo.Info             // nil until it is read

	byKey      map[string][]*lpelf.Symbol // functions by numberedKey; nil until needed
	identities map[*lpelf.Symbol]*identity
	sources    map[string]*source
	joined     map[string][]*lpelf.Symbol // result of namesakes
}

// NewObject indexes a relocatable file. name identifies it.
func NewObject(name string, f *lpelf.File) (*Object, error) {
	if err := f.CheckObject(); err != nil {
		return nil, err
	}
	for _, s := range f.Symbols {
		if s.Name == "__gnu_lto_slim" {
			return nil, fmt.Errorf("%s: holds no code, only input for link-time optimisation; compile without -flto", name)
		}
	}
	debug := NameLate(name, f)
	o := &Object{
		File: f, Name: name, Source: f.SourceName(), debug: debug,
		byName: map[string]*lpelf.Symbol{}, inSec: map[int][]*lpelf.Symbol{}, ends: map[int]map[uint64]uint64{},
		decode: map[int]error{}, refs: map[*lpelf.Section][]Ref{}, identities: map[*lpelf.Symbol]*identity{}, sources: map[string]*source{},
	}
	for _, s := range f.Symbols {
		if s.Name == "" || s.Type == elf.STT_FILE || s.Type == elf.STT_SECTION || s.Section == elf.SHN_UNDEF {
			continue
		}
		if old, dup := o.byName[s.Name]; !dup || old.Bind == elf.STB_LOCAL {
			o.byName[s.Name] = s
		}
		if sec := f.SectionOf(s); sec != nil {
			if s.Value > sec.Size || s.Size > sec.Size-s.Value {
				return nil, fmt.Errorf("%s: symbol %s reaches beyond its section %s; the file is damaged", name, s.Name, sec.Name)
			}
			o.inSec[sec.Index] = append(o.inSec[sec.Index], s)
		}
	}
	for _, syms := range o.inSec {
		sort.SliceStable(syms, func(i, j int) bool { return syms[i].Value < syms[j].Value })
	}
	for _, s := range f.Sections {
		if s.IsText() {
			o.decodeSection(s)
		}
	}
	return o, nil
}

// EmptyObject returns an object without content: the old version of an object that was added.
func EmptyObject(name string) *Object {
	o, err := NewObject(name, &lpelf.File{Type: elf.ET_REL})
	if err != nil {
		panic(err) // cannot happen for an empty object
	}
	return o
}

// Debug returns the debug information of the object, which it reads at the first call.
func (o *Object) Debug() (*debuginfo.Info, error) {
	if o.debug != nil {
		return o.debug, nil
	}
	info, err := debuginfo.Read(o.File)
	o.debug = info
	return info, err
}

// decodeSection finds the instruction that contains each relocated field, because a PC-relative addend is relative to the end
// of its instruction.
func (o *Object) decodeSection(s *lpelf.Section) {
	ends := map[uint64]uint64{}
	o.ends[s.Index] = ends
	next := 0
	for pos, in := range arch.Instructions(o.Arch, s.Data) {
		if in.Kind == arch.Bad {
			_, err := o.Arch.Decode(s.Data[pos:])
			o.decode[s.Index] = fmt.Errorf("%s+%#x: %w", s.Name, pos, err)
			return
		}
		end := pos + in.Len
		for next < len(s.Relocs) && s.Relocs[next].Off < uint64(end) {
			ends[s.Relocs[next].Off] = uint64(end)
			next++
		}
	}
}

// DecodeError returns the reason why a section could not be decoded, or nil.
func (o *Object) DecodeError(s *lpelf.Section) error { return o.decode[s.Index] }

// Lookup returns the function or variable called name, or nil. Undefined symbols are not considered; common symbols are.
func (o *Object) Lookup(name string) *lpelf.Symbol { return o.byName[name] }

// SymbolsIn returns the named symbols of a section, sorted by value.
func (o *Object) SymbolsIn(s *lpelf.Section) []*lpelf.Symbol { return o.inSec[s.Index] }

// Functions returns the functions of the object in the order of the symbol table.
func (o *Object) Functions() []*lpelf.Symbol {
	return o.filter((*lpelf.Symbol).IsFunc)
}

// Variables returns the data symbols of the object, including common and thread-local ones.
func (o *Object) Variables() []*lpelf.Symbol {
	return o.filter(func(s *lpelf.Symbol) bool {
		return s.Type == elf.STT_OBJECT || s.Type == elf.STT_COMMON || s.Type == elf.STT_TLS
	})
}

func (o *Object) filter(keep func(*lpelf.Symbol) bool) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	for _, s := range o.Symbols {
		if s.Section != elf.SHN_UNDEF && keep(s) && o.byName[s.Name] == s {
			out = append(out, s)
		}
	}
	return out
}

// At returns the named symbol that covers offset off of a section, and the offset relative to it. An offset outside of all
// symbols is attributed to the nearest symbol below, because compilers bias the addresses of arrays, else to the first one.
func (o *Object) At(s *lpelf.Section, off int64) (*lpelf.Symbol, int64) {
	syms := o.inSec[s.Index]
	if len(syms) == 0 {
		return nil, off
	}
	best := syms[0]
	for _, sym := range syms {
		if int64(sym.Value) > off {
			break
		}
		if sym.Value > best.Value || best.Size == 0 || sym.Bind != elf.STB_LOCAL && sym.Value == best.Value {
			best = sym
		}
	}
	return best, off - int64(best.Value)
}

// Ref is a relocation with its resolved target.
type Ref struct {
	Off  uint64 // offset of the relocated field in its section
	Type arch.Reloc
	Sym  *lpelf.Symbol  // target symbol; a section symbol is replaced by the named symbol at the target; nil if there is none
	Sec  *lpelf.Section // section of the target; nil for undefined, absolute and common symbols
	At   int64          // target offset in Sec
	Add  int64          // target offset relative to Sym
	Raw  lpelf.Reloc
	End  uint64 // in text: end of the instruction that contains the field; else 0
}

// Refs returns the resolved relocations of a section.
func (o *Object) Refs(s *lpelf.Section) []Ref {
	if refs, ok := o.refs[s]; ok {
		return refs
	}
	refs := make([]Ref, 0, len(s.Relocs))
	for _, r := range s.Relocs {
		if r.Type.Meaning == arch.None {
			continue
		}
		refs = append(refs, o.resolve(s, r))
	}
	o.refs[s] = refs
	return refs
}

func (o *Object) resolve(s *lpelf.Section, r lpelf.Reloc) Ref {
	ref := Ref{Off: r.Off, Type: r.Type, Sym: r.Sym, Add: r.Addend, Raw: r}
	if end, ok := o.ends[s.Index][r.Off]; ok {
		ref.End = end
		if r.Type.PCRel {
			ref.Add += int64(end - r.Off)
		}
	}
	sec := o.SectionOf(r.Sym)
	if sec == nil {
		return ref
	}
	ref.Sec = sec
	ref.At = int64(r.Sym.Value) + ref.Add
	if r.Sym.Type == elf.STT_SECTION || r.Sym.Name == "" {
		ref.Sym, ref.Add = o.At(sec, ref.At)
	}
	return ref
}

// Lit is a literal: a string with its terminating NUL, or an entry of a mergeable section of constants.
type Lit struct {
	Content string
	Off     int64  // target relative to the start of the content; negative if the compiler biased the address
	Align   uint64 // alignment of the content in bytes
}

// Literal returns the literal that a reference denotes if its identity is irrelevant. A relocation against a label in a
// mergeable section denotes the literal at the label, whatever the addend is; one against the section symbol denotes the
// literal at the target. ok is false for targets outside of mergeable sections.
func Literal(ref Ref) (lit Lit, ok bool) {
	s := ref.Sec
	if s == nil || s.Flags&elf.SHF_MERGE == 0 || s.Entry == 0 || len(s.Relocs) > 0 {
		return Lit{}, false
	}
	start := ref.At
	if ref.Raw.Sym.Type != elf.STT_SECTION {
		start, lit.Off = int64(ref.Raw.Sym.Value), ref.Add
	}
	if start < 0 || start >= int64(len(s.Data)) {
		return Lit{}, false
	}
	if s.Flags&elf.SHF_STRINGS == 0 {
		within := start % int64(s.Entry)
		start, lit.Off = start-within, lit.Off+within
	}
	lit.Align = s.Align
	for lit.Align > 1 && uint64(start)%lit.Align != 0 {
		lit.Align /= 2
	}
	lit.Content, ok = literalAt(s, s.Data[start:])
	return lit, ok
}

// Constant returns the start and the size of the entry of a mergeable section that ref refers to, if the entries contain
// addresses, as constants of non-PIC code may.
func Constant(ref Ref) (start, size uint64, ok bool) {
	s := ref.Sec
	if s == nil || s.Flags&(elf.SHF_MERGE|elf.SHF_STRINGS) != elf.SHF_MERGE || s.Entry == 0 || len(s.Relocs) == 0 {
		return 0, 0, false
	}
	if ref.At < 0 || uint64(ref.At) >= s.Size {
		return 0, 0, false
	}
	start = uint64(ref.At) - uint64(ref.At)%s.Entry
	return start, min(s.Entry, s.Size-start), true
}

// RefsIn returns the resolved relocations in the size bytes of s from offset start.
func (o *Object) RefsIn(s *lpelf.Section, start, size uint64) []Ref {
	return refsIn(o.Refs(s), start, size)
}

func literalAt(s *lpelf.Section, d []byte) (string, bool) {
	n := int(s.Entry)
	if s.Flags&elf.SHF_STRINGS == 0 {
		return string(d[:min(n, len(d))]), true
	}
	zero := make([]byte, n)
	for i := 0; i+n <= len(d); i += n {
		if bytes.Equal(d[i:i+n], zero) {
			return string(d[:i+n]), true
		}
	}
	return "", false
}

// baseName strips the number that a compiler appends to the names of static locals: "count.3" -> "count".
func baseName(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return name
	}
	return name[:i]
}

// ByContent reports whether s is a constant that the compiler generated and that has no identity a program can depend on,
// such as function names for assertions and tables for switch statements.
func ByContent(s *lpelf.Symbol) bool {
	switch b := baseName(s.Name); b {
	case "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "CSWTCH":
		return true
	}
	return strings.HasPrefix(s.Name, ".L") || strings.HasPrefix(s.Name, "switch.table.") || IsNameless(s.Name)
}

// HoldsLabels reports whether a variable contains addresses of locations within functions, as the static table of a computed
// goto does (GNU C, "Labels as Values"). Such a table belongs to the version of the function that it was compiled with, and
// must not be used by another version.
func (o *Object) HoldsLabels(s *lpelf.Symbol) bool {
	sec := o.SectionOf(s)
	if sec == nil || sec.IsText() || s.Type != elf.STT_OBJECT {
		return false
	}
	return slices.ContainsFunc(o.refsAt(sec, s.Value, s.Size), func(r Ref) bool {
		if r.Sec == nil || !r.Sec.IsText() {
			return false
		}
		if r.Sym == nil || r.Add != 0 {
			return true
		}
		_, cold := ColdParent(r.Sym.Name)
		return cold
	})
}

// byContent reports whether a variable is identified by its content alone.
func (o *Object) byContent(s *lpelf.Symbol) bool { return ByContent(s) || o.HoldsLabels(s) }

// labelTables are the variables that hold addresses of labels to which a function refers.
func (o *Object) labelTables(f *lpelf.Symbol) []*lpelf.Symbol {
	var out []*lpelf.Symbol
	sec := o.SectionOf(f)
	for _, r := range o.refsAt(sec, f.Value, f.Size) {
		if r.Sym != nil && r.Sec != sec && !ByContent(r.Sym) && o.HoldsLabels(r.Sym) && !slices.Contains(out, r.Sym) {
			out = append(out, r.Sym)
		}
	}
	return out
}

// ColdParent returns the function that a ".cold" part belongs to.
func ColdParent(name string) (string, bool) {
	i := strings.LastIndex(name, ".cold")
	if i <= 0 || strings.Trim(name[i+len(".cold"):], ".0123456789") != "" {
		return "", false
	}
	return name[:i], true
}
