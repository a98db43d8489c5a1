// SPDX-License-Identifier: GPL-2.0

// Package table lays out tables for people, in no more columns of a terminal than there are.
package table

import (
	"io"
	"strings"

	"golang.org/x/text/width"
)

// gap is what lies between two columns.
const gap = 2

// least is how far a cell is cut to have a table fit.
const least = 8

// wrapped is how narrow a column that goes on below is made before others are left out or cut.
const wrapped = 24

// Column is a column of a table.
type Column struct {
	Head string
	// Spare columns are left out where there is no room for all, the last one first.
	Spare bool
	// Wrap is for cells that are not cut: what has no room goes on in the lines below.
	Wrap bool
}

// Table is a table. All rows have a cell for each column. If no column has a head, there is no line for them.
type Table struct {
	Columns []Column
	Rows    [][]string
}

// Write writes the table, if it has rows, in lines of at most limit characters; 0 is any number. Where that is too few, cells that
// may be wrapped are, then spare columns are left out, then the widest cells are cut, and in the end the lines.
func (t *Table) Write(w io.Writer, limit int) error {
	if len(t.Rows) == 0 {
		return nil
	}
	shown := t.fit(limit)
	var out strings.Builder
	if heads := t.heads(); strings.Join(heads, "") != "" {
		t.writeRow(&out, heads, shown, limit)
	}
	for _, row := range t.Rows {
		t.writeRow(&out, row, shown, limit)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (t *Table) heads() []string {
	heads := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i] = c.Head
	}
	return heads
}

// writeRow writes a row in as many lines as its longest cell needs.
func (t *Table) writeRow(out *strings.Builder, row []string, shown []place, limit int) {
	cells := make([][]string, len(shown))
	height := 1
	for i, p := range shown {
		if t.Columns[p.column].Wrap {
			cells[i] = wrap(row[p.column], p.width)
		} else {
			cells[i] = []string{cut(row[p.column], p.width)}
		}
		height = max(height, len(cells[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, p := range shown {
			cell := ""
			if n < len(cells[i]) {
				cell = cells[i][n]
			}
			line.WriteString(cell)
			if i+1 < len(shown) {
				line.WriteString(strings.Repeat(" ", p.width-size(cell)+gap))
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if limit > 0 {
			text = cut(text, limit)
		}
		out.WriteString(text + "\n")
	}
}

// place is a column that is shown, and how wide it is.
type place struct{ column, width int }

// fit chooses the columns that are shown, and how wide each is.
func (t *Table) fit(limit int) []place {
	var shown []place
	whole := make([]int, len(t.Columns)) // how wide each column would like to be
	for i, c := range t.Columns {
		whole[i] = size(c.Head)
		for _, row := range t.Rows {
			whole[i] = max(whole[i], size(row[i]))
		}
		p := place{i, whole[i]}
		if c.Wrap && limit > 0 {
			p.width = min(p.width, wrapped)
		}
		shown = append(shown, p)
	}
	if limit == 0 {
		return shown
	}
	for i := len(shown) - 1; i >= 0 && total(shown) > limit; i-- {
		if t.Columns[shown[i].column].Spare {
			shown = append(shown[:i:i], shown[i+1:]...)
		}
	}
	for _, wraps := range []bool{false, true} { // the others give way first
		for total(shown) > limit && t.narrow(shown, wraps, total(shown)-limit) {
		}
	}
	for i := range shown {
		p := &shown[i]
		if t.Columns[p.column].Wrap { // what is left
			p.width += max(0, min(whole[p.column]-p.width, limit-total(shown)))
		}
	}
	return shown
}

// narrow makes the widest column narrower by at most so much, if there is one that can be.
func (t *Table) narrow(shown []place, wraps bool, by int) bool {
	var widest *place
	for i := range shown {
		p := &shown[i]
		if t.Columns[p.column].Wrap == wraps && p.width > least && (widest == nil || p.width > widest.width) {
			widest = p
		}
	}
	if widest == nil {
		return false
	}
	widest.width = max(least, widest.width-by)
	return true
}

func total(shown []place) int {
	sum := gap * (len(shown) - 1)
	for _, p := range shown {
		sum += p.width
	}
	return sum
}

// size is how many columns of a terminal a text takes.
func size(text string) int {
	n := 0
	for _, r := range text {
		n += runeSize(r)
	}
	return n
}

func runeSize(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens a text that has no room, and says so by its end.
func cut(text string, limit int) string {
	if size(text) <= limit {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeSize(r); n >= limit {
			return text[:i] + "…"
		}
	}
	return text
}

// wrap divides a text into lines, at spaces where there are any. All of it but those spaces is there.
func wrap(text string, limit int) []string {
	var lines []string
	for size(text) > limit {
		end, n, space := 0, 0, -1
		for i, r := range text {
			if n += runeSize(r); r == ' ' && i > 0 {
				space = i // it may be the first that has no room
			}
			if n > limit && i > 0 {
				end = i
				break
			}
		}
		if end == 0 { // a single character that is too wide
			break
		}
		if space > 0 {
			lines = append(lines, text[:space])
			text = text[space+1:]
			continue
		}
		lines = append(lines, text[:end])
		text = text[end:]
	}
	return append(lines, text)
}
