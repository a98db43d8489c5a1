// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
)

// renderUAPI makes the header that a C client includes.
func renderUAPI(s *spec) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(banner("GPL-2.0 WITH Linux-syscall-note", "/*"))
	guard := upper("_UAPI_LINUX", s.Name, "h")
	fmt.Fprintf(&b, "#ifndef %s\n#define %s\n\n#include <linux/types.h>\n\n", guard, guard)
	b.WriteString("/*\n" + wrap(" * ", " * ", s.Doc) + " */\n\n")
	fmt.Fprintf(&b, "#define %s\t%q\n", upper(s.Name, "family-name"), s.Name)
	fmt.Fprintf(&b, "#define %s\t1\n", upper(s.Name, "family-version"))
	for _, g := range s.Groups.List {
		fmt.Fprintf(&b, "#define %s\t%q\n", upper(s.Name, "mcgrp", g.Name), g.Name)
	}
	b.WriteString("\n")
	for _, d := range s.Definitions {
		if d.Type == "const" {
			s.uapiConst(&b, d)
		}
	}
	b.WriteString("\n")
	for _, d := range s.Definitions {
		switch d.Type {
		case "enum", "flags":
			s.uapiEnum(&b, d)
		case "struct":
			s.uapiStruct(&b, d)
		}
	}
	for i := range s.Sets {
		s.uapiSet(&b, &s.Sets[i])
	}
	s.uapiCommands(&b)
	fmt.Fprintf(&b, "#endif /* %s */\n", guard)
	return b.Bytes(), nil
}

func (s *spec) uapiConst(b *bytes.Buffer, d definition) {
	if d.Doc != "" {
		b.WriteString(wrap("/* ", " * ", d.Doc+" */"))
	}
	fmt.Fprintf(b, "#define %s\t%d\n", upper(s.Name, d.Name), d.Value)
}

func (s *spec) uapiEnum(b *bytes.Buffer, d definition) {
	kdoc := newDoc("enum "+snake(s.Name, d.Name), or(d.Doc, d.Name))
	for _, e := range d.Entries {
		kdoc.member(upper(s.Name, d.Name, e.Name), or(e.Doc, e.Name))
	}
	fmt.Fprintf(b, "%senum %s {\n", kdoc, snake(s.Name, d.Name))
	for i, e := range d.Entries {
		if d.Type == "flags" {
			fmt.Fprintf(b, "\t%s = 1 << %d,\n", upper(s.Name, d.Name, e.Name), i)
		} else {
			fmt.Fprintf(b, "\t%s = %d,\n", upper(s.Name, d.Name, e.Name), i)
		}
	}
	b.WriteString("};\n\n")
}

func (s *spec) uapiStruct(b *bytes.Buffer, d definition) {
	kdoc := newDoc("struct "+snake(s.Name, d.Name), or(d.Doc, d.Name))
	for _, m := range d.Members {
		text := or(m.Doc, m.Name)
		if m.Enum != "" {
			text += ", enum " + snake(s.Name, m.Enum)
		}
		kdoc.member(snake(m.Name), text)
	}
	fmt.Fprintf(b, "%sstruct %s {\n", kdoc, snake(s.Name, d.Name))
	for _, m := range d.Members {
		fmt.Fprintf(b, "\t%s %s;\n", cTypes[m.Type], snake(m.Name))
	}
	b.WriteString("};\n\n")
}

func (s *spec) uapiSet(b *bytes.Buffer, t *set) {
	kdoc := newDoc("enum "+snake(s.Name, "a", t.Name), "attributes: "+or(t.Doc, t.Name))
	kdoc.member(s.attrName(t, "unspec"), "not used")
	for _, a := range t.Attributes {
		kdoc.member(s.attrName(t, a.Name), s.attrDoc(a))
	}
	max := s.attrName(t, "max")
	kdoc.limits(max)
	fmt.Fprintf(b, "%senum %s {\n\t%s,\n", kdoc, snake(s.Name, "a", t.Name), s.attrName(t, "unspec"))
	for _, a := range t.Attributes {
		fmt.Fprintf(b, "\t%s,\n", s.attrName(t, a.Name))
	}
	fmt.Fprintf(b, "\n\t__%s,\n\t%s = (__%s - 1)\n};\n\n", max, max, max)
}

// attrDoc describes an attribute: its type and its meaning.
func (s *spec) attrDoc(a attribute) string {
	text := a.Type
	switch {
	case a.Type == "pad":
		return a.Doc
	case a.Nested != "":
		text = "nest of enum " + snake(s.Name, "a", a.Nested)
		if a.Multi {
			text += ", repeated"
		}
	case a.Struct != "":
		text = "array of struct " + snake(s.Name, a.Struct)
	case a.Enum != "":
		text += ", enum " + snake(s.Name, a.Enum)
	}
	// The type says it all of an array.
	if a.Doc != "" && a.Struct == "" {
		text += ": " + comment(a.Doc)
	}
	return text
}

func (s *spec) uapiCommands(b *bytes.Buffer) {
	kdoc := newDoc("enum "+snake(s.Name, "cmd"), "commands")
	kdoc.member(s.cmdName("unspec"), "not used")
	for _, o := range s.Operations.List {
		kdoc.member(s.cmdName(o.Name), o.Doc)
	}
	max := s.cmdName("max")
	kdoc.limits(max)
	fmt.Fprintf(b, "%senum %s {\n\t%s,\n", kdoc, snake(s.Name, "cmd"), s.cmdName("unspec"))
	for _, o := range s.Operations.List {
		fmt.Fprintf(b, "\t%s,\n", s.cmdName(o.Name))
	}
	fmt.Fprintf(b, "\n\t__%s,\n\t%s = (__%s - 1)\n};\n\n", max, max, max)
}
