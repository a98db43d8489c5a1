package diff

import (
	"debug/dwarf"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// structDecl is where a structure is declared, with its members and bases.
type structDecl struct {
	reader  *layoutReader
	unit    *dwarf.Entry
	entry   *dwarf.Entry
	members []*dwarf.Entry
}

// causes tells which changed structures are only what they are made of: they contain another that changed.
type causes struct {
	old, new *layoutReader
	follows  map[string]bool
}

func newCauses(old, new *layoutReader, changed []string) *causes {
	c := &causes{old, new, map[string]bool{}}
	isChanged := map[string]bool{}
	for _, name := range changed {
		isChanged[name] = name != closureName
	}
	parts := map[string][]string{} // of those that have the members they had: what changed in them
	for _, name := range changed {
		if isChanged[name] && c.sameMembers(name) {
			parts[name] = c.parts(name, changed, isChanged)
		}
	}
	reached := map[string]bool{} // those that changed themselves, and what contains them
	for _, name := range changed {
		reached[name] = len(parts[name]) == 0
	}
	for more := true; more; {
		more = false
		for name, list := range parts {
			for _, part := range list {
				if reached[part] && !reached[name] {
					reached[name], c.follows[name], more = true, true, true
				}
			}
		}
	}
	return c
}

// sameMembers tells whether a structure has members and bases of the same names and types as before, in the same order. The
// sizes of arrays do not count: templates reserve room in them for what they contain.
func (c *causes) sameMembers(name string) bool {
	o, n := c.old.found[name].decl, c.new.found[name].decl
	if len(o.members) != len(n.members) {
		return false
	}
	for i := range o.members {
		if memberName(o.members[i]) != memberName(n.members[i]) || withoutSizes(o.typeName(o.members[i])) != withoutSizes(n.typeName(n.members[i])) {
			return false
		}
	}
	return true
}

// parts lists the changed structures that one has as members or bases, or is an instance of a template for.
func (c *causes) parts(name string, changed []string, isChanged map[string]bool) []string {
	var out []string
	decl := c.new.found[name].decl
	for _, m := range decl.members {
		if part := decl.structOf(m); isChanged[part] && part != name {
			out = append(out, part)
		}
	}
	_, arguments, _ := strings.Cut(name, "<")
	for _, part := range changed {
		if part != name && isChanged[part] && hasName(arguments, part) {
			out = append(out, part)
		}
	}
	return out
}

// hasName tells whether a name is in the arguments of a template, and not part of a longer one.
func hasName(arguments, name string) bool {
	for at := 0; ; {
		i := strings.Index(arguments[at:], name)
		if i < 0 {
			return false
		}
		before, after := arguments[:at+i], arguments[at+i+len(name):]
		if !endsInName(before) && (after == "" || !isNameByte(after[0])) {
			return true
		}
		at += i + 1
	}
}

func endsInName(s string) bool { return s != "" && (isNameByte(s[len(s)-1]) || s[len(s)-1] == ':') }

func isNameByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// describe says of a structure where it is and what changed in it.
func (c *causes) describe(name string) string {
	o, n := c.old.found[name], c.new.found[name]
	text := "the structure"
	if place := n.decl.place(n.decl.entry); place != "" {
		text += " at " + place
	}
	text += " changed"
	if o.size != n.size {
		text += fmt.Sprintf(" (%d bytes before, %d now)", o.size, n.size)
	}
	return text + ": " + memberChange(o.decl, n.decl)
}

// memberChange names the first member that is not what it was.
func memberChange(o, n *structDecl) string {
	was := map[string]*dwarf.Entry{}
	for _, m := range o.members {
		was[memberName(m)] = m
	}
	for _, m := range n.members {
		name := memberName(m)
		before := was[name]
		delete(was, name)
		switch {
		case before == nil:
			return n.label(m) + " is new"
		case o.typeName(before) != n.typeName(m):
			return fmt.Sprintf("%s is of type %s and was of type %s", n.label(m), n.typeName(m), o.typeName(before))
		}
	}
	for _, m := range o.members {
		if was[memberName(m)] != nil {
			return o.label(m) + " is gone"
		}
	}
	return "its members are at other places"
}

// memberName names a member; a base by its place among them.
func memberName(m *dwarf.Entry) string {
	if m.Tag == dwarf.TagInheritance {
		return "<base>"
	}
	name, _ := m.Val(dwarf.AttrName).(string)
	return name
}

// label is a member in a sentence, with where it is.
func (d *structDecl) label(m *dwarf.Entry) string {
	if m.Tag == dwarf.TagInheritance {
		return "the base " + d.typeName(m)
	}
	name := memberName(m)
	if name == "" {
		name = "without a name"
	}
	if place := d.place(m); place != "" {
		return fmt.Sprintf("the member %s at %s", name, place)
	}
	return "the member " + name
}

// place is FILE:LINE of a declaration, the file as the compiler was given it; "" if the object does not tell.
func (d *structDecl) place(e *dwarf.Entry) string {
	file, ok1 := e.Val(dwarf.AttrDeclFile).(int64)
	line, ok2 := e.Val(dwarf.AttrDeclLine).(int64)
	if !ok1 || !ok2 || d.unit == nil {
		return ""
	}
	r, err := d.reader.d.LineReader(d.unit)
	if err != nil || r == nil || file < 0 || file >= int64(len(r.Files())) || r.Files()[file] == nil {
		return ""
	}
	name := r.Files()[file].Name
	if dir, ok := d.unit.Val(dwarf.AttrCompDir).(string); ok {
		if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
	}
	return fmt.Sprintf("%s:%d", name, line)
}

// room is what makes two types of room for something differ.
var room = regexp.MustCompile(`\[\d*\]|\baligned_storage<\d+, \d+>`)

func withoutSizes(typeName string) string { return room.ReplaceAllString(typeName, "[]") }

// typeName is the type of a member in the words of C, without the word for what kind of structure it is.
func (d *structDecl) typeName(m *dwarf.Entry) string {
	off, _ := m.Val(dwarf.AttrType).(dwarf.Offset)
	t, err := d.reader.d.Type(off)
	if err != nil {
		return "?"
	}
	return spell(t)
}

func spell(t dwarf.Type) string {
	switch t := t.(type) {
	case *dwarf.ArrayType:
		return fmt.Sprintf("%s[%d]", spell(t.Type), t.Count)
	case *dwarf.PtrType:
		return spell(t.Type) + "*"
	case *dwarf.QualType:
		return t.Qual + " " + spell(t.Type)
	case *dwarf.StructType:
		if t.StructName != "" {
			return t.StructName
		}
	case *dwarf.EnumType:
		if t.EnumName != "" {
			return t.EnumName
		}
	}
	return t.String()
}

// structOf names the structure that a member is, or is an array of; "" if it is none.
func (d *structDecl) structOf(m *dwarf.Entry) string {
	off, ok := m.Val(dwarf.AttrType).(dwarf.Offset)
	for steps := 0; ok && steps < 32; steps++ {
		if name := d.reader.names[off]; name != "" {
			return name
		}
		r := d.reader.d.Reader()
		r.Seek(off)
		e, err := r.Next()
		if err != nil || e == nil {
			return ""
		}
		switch e.Tag {
		case dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagArrayType:
			off, ok = e.Val(dwarf.AttrType).(dwarf.Offset)
		default:
			return ""
		}
	}
	return ""
}
