// SPDX-License-Identifier: GPL-2.0

// Codetable makes the tables of codes in a document of the comments of Go constants: codetable FILE.go DOCUMENT. Each block of
// constants is a table, in their order. Each comment begins with the names of the constants below it and a colon.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("codetable: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: codetable FILE.go DOCUMENT")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(source, document string) error {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest := "", string(old)
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		rows, err := read(block)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		up, below, ok := strings.Cut(rest, head)
		if !ok {
			return fmt.Errorf("%s: it has fewer tables that begin with this than %s has blocks of constants:\n%s", document, source, head)
		}
		for strings.HasPrefix(below, "|") {
			_, below, _ = strings.Cut(below, "\n")
		}
		before, rest = before+up+head+table(rows), below
	}
	return os.WriteFile(document, []byte(before+rest), 0o644)
}

// row is a line of the table: constants that have a comment in common.
type row struct {
	names, codes []string
	text         string
}

func read(block *ast.GenDecl) ([]*row, error) {
	var rows []*row
	for _, spec := range block.Specs {
		v := spec.(*ast.ValueSpec)
		if v.Doc != nil {
			rows = append(rows, &row{text: strings.Join(strings.Fields(v.Doc.Text()), " ")})
		}
		lit, ok := v.Values[0].(*ast.BasicLit)
		if !ok || len(rows) == 0 {
			return nil, fmt.Errorf("%s has no comment, or is no string", v.Names[0].Name)
		}
		code, err := strconv.Unquote(lit.Value)
		if err != nil {
			return nil, err
		}
		last := rows[len(rows)-1]
		last.names, last.codes = append(last.names, v.Names[0].Name), append(last.codes, code)
	}
	for _, r := range rows {
		prefix := strings.Join(r.names, ", ") + ": "
		if !strings.HasPrefix(r.text, prefix) {
			return nil, fmt.Errorf("the comment of %s does not begin with %q", r.names[0], prefix)
		}
		r.text = r.text[len(prefix):]
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return cmp.Compare(a.codes[0], b.codes[0]) })
	return rows, nil
}

// head is that of each table.
const head = "| code | what it means |\n| --- | --- |\n"

func table(rows []*row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(r.codes, "`, `"), r.text)
	}
	return b.String()
}
