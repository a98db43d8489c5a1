// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"
)

// Shape returns a string that describes everything that code depends on in a type. Named types are described by kind and
// name, because their content is compared where they are defined; all others by content. Typedefs, const and volatile are
// ignored. nil is void.
func (e *Entry) Shape() string {
	if e == nil {
		return "void"
	}
	if s, ok := e.info.shapes[e.Offset]; ok {
		return s
	}
	e.info.shapes[e.Offset] = "…" // placeholder for a recursive type
	s := e.shape()
	e.info.shapes[e.Offset] = s
	return s
}

func (e *Entry) shape() string {
	switch e.Tag {
	case dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		return e.Type().Shape()
	case dwarf.TagBaseType:
		encoding, _ := e.Int(dwarf.AttrEncoding)
		size, _ := e.Int(dwarf.AttrByteSize)
		return fmt.Sprintf("base %d/%d", encoding, size)
	case dwarf.TagPointerType, dwarf.TagReferenceType, dwarf.TagRvalueReferenceType:
		return "pointer to " + e.Type().Shape()
	case dwarf.TagPtrToMemberType:
		return "pointer into " + e.Ref(dwarf.AttrContainingType).Shape() + " to " + e.Type().Shape()
	case dwarf.TagArrayType:
		return e.Type().Shape() + e.dimensions()
	case dwarf.TagSubroutineType:
		return "function" + e.Content()
	}
	if e.Name() != "" && !e.IsClosure() {
		return kindOf(e) + " " + e.Qualified()
	}
	if e.Tag == dwarf.TagUnspecifiedType {
		return "unspecified"
	}
	return e.Content()
}

// IsClosure reports whether the entry is the type of a lambda expression. Some versions of gcc give it a name, others only
// name its constructor and destructor; clang emits an unnamed class with a call operator, or with instances of a call operator that
// is a template (operator()<int>).
func (e *Entry) IsClosure() bool {
	if strings.HasPrefix(e.Name(), "<lambda") {
		return true
	}
	return e.IsStruct() && e.Name() == "" && slices.ContainsFunc(e.Children, func(c *Entry) bool {
		return c.Tag == dwarf.TagSubprogram && (strings.HasPrefix(c.Name(), "operator()") || strings.HasPrefix(strings.TrimPrefix(c.Name(), "~"), "<lambda"))
	})
}

// kindOf returns the kind of a type. It is "struct" for classes, too, because a forward declaration may use either keyword.
func kindOf(e *Entry) string {
	switch e.Tag {
	case dwarf.TagStructType, dwarf.TagClassType:
		return "struct"
	case dwarf.TagUnionType:
		return "union"
	case dwarf.TagEnumerationType:
		return "enum"
	}
	return e.Tag.String()
}

// dimensions returns the dimensions of an array in C syntax, outermost first.
func (e *Entry) dimensions() string {
	var b strings.Builder
	for _, c := range e.Children {
		if c.Tag != dwarf.TagSubrangeType {
			continue
		}
		n, ok := c.Int(dwarf.AttrCount)
		if !ok {
			n, ok = c.Int(dwarf.AttrUpperBound)
			n++
		}
		if ok {
			fmt.Fprintf(&b, "[%d]", n)
		} else {
			b.WriteString("[]")
		}
	}
	if vector, _ := e.Val(dwarf.Attr(0x2107)).(bool); vector { // DW_AT_GNU_vector
		b.WriteString(" vector")
	}
	return b.String()
}

// Content describes the parts of a structure, an enumeration or a function type.
func (e *Entry) Content() string {
	var b strings.Builder
	size, _ := e.Int(dwarf.AttrByteSize)
	align, _ := e.Int(dwarf.AttrAlignment)
	fmt.Fprintf(&b, "%s %d %d{", kindOf(e), size, align)
	if e.Tag == dwarf.TagSubroutineType {
		b.WriteString(e.Type().Shape() + ":")
	}
	for _, c := range e.Children {
		c.describePart(&b)
	}
	return b.String() + "}"
}

// IsMember reports whether the entry is a nonstatic member or a base of a structure.
func (e *Entry) IsMember() bool {
	return e.Tag == dwarf.TagInheritance || e.Tag == dwarf.TagMember && e.Val(dwarf.AttrExternal) == nil && e.IsDefined()
}

func (e *Entry) describePart(b *strings.Builder) {
	switch {
	case e.IsMember():
		at, _ := e.Int(dwarf.AttrDataMemberLoc)
		bit, _ := e.Int(dwarf.AttrDataBitOffset)
		oldBit, _ := e.Int(dwarf.AttrBitOffset)
		bits, _ := e.Int(dwarf.AttrBitSize)
		align, _ := e.Int(dwarf.AttrAlignment)
		virtual, _ := e.Int(dwarf.AttrVirtuality)
		fmt.Fprintf(b, "%s@%d.%d:%d/%d/%d %s;", e.Name(), at, bit+oldBit, bits, align, virtual, e.Type().Shape())
	case e.Tag == dwarf.TagFormalParameter, e.Tag == dwarf.TagTemplateTypeParameter:
		fmt.Fprintf(b, "%s;", e.Type().Shape())
	case e.Tag == dwarf.TagUnspecifiedParameters:
		b.WriteString("...;")
	case e.Tag == dwarf.TagEnumerator:
		fmt.Fprintf(b, "%s=%v;", e.Name(), e.Val(dwarf.AttrConstValue))
	case e.Tag == dwarf.TagVariantPart, e.Tag == dwarf.TagVariant: // enumerations of Rust
		fmt.Fprintf(b, "%s %v %v{", e.Tag, e.Val(dwarf.AttrDiscrValue), e.Val(dwarf.AttrDiscrList))
		for _, c := range e.Children {
			c.describePart(b)
		}
		b.WriteString("}")
	}
}

// Spell returns a type in C syntax, without the keywords struct, union and enum.
func (e *Entry) Spell() string {
	if e == nil {
		return "void"
	}
	switch e.Tag {
	case dwarf.TagConstType:
		return "const " + e.Type().Spell()
	case dwarf.TagVolatileType:
		return "volatile " + e.Type().Spell()
	case dwarf.TagRestrictType, dwarf.TagAtomicType:
		return e.Type().Spell()
	case dwarf.TagPointerType:
		return e.Type().Spell() + "*"
	case dwarf.TagReferenceType:
		return e.Type().Spell() + "&"
	case dwarf.TagRvalueReferenceType:
		return e.Type().Spell() + "&&"
	case dwarf.TagPtrToMemberType:
		return e.Type().Spell() + " " + e.Ref(dwarf.AttrContainingType).Spell() + "::*"
	case dwarf.TagArrayType:
		return e.Type().Spell() + e.dimensions()
	case dwarf.TagSubroutineType:
		var args []string
		for _, c := range e.Children {
			switch c.Tag {
			case dwarf.TagFormalParameter:
				args = append(args, c.Type().Spell())
			case dwarf.TagUnspecifiedParameters:
				args = append(args, "...")
			}
		}
		return e.Type().Spell() + "(" + strings.Join(args, ", ") + ")"
	}
	if name := e.Name(); name != "" {
		return name
	}
	return kindOf(e) + " without a name"
}

// SpellFully is like Spell, but resolves typedefs if the result would equal that for other.
func (e *Entry) SpellFully(other *Entry) string {
	if e.Spell() != other.Spell() {
		return e.Spell()
	}
	if bare := e.Value(); bare.Spell() != other.Value().Spell() {
		return bare.Spell()
	}
	return e.Shape()
}

// Stored returns the enumerations that static variables and members of structures have as type, by qualified name.
func (i *Info) Stored() map[string]*Entry {
	out := map[string]*Entry{}
	i.Walk(func(e *Entry) {
		if e.IsMember() || e.Tag == dwarf.TagVariable && e.isStatic() {
			if t := e.Type().Value(); t != nil && t.Tag == dwarf.TagEnumerationType && t.Name() != "" && t.IsDefined() {
				out[t.Qualified()] = t
			}
		}
	})
	return out
}

// Value strips typedefs, qualifiers and array dimensions from a type.
func (e *Entry) Value() *Entry {
	for e != nil && (e.Tag == dwarf.TagTypedef || e.Tag == dwarf.TagConstType || e.Tag == dwarf.TagVolatileType || e.Tag == dwarf.TagAtomicType || e.Tag == dwarf.TagArrayType) {
		e = e.Type()
	}
	return e
}

// Pointee is what a type stands for without qualifiers, pointers and arrays around it. Typedefs stay.
func (e *Entry) Pointee() *Entry {
	for to := e; to != nil; to = to.Type() {
		switch to.Tag {
		case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagAtomicType, dwarf.TagRestrictType, dwarf.TagArrayType, dwarf.TagPointerType:
			e = to
		default:
			return to
		}
	}
	return e
}

// Enumerators are those of an enumeration, by name.
func (e *Entry) Enumerators() map[string]string {
	out := map[string]string{}
	for _, c := range e.Children {
		if c.Tag == dwarf.TagEnumerator {
			out[c.Name()] = fmt.Sprint(c.Val(dwarf.AttrConstValue))
		}
	}
	return out
}
