// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// spec is the part of the kernel's "genetlink" schema that lpatch uses; an unknown key is an error.
type spec struct {
	Name        string       `yaml:"name"`
	Protocol    string       `yaml:"protocol"`
	Doc         string       `yaml:"doc"`
	Definitions []definition `yaml:"definitions"`
	Sets        []set        `yaml:"attribute-sets"`
	Operations  struct {
		List []operation `yaml:"list"`
	} `yaml:"operations"`
	Groups struct {
		List []group `yaml:"list"`
	} `yaml:"mcast-groups"`
}

// definition is a const, enum, flags or struct.
type definition struct {
	Name    string   `yaml:"name"`
	Type    string   `yaml:"type"`
	Doc     string   `yaml:"doc"`
	Value   uint64   `yaml:"value"`
	Entries []entry  `yaml:"entries"`
	Members []member `yaml:"members"`
}

// entry is a value of an enum (counted from 0) or a bit of flags (counted from bit 0).
type entry struct {
	Name string `yaml:"name"`
	Doc  string `yaml:"doc"`
}

// UnmarshalYAML also takes a bare name.
func (e *entry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&e.Name)
	}
	type plain entry
	return n.Decode((*plain)(e))
}

// member is a field of a struct.
type member struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"`
	Enum string `yaml:"enum"`
	Doc  string `yaml:"doc"`
}

// set is an attribute set; its attributes are numbered from 1.
type set struct {
	Name       string      `yaml:"name"`
	Doc        string      `yaml:"doc"`
	Attributes []attribute `yaml:"attributes"`
}

type attribute struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	Doc         string `yaml:"doc"`
	Enum        string `yaml:"enum"`
	EnumAsFlags bool   `yaml:"enum-as-flags"`
	Struct      string `yaml:"struct"`
	Nested      string `yaml:"nested-attributes"`
	Multi       bool   `yaml:"multi-attr"`
	Checks      checks `yaml:"checks"`
}

// checks name constants or flags among the definitions.
type checks struct {
	MaxLen    string `yaml:"max-len"`
	ExactLen  string `yaml:"exact-len"`
	FlagsMask string `yaml:"flags-mask"`
}

type operation struct {
	Name   string `yaml:"name"`
	Doc    string `yaml:"doc"`
	Set    string `yaml:"attribute-set"`
	Do     *call  `yaml:"do"`
	Dump   *call  `yaml:"dump"`
	Notify string `yaml:"notify"`
	Group  string `yaml:"mcgrp"`
}

type call struct {
	Request message `yaml:"request"`
	Reply   message `yaml:"reply"`
}

type message struct {
	Attributes []string `yaml:"attributes"`
}

// group is a multicast group. Its flags say what joining it takes.
type group struct {
	Name  string   `yaml:"name"`
	Doc   string   `yaml:"doc"`
	Flags []string `yaml:"flags"`
}

// groupFlags are the kernel's names of those flags.
var groupFlags = map[string]string{"cap-sys-admin": "GENL_MCAST_CAP_SYS_ADMIN"}

// parse reads a spec and checks that every name it refers to exists.
func parse(text []byte) (*spec, error) {
	var s spec
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		return nil, err
	}
	if s.Protocol != "genetlink" {
		return nil, fmt.Errorf("protocol is %q, not genetlink", s.Protocol)
	}
	for _, d := range s.Definitions {
		if err := s.checkDefinition(d); err != nil {
			return nil, err
		}
	}
	for i := range s.Sets {
		s.Sets[i].pad()
		for _, a := range s.Sets[i].Attributes {
			if err := s.checkAttribute(a); err != nil {
				return nil, fmt.Errorf("attribute %s/%s: %w", s.Sets[i].Name, a.Name, err)
			}
		}
	}
	for _, o := range s.Operations.List {
		if err := s.checkOperation(o); err != nil {
			return nil, fmt.Errorf("operation %s: %w", o.Name, err)
		}
	}
	for _, g := range s.Groups.List {
		for _, f := range g.Flags {
			if groupFlags[f] == "" {
				return nil, fmt.Errorf("group %s: flag %q is not supported", g.Name, f)
			}
		}
	}
	return &s, nil
}

// pad appends the attribute that aligns 64-bit ones on machines that need it.
func (t *set) pad() {
	need := false
	for _, a := range t.Attributes {
		if a.Type == "pad" {
			return
		}
		need = need || a.Type == "u64"
	}
	if need {
		t.Attributes = append(t.Attributes, attribute{Name: "pad", Type: "pad", Doc: "aligns 64-bit attributes; no content"})
	}
}

func (s *spec) checkDefinition(d definition) error {
	switch d.Type {
	case "const", "enum", "flags":
		return nil
	case "struct":
		for _, m := range d.Members {
			if m.Enum != "" && s.definition(m.Enum, "enum") == nil {
				return fmt.Errorf("struct %s: there is no enum %q", d.Name, m.Enum)
			}
			if cTypes[m.Type] == "" {
				return fmt.Errorf("struct %s: type %q of %s is not supported", d.Name, m.Type, m.Name)
			}
		}
		return nil
	}
	return fmt.Errorf("definition %s: type %q is not supported", d.Name, d.Type)
}

func (s *spec) checkAttribute(a attribute) error {
	switch a.Type {
	case "u32", "u64", "string", "binary", "nest", "flag", "pad":
	default:
		return fmt.Errorf("type %q is not supported", a.Type)
	}
	enumType := "enum"
	if a.EnumAsFlags {
		enumType = "flags"
	}
	refs := []struct{ name, kind string }{
		{a.Enum, enumType}, {a.Struct, "struct"},
		{a.Checks.MaxLen, "const"}, {a.Checks.ExactLen, "const"}, {a.Checks.FlagsMask, "flags"},
	}
	for _, r := range refs {
		if r.name != "" && s.definition(r.name, r.kind) == nil {
			return fmt.Errorf("there is no %s %q", r.kind, r.name)
		}
	}
	if a.Type == "nest" && s.set(a.Nested) == nil {
		return fmt.Errorf("there is no attribute set %q", a.Nested)
	}
	return nil
}

func (s *spec) checkOperation(o operation) error {
	t := s.set(o.Set)
	if t == nil {
		return fmt.Errorf("there is no attribute set %q", o.Set)
	}
	var names []string
	for _, c := range []*call{o.Do, o.Dump} {
		if c != nil {
			names = append(append(names, c.Request.Attributes...), c.Reply.Attributes...)
		}
	}
	for _, n := range names {
		if t.attribute(n) == nil {
			return fmt.Errorf("attribute set %s has no %q", t.Name, n)
		}
	}
	if o.Group != "" && !s.hasGroup(o.Group) {
		return fmt.Errorf("there is no group %q", o.Group)
	}
	if o.Do == nil && o.Dump == nil && o.Notify == "" {
		return fmt.Errorf("it has neither do, dump nor notify")
	}
	return nil
}

func (s *spec) hasGroup(name string) bool {
	for _, g := range s.Groups.List {
		if g.Name == name {
			return true
		}
	}
	return false
}

// definition returns the definition of that name and type, or nil.
func (s *spec) definition(name, typ string) *definition {
	for i, d := range s.Definitions {
		if d.Name == name && d.Type == typ {
			return &s.Definitions[i]
		}
	}
	return nil
}

// set returns the attribute set of that name, or nil.
func (s *spec) set(name string) *set {
	for i, t := range s.Sets {
		if t.Name == name {
			return &s.Sets[i]
		}
	}
	return nil
}

// attribute returns the attribute of that name, or nil.
func (t *set) attribute(name string) *attribute {
	for i, a := range t.Attributes {
		if a.Name == name {
			return &t.Attributes[i]
		}
	}
	return nil
}

// request returns what a caller may send: the same for do and dump.
func (o operation) request() []string {
	if o.Do != nil {
		return o.Do.Request.Attributes
	}
	if o.Dump != nil {
		return o.Dump.Request.Attributes
	}
	return nil
}

// requestSets returns the attribute sets nested in requests, inner ones first.
func (s *spec) requestSets() []*set {
	var list []*set
	seen := map[string]bool{}
	var walk func(t *set, names []string)
	walk = func(t *set, names []string) {
		for _, n := range names {
			a := t.attribute(n)
			if a.Type != "nest" || seen[a.Nested] {
				continue
			}
			seen[a.Nested] = true
			inner := s.set(a.Nested)
			walk(inner, inner.names())
			list = append(list, inner)
		}
	}
	for _, o := range s.Operations.List {
		walk(s.set(o.Set), o.request())
	}
	return list
}

func (t *set) names() []string {
	var list []string
	for _, a := range t.Attributes {
		list = append(list, a.Name)
	}
	return list
}
