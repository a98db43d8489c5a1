// SPDX-License-Identifier: GPL-2.0

// Codetable makes the tables of codes in a document of the comments of Go constants: codetable FILE.go DOCUMENT. Each block of
// constants is a table, in their order. Each comment begins with the names of the constants below it and a colon.
package main

import (
	"cmp"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"lpatch/pkg/codes/codelist"
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
	blocks, err := codelist.Read(source)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest := "", string(old)
	for _, groups := range blocks {
		up, below, ok := strings.Cut(rest, head)
		if !ok {
			return fmt.Errorf("%s: it has fewer tables that begin with this than %s has blocks of constants:\n%s", document, source, head)
		}
		for strings.HasPrefix(below, "|") {
			_, below, _ = strings.Cut(below, "\n")
		}
		before, rest = before+up+head+table(groups), below
	}
	return os.WriteFile(document, []byte(before+rest), 0o644)
}

// head is that of each table.
const head = "| code | what it means |\n| --- | --- |\n"

// table has a row for each group, by the first of its codes.
func table(groups []codelist.Group) string {
	groups = slices.SortedStableFunc(slices.Values(groups), func(a, b codelist.Group) int {
		return cmp.Compare(a.Constants[0].Code, b.Constants[0].Code)
	})
	var b strings.Builder
	for _, g := range groups {
		var codes []string
		for _, c := range g.Constants {
			codes = append(codes, "`"+c.Code+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(codes, ", "), g.Text)
	}
	return b.String()
}
