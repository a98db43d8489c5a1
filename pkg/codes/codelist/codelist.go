// SPDX-License-Identifier: GPL-2.0

// Package codelist reads the source of package codes: Go keeps neither the names of constants nor their comments.
package codelist

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Constant is a code and the name of its constant.
type Constant struct{ Name, Code string }

// Group are constants that have a comment in common.
type Group struct {
	Constants []Constant
	Text      string // the comment without the names that it begins with, in one line
}

// Read returns the groups of each block of constants of a file, in their order. All constants are strings, each code is there once, and
// each comment begins with the names of the constants below it and a colon.
func Read(path string) (blocks [][]Group, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		groups, err := read(block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fset.Position(block.Pos()), err)
		}
		for _, c := range Constants(groups) {
			if known[c.Code] {
				return nil, fmt.Errorf("%s: %s has the code %q of another constant", path, c.Name, c.Code)
			}
			known[c.Code] = true
		}
		blocks = append(blocks, groups)
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%s has no codes", path)
	}
	return blocks, nil
}

// Constants are all constants of blocks.
func Constants(blocks ...[]Group) (list []Constant) {
	for _, groups := range blocks {
		for _, g := range groups {
			list = append(list, g.Constants...)
		}
	}
	return list
}

func read(block *ast.GenDecl) ([]Group, error) {
	var groups []Group
	for _, s := range block.Specs {
		spec := s.(*ast.ValueSpec)
		c, err := constant(spec)
		if err != nil {
			return nil, err
		}
		if spec.Doc != nil {
			groups = append(groups, Group{Text: strings.Join(strings.Fields(spec.Doc.Text()), " ")})
		}
		if len(groups) == 0 {
			return nil, fmt.Errorf("%s has no comment", c.Name)
		}
		last := &groups[len(groups)-1]
		last.Constants = append(last.Constants, c)
	}
	for i := range groups {
		g := &groups[i]
		var names []string
		for _, c := range g.Constants {
			names = append(names, c.Name)
		}
		prefix := strings.Join(names, ", ") + ": "
		text, ok := strings.CutPrefix(g.Text, prefix)
		if !ok {
			return nil, fmt.Errorf("the comment of %s does not begin with %q", names[0], prefix)
		}
		g.Text = text
	}
	return groups, nil
}

func constant(spec *ast.ValueSpec) (Constant, error) {
	name := spec.Names[0].Name
	if len(spec.Names) != 1 || len(spec.Values) != 1 {
		return Constant{}, fmt.Errorf("%s does not stand on a line of its own, with its value", name)
	}
	lit, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return Constant{}, fmt.Errorf("%s is no string", name)
	}
	code, err := strconv.Unquote(lit.Value)
	return Constant{name, code}, err
}
