package diff

import (
	"debug/dwarf"
	"errors"
	"fmt"
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
		if !ok || o.text == new[name].text {
			continue
		}
		what := fmt.Sprintf("%d bytes before and now, but its members differ", o.size)
		if o.size != new[name].size {
			what = fmt.Sprintf("%d bytes before, %d now", o.size, new[name].size)
		}
		c.refuse(name, "struct-layout-changed", "the structure changed (%s) and the program has objects of the old layout; keep it as it was and store what is new elsewhere", what)
	}
}

// layout describes the members of all structures of one name.
type layout struct {
	size int64
	text string
}

// structLayouts lists the named structures and unions of an object's debug information.
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
	found := map[string]map[string]int64{}
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		name, named := e.Val(dwarf.AttrName).(string)
		if e.Tag != dwarf.TagStructType && e.Tag != dwarf.TagUnionType || !named || e.Val(dwarf.AttrDeclaration) != nil {
			continue
		}
		t, err := d.Type(e.Offset)
		if err != nil {
			return nil, err
		}
		st, ok := t.(*dwarf.StructType)
		if !ok {
			continue
		}
		if found[name] == nil {
			found[name] = map[string]int64{}
		}
		found[name][describeStruct(st)] = st.ByteSize
	}
	return joinLayouts(found), nil
}

func joinLayouts(found map[string]map[string]int64) map[string]layout {
	m := map[string]layout{}
	for name, descs := range found {
		var texts []string
		l := layout{}
		for text, size := range descs {
			texts = append(texts, text)
			l.size = max(l.size, size)
		}
		sort.Strings(texts)
		l.text = strings.Join(texts, "|")
		m[name] = l
	}
	return m
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
