package diff

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// compareLayouts refuses changed structures, as far as debug information tells: objects of the old layout live in the
// program, and the new code would read them wrongly.
func (c *comparer) compareLayouts() {
	old, err1 := structLayouts(c.old)
	new, err2 := structLayouts(c.new)
	if err1 != nil || err2 != nil {
		c.res.Warnings = append(c.res.Warnings, c.new.Name+": compiled without -g, so a changed layout of a structure would not be noticed")
		return
	}
	names := make([]string, 0, len(new))
	for name := range new {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		o, ok := old[name]
		if !ok || o.same(new[name], name == closureName) {
			continue
		}
		if slices.Contains(c.opts.LayoutOK, name) {
			c.res.Layouts = append(c.res.Layouts, name)
			continue
		}
		if name == closureName {
			c.refuse(name, "struct-layout-changed", "what a lambda expression captures changed, and the program may keep closures of the old layout; leave it as it was, and capture in a new one")
			continue
		}
		what := fmt.Sprintf("%d bytes before and now, but its members differ", o.size)
		if o.size != new[name].size {
			what = fmt.Sprintf("%d bytes before, %d now", o.size, new[name].size)
		}
		c.refuse(name, "struct-layout-changed", "the structure changed (%s) and the program has objects of the old layout; keep it as it was and store what is new elsewhere, or say --layout-ok if no old one is seen by new code", what)
	}
}

// layout describes the members of all structures of one name.
type layout struct {
	size  int64
	texts map[string]int // description -> how many structures have it
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
}

// layoutReader walks an object's debugging entries.
type layoutReader struct {
	d      *dwarf.Data
	scopes []*scope
	found  map[string]layout
}

// structLayouts lists the structures, classes and unions of an object's debug information, by name.
func structLayouts(o *Object) (m map[string]layout, err error) {
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, errors.New("damaged debug information")
		}
	}()
	d, err := debugInfo(o)
	if err != nil {
		return nil, err
	}
	w := &layoutReader{d: d, found: map[string]layout{}}
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
	return w.found, nil
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
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType:
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
		return // part of the structure around it, or of the variable of that type
	}
	l, ok := w.found[s.name]
	if !ok {
		l.texts = map[string]int{}
	}
	l.size = max(l.size, s.size)
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
