package diff

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compareLayouts refuses changed structures, as far as debug information tells: objects of the old layout live in the
// program, and the new code would read them wrongly. Of those that contain another, the other is named alone.
func (c *comparer) compareLayouts() {
	old, err1 := structLayouts(c.old)
	new, err2 := structLayouts(c.new)
	if err1 != nil || err2 != nil {
		c.res.Warnings = append(c.res.Warnings, c.new.Name+": compiled without -g, so a changed layout of a structure would not be noticed")
		return
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(new.found)) {
		if o, ok := old.found[name]; ok && !o.same(new.found[name], name == closureName) {
			changed = append(changed, name)
		}
	}
	causes := newCauses(old, new, changed)
	for _, name := range changed {
		switch {
		case slices.Contains(c.opts.LayoutOK, name):
			c.res.Layouts = append(c.res.Layouts, name)
		case causes.follows[name]: // whoever is sure of what it contains is sure of it
		case name == closureName:
			c.refuse(name, "struct-layout-changed", "what a lambda expression captures changed, and the program may keep closures of the old layout; leave it as it was, and capture in a new one")
		default:
			c.refuse(name, "struct-layout-changed", "%s, and the program has objects of the old layout; keep it as it was and store what is new elsewhere, or say --layout-ok '%s' if no old one is seen by new code",
				causes.describe(name), name)
		}
	}
}

// layout describes the members of all structures of one name.
type layout struct {
	size  int64
	texts map[string]int // description -> how many structures have it
	decl  *structDecl    // one of them
}

// same tells whether the structures of a name are what they were. Closures have no name of their own: more of them may
// have come, none may have gone.
func (l layout) same(now layout, closure bool) bool {
	for text, n := range l.texts {
		if now.texts[text] < n && (closure || now.texts[text] == 0) {
			return false
		}
	}
	return closure || len(l.texts) == len(now.texts)
}

// closureName is what structures made of lambda expressions are known by here.
const closureName = "<lambda>"

// scope is a debugging entry that encloses others: a namespace, a class, a function.
type scope struct {
	name    string // of it, with those around it
	st      bool   // a structure
	members strings.Builder
	size    int64
	closure bool
	decl    *structDecl
}

// layoutReader walks an object's debugging entries.
type layoutReader struct {
	d      *dwarf.Data
	unit   *dwarf.Entry
	scopes []*scope
	found  map[string]layout
	names  map[dwarf.Offset]string // of structures, by their entries
	// Structures without a name of their own have that of a typedef, as is usual in C.
	unnamed  map[dwarf.Offset]*scope
	typedefs map[dwarf.Offset]string // by what they stand for
}

// structLayouts lists the structures, classes and unions of an object's debug information, by name.
func structLayouts(o *Object) (w *layoutReader, err error) {
	defer func() {
		if r := recover(); r != nil {
			w, err = nil, errors.New("damaged debug information")
		}
	}()
	d, err := debugInfo(o)
	if err != nil {
		return nil, err
	}
	w = &layoutReader{d: d, found: map[string]layout{}, names: map[dwarf.Offset]string{}, unnamed: map[dwarf.Offset]*scope{}, typedefs: map[dwarf.Offset]string{}}
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if err := w.entry(e); err != nil {
			return nil, err
		}
	}
	for off, name := range w.typedefs {
		if s := w.unnamed[off]; s != nil {
			s.name = name
			w.note(s)
		}
	}
	return w, nil
}

// entry takes up one entry; one without a tag ends the innermost scope.
func (w *layoutReader) entry(e *dwarf.Entry) error {
	if e.Tag == 0 {
		if n := len(w.scopes); n > 0 {
			w.leave(w.scopes[n-1])
			w.scopes = w.scopes[:n-1]
		}
		return nil
	}
	var in *scope
	if n := len(w.scopes); n > 0 {
		in = w.scopes[n-1]
	}
	if in != nil && in.st {
		if err := w.member(in, e); err != nil {
			return err
		}
	}
	s := &scope{}
	if in != nil {
		s.name = in.name
	}
	name, named := e.Val(dwarf.AttrName).(string)
	switch e.Tag {
	case dwarf.TagTypedef:
		if off, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
			w.typedefs[off] = strings.TrimPrefix(s.name+"::"+name, "::")
		}
	case dwarf.TagCompileUnit, dwarf.TagPartialUnit, dwarf.TagTypeUnit:
		w.unit = e
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType:
		s.decl = &structDecl{reader: w, unit: w.unit, entry: e}
		s.size, _ = e.Val(dwarf.AttrByteSize).(int64)
		s.st = e.Val(dwarf.AttrDeclaration) == nil
		s.closure = strings.HasPrefix(name, "<lambda")
		fallthrough
	case dwarf.TagNamespace, dwarf.TagSubprogram:
		if !named {
			name = "<unnamed>"
		}
		s.name = strings.TrimPrefix(s.name+"::"+name, "::")
	}
	if e.Children {
		w.scopes = append(w.scopes, s)
	} else {
		w.leave(s)
	}
	return nil
}

// member writes down what a structure consists of: members and bases with their places, those of structures without a
// name included.
func (w *layoutReader) member(s *scope, e *dwarf.Entry) error {
	name, _ := e.Val(dwarf.AttrName).(string)
	switch {
	case e.Tag == dwarf.TagSubprogram && name == "operator()" && strings.HasSuffix(s.name, "<unnamed>"):
		s.closure = true // clang's
		return nil
	case e.Tag != dwarf.TagMember && e.Tag != dwarf.TagInheritance || e.Val(dwarf.AttrExternal) != nil:
		return nil
	}
	off, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return nil
	}
	t, err := w.d.Type(off)
	if err != nil {
		return err
	}
	s.decl.members = append(s.decl.members, e)
	at, _ := e.Val(dwarf.AttrDataMemberLoc).(int64)
	bit, _ := e.Val(dwarf.AttrDataBitOffset).(int64)
	oldBit, _ := e.Val(dwarf.AttrBitOffset).(int64)
	bits, _ := e.Val(dwarf.AttrBitSize).(int64)
	fmt.Fprintf(&s.members, "%s@%d.%d:%d+%d", name, at, bit+oldBit, bits, t.Size())
	if inner, ok := t.(*dwarf.StructType); ok && inner.StructName == "" {
		s.members.WriteString(describeStruct(inner))
	}
	s.members.WriteByte(';')
	return nil
}

// leave notes a structure that has been read.
func (w *layoutReader) leave(s *scope) {
	if !s.st {
		return
	}
	if s.closure {
		s.name = closureName
	} else if strings.HasSuffix(s.name, "<unnamed>") {
		w.unnamed[s.decl.entry.Offset] = s // part of the structure around it, or of the variable of that type, or a typedef
		return
	}
	w.note(s)
}

func (w *layoutReader) note(s *scope) {
	l, ok := w.found[s.name]
	if !ok {
		l.texts = map[string]int{}
	}
	l.size, l.decl = max(l.size, s.size), s.decl
	w.names[s.decl.entry.Offset] = s.name
	l.texts[fmt.Sprintf("%d{%s}", s.size, s.members.String())]++
	w.found[s.name] = l
}

// describeStruct writes down the places of all members, those of structures without a name included.
func describeStruct(t *dwarf.StructType) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d{", t.Kind, t.ByteSize)
	for _, f := range t.Field {
		fmt.Fprintf(&b, "%s@%d.%d:%d+%d", f.Name, f.ByteOffset, f.DataBitOffset+f.BitOffset, f.BitSize, f.Type.Size())
		if inner, ok := f.Type.(*dwarf.StructType); ok && inner.StructName == "" {
			b.WriteString(describeStruct(inner))
		}
		b.WriteByte(';')
	}
	return b.String() + "}"
}
