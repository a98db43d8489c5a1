// SPDX-License-Identifier: GPL-2.0

// Package debuginfo reads the DWARF debugging information of relocatable files: the types and the types of variables and
// functions. Section numbers in comments refer to "DWARF Debugging Information Format, Version 5".
package debuginfo

import (
	"bytes"
	"compress/zlib"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// SectionShift gives each section of an object file an address range of its own; without it, all sections would start at
// address 0 in DWARF. Offset x in section i has the address i<<SectionShift + x.
const SectionShift = 32

// ErrNone is returned if a file has no debug information, or none in a supported form.
var ErrNone = errors.New("it has no debug information")

// Entry is a debugging information entry (DIE) with its children.
type Entry struct {
	*dwarf.Entry
	Unit, Parent *Entry // nil for the entry of a unit
	Children     []*Entry
	info         *Info
}

// Info is the debug information of a relocatable file.
type Info struct {
	Data  *dwarf.Data
	Units []*Entry

	entries map[dwarf.Offset]*Entry
	shapes  map[dwarf.Offset]string
	addrs   []byte // .debug_addr
	lines   []byte // .debug_line

	functions map[uint64]*Entry // by address; nil until needed
	variables map[uint64]*Entry // variables with static storage, by address; nil until needed
	named     map[string][]*Entry
	statics   map[uint64]Static // like variables, including pieces and thread-local variables
	declared  map[string][]*Entry
	files     map[*Entry][]string // file names of each unit
}

// Read reads the debug information of a relocatable file. The error wraps ErrNone with the reason, or describes the damage.
func Read(f *lpelf.File) (i *Info, err error) {
	defer func() {
		if r := recover(); r != nil {
			i, err = nil, errors.New("its debug information is damaged")
		}
	}()
	i = &Info{entries: map[dwarf.Offset]*Entry{}, shapes: map[dwarf.Offset]string{}}
	if err := i.open(f); err != nil {
		return nil, err
	}
	return i, i.readTree()
}

func (i *Info) open(f *lpelf.File) error {
	sec := map[string][]byte{}
	for _, s := range f.Sections {
		if !strings.HasPrefix(s.Name, ".debug_") {
			continue
		}
		if s.Name == ".debug_types" || sec[s.Name] != nil && s.Name == ".debug_info" {
			return fmt.Errorf("%w that is read: types are in units of their own (-fdebug-types-section)", ErrNone)
		}
		data, err := sectionBytes(s)
		if err != nil {
			return err
		}
		for _, r := range s.Relocs {
			relocate(f, data, r)
		}
		sec[s.Name] = data
	}
	if sec[".debug_info"] == nil {
		return ErrNone
	}
	d, err := dwarf.New(sec[".debug_abbrev"], nil, nil, sec[".debug_info"], sec[".debug_line"], nil, sec[".debug_ranges"], sec[".debug_str"])
	if err != nil {
		return err
	}
	for _, name := range []string{".debug_addr", ".debug_line_str", ".debug_str_offsets", ".debug_rnglists"} {
		if b := sec[name]; b != nil {
			if err := d.AddSection(name, b); err != nil {
				return err
			}
		}
	}
	i.Data, i.addrs, i.lines = d, sec[".debug_addr"], sec[".debug_line"]
	return nil
}

// sectionBytes returns a copy of the content of a debug section, decompressed (gABI "Compression Header", zlib only).
func sectionBytes(s *lpelf.Section) ([]byte, error) {
	if s.Flags&elf.SHF_COMPRESSED == 0 {
		return bytes.Clone(s.Data), nil
	}
	const header, most = 24, 1 << 30
	if len(s.Data) < header || binary.LittleEndian.Uint32(s.Data) != uint32(elf.COMPRESS_ZLIB) {
		return nil, fmt.Errorf("%w that is read: %s is compressed, and not by zlib", ErrNone, s.Name)
	}
	r, err := zlib.NewReader(bytes.NewReader(s.Data[header:]))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, most))
}

// relocate applies a relocation of a debug section. The section index is only added to addresses in allocated sections; a
// reference to another debug section, which 64-bit DWARF also stores in 8 bytes, is an offset.
func relocate(f *lpelf.File, data []byte, r lpelf.Reloc) {
	v := uint64(r.Addend) + r.Sym.Value
	switch {
	case r.Type.Meaning == arch.BlockOffset && r.Off+8 <= uint64(len(data)): // gas writes the upper half as 0
		binary.LittleEndian.PutUint64(data[r.Off:], v+uint64(r.Sym.Section)<<SectionShift)
	case r.Type.Pointer() && r.Off+8 <= uint64(len(data)):
		if s := f.SectionOf(r.Sym); s != nil && s.Flags&elf.SHF_ALLOC != 0 {
			v += uint64(r.Sym.Section) << SectionShift
		}
		binary.LittleEndian.PutUint64(data[r.Off:], v)
	case r.Type.Short() && !r.Type.Signed && r.Off+4 <= uint64(len(data)):
		binary.LittleEndian.PutUint32(data[r.Off:], uint32(v))
	}
}

// readTree reads all entries and links them to a tree.
func (i *Info) readTree() error {
	var open []*Entry
	for r := i.Data.Reader(); ; {
		e, err := r.Next()
		if err != nil || e == nil {
			return err
		}
		if e.Tag == 0 {
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			continue
		}
		n := &Entry{Entry: e, info: i}
		switch e.Tag {
		case dwarf.TagCompileUnit, dwarf.TagPartialUnit, dwarf.TagTypeUnit, dwarf.TagSkeletonUnit:
			open = nil
			i.Units = append(i.Units, n)
		default:
			if len(open) == 0 {
				return errors.New("its debug information is damaged")
			}
			n.Parent = open[len(open)-1]
			n.Parent.Children = append(n.Parent.Children, n)
			n.Unit = open[0]
		}
		i.entries[e.Offset] = n
		if e.Children {
			open = append(open, n)
		}
	}
}

// attrDwoName and attrGNUDwoName name the file that contains the rest of the unit (DWARF 5, 3.1.2; gcc's extension for DWARF
// 4).
const attrDwoName, attrGNUDwoName = dwarf.AttrDwoName, dwarf.Attr(0x2130)

// onlyLines matches options that make gcc omit types. gcc records its options in DW_AT_producer.
var onlyLines = lazyregexp.New(` -g(gdb|dwarf)?1\b`)

// Lacks returns the reason why the debug information may omit types and variables of the file, or "".
func (i *Info) Lacks() string {
	for _, u := range i.Units {
		producer, _ := u.Val(dwarf.AttrProducer).(string)
		language, _ := u.Val(dwarf.AttrLanguage).(int64)
		switch {
		case u.Val(attrDwoName) != nil || u.Val(attrGNUDwoName) != nil:
			return "its debug information is in another file (-gsplit-dwarf)"
		case language == languageAssembler:
		case onlyLines().MatchString(producer), u.hasCode() && !u.describesFunctions():
			return "its debug information is about lines only (-g1)"
		}
	}
	return ""
}

// languageAssembler is DW_LANG_Mips_Assembler (DWARF 5, table 7.17), which gas uses for assembly sources.
const languageAssembler = 0x8001

func (e *Entry) hasCode() bool {
	return e.Val(dwarf.AttrLowpc) != nil || e.Val(dwarf.AttrRanges) != nil
}

// describesFunctions reports whether a function of the unit has a declaration line. clang omits it if it does not describe
// types.
func (e *Entry) describesFunctions() bool {
	return slices.ContainsFunc(e.Children, func(c *Entry) bool {
		return (c.Tag == dwarf.TagSubprogram || c.Tag == dwarf.TagNamespace) && (c.origin().Val(dwarf.AttrDeclLine) != nil || c.describesFunctions())
	})
}

// Function returns the entry of the function of which a range starts at offset off of a section, or nil. A .cold part is a
// range of its own.
func (i *Info) Function(section int, off uint64) *Entry {
	if i.functions == nil {
		i.functions = map[uint64]*Entry{}
		i.Walk(func(e *Entry) {
			if e.Tag != dwarf.TagSubprogram {
				return
			}
			ranges, err := i.Data.Ranges(e.Entry)
			if err != nil {
				return
			}
			for _, r := range ranges {
				i.functions[r[0]] = e
			}
		})
	}
	return i.functions[uint64(section)<<SectionShift+off]
}

// Ref returns the entry that attribute a refers to, or nil.
func (e *Entry) Ref(a dwarf.Attr) *Entry {
	off, ok := e.Val(a).(dwarf.Offset)
	if !ok {
		return nil
	}
	return e.info.entries[off]
}

// Type returns the type of an entry. nil means void.
func (e *Entry) Type() *Entry {
	if e.Val(dwarf.AttrType) == nil {
		e = e.origin()
	}
	return e.Ref(dwarf.AttrType)
}

// origin returns the entry that provides the attributes which this one omits (DWARF 5, 2.13 and 3.3.8).
func (e *Entry) origin() *Entry {
	for range 8 {
		next := e.Ref(dwarf.AttrSpecification)
		if next == nil {
			next = e.Ref(dwarf.AttrAbstractOrigin)
		}
		if next == nil {
			return e
		}
		e = next
	}
	return e
}

// Name returns the unqualified name of the entry, or "".
func (e *Entry) Name() string {
	name, _ := e.Val(dwarf.AttrName).(string)
	if name == "" {
		name, _ = e.origin().Val(dwarf.AttrName).(string)
	}
	return name
}

// Int returns the value of an integer attribute.
func (e *Entry) Int(a dwarf.Attr) (int64, bool) {
	n, ok := e.Val(a).(int64)
	return n, ok
}

// IsStruct reports whether the entry is a structure, class or union.
func (e *Entry) IsStruct() bool {
	return e.Tag == dwarf.TagStructType || e.Tag == dwarf.TagClassType || e.Tag == dwarf.TagUnionType
}

// IsDefined reports whether the entry is more than a declaration.
func (e *Entry) IsDefined() bool { return e.Val(dwarf.AttrDeclaration) == nil }

// InFunction reports whether the entry is local to a function, so that its name may denote something else elsewhere.
func (e *Entry) InFunction() bool {
	for p := e.origin().Parent; p != nil; p = p.origin().Parent {
		if p.Tag == dwarf.TagSubprogram {
			return true
		}
	}
	return false
}

// languagesC are the codes of DW_LANG_C89, C, C99, C11, C17 and C23 (DWARF 5, table 7.17, and the DWARF committee's list of
// language codes).
var languagesC = []int64{0x1, 0x2, 0xc, 0x1d, 0x2c, 0x3e}

// IsC reports whether the source of the entry is written in C.
func (e *Entry) IsC() bool {
	if e.Unit != nil {
		e = e.Unit
	}
	language, _ := e.Int(dwarf.AttrLanguage)
	return slices.Contains(languagesC, language)
}

// Unnamed replaces the missing name of an entity in a qualified name.
const Unnamed = "<unnamed>"

// Qualified returns the name qualified with the enclosing namespaces, structures and functions, as in C++.
func (e *Entry) Qualified() string {
	name := e.Name()
	if name == "" {
		name = Unnamed
	}
	for p := e.origin().Parent; p != nil; p = p.origin().Parent {
		switch {
		case p.Tag == dwarf.TagNamespace, p.Tag == dwarf.TagSubprogram, p.IsStruct():
			part := p.Name()
			if part == "" {
				part = Unnamed
			}
			name = part + "::" + name
		}
	}
	return name
}

// Walk calls visit for all entries of the file.
func (i *Info) Walk(visit func(*Entry)) {
	for _, u := range i.Units {
		u.Walk(visit)
	}
}

// Walk calls visit for an entry and all its descendants.
func (e *Entry) Walk(visit func(*Entry)) {
	visit(e)
	for _, c := range e.Children {
		c.Walk(visit)
	}
}

// Uses calls visit for an entry, all its descendants, and their abstract origins, such as those of inlined subroutines.
func (e *Entry) Uses(visit func(*Entry)) {
	seen := map[dwarf.Offset]bool{}
	var walk func(*Entry)
	walk = func(e *Entry) {
		if seen[e.Offset] {
			return
		}
		seen[e.Offset] = true
		visit(e)
		if from := e.Ref(dwarf.AttrAbstractOrigin); from != nil {
			walk(from)
		}
		for _, c := range e.Children {
			walk(c)
		}
	}
	walk(e)
}
