// SPDX-License-Identifier: GPL-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	tableBegin = "<!-- mutate -->\n"
	tableEnd   = "<!-- mutate end -->\n"
	none       = "**none**"
)

// place is what a row of the table is about: all rules of a file that have one code.
type place struct{ code, file string }

func (r *rule) place() place { return place{r.code, strings.TrimPrefix(r.file, "pkg/")} }

var tableRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\S+) \\| (.*) \\|$")

// writeTable puts the tests that miss the rules into the table of a page. Places of which no rule was tried keep their row.
func writeTable(page string, rules []*rule) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no table between %q and %q", page, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	known := map[place]string{}
	for _, m := range tableRow.FindAllStringSubmatch(old, -1) {
		known[place{m[1], m[2]}] = m[3]
	}
	missed := map[place][]string{}
	var places []place
	for _, r := range rules {
		p := r.place()
		if !slices.Contains(places, p) {
			places = append(places, p)
		}
		if test := cmp.Or(r.missed, none); r.tried && !slices.Contains(missed[p], test) {
			missed[p] = append(missed[p], test)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(strings.Compare(a.code, b.code), strings.Compare(a.file, b.file)) })
	var out strings.Builder
	out.WriteString("| rule | in | tests that fail without it |\n| --- | --- | --- |\n")
	for _, p := range places {
		tests := strings.Join(missed[p], ", ")
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", p.code, p.file, cmp.Or(tests, known[p], "not tried"))
	}
	return os.WriteFile(page, []byte(before+tableBegin+out.String()+tableEnd+after), 0o644)
}
