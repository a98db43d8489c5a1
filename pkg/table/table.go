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

// Column is a column of a table.
type Column struct {
	Head string
	// Spare columns are left out where there is no room for all, the last one first.
	Spare bool
}

// Table is a table. All rows have a cell for each column.
type Table struct {
	Columns []Column
	Rows    [][]string
}

// Write writes the table, if it has rows, in lines of at most limit characters; 0 is any number. Where that is too few, spare columns
// are left out, then the widest cells are cut, and in the end the lines.
func (t *Table) Write(w io.Writer, limit int) error {
	if len(t.Rows) == 0 {
		return nil
	}
	shown, widths := t.fit(limit)
	heads := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i] = c.Head
	}
	var out strings.Builder
	for _, row := range append([][]string{heads}, t.Rows...) {
		var line strings.Builder
		for i, column := range shown {
			cell := cut(row[column], widths[i])
			line.WriteString(cell)
			if i+1 < len(shown) {
				line.WriteString(strings.Repeat(" ", widths[i]-size(cell)+gap))
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if limit > 0 {
			text = cut(text, limit)
		}
		out.WriteString(text + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// fit chooses the columns that are shown, and how wide each is.
func (t *Table) fit(limit int) (shown, widths []int) {
	for i, c := range t.Columns {
		most := size(c.Head)
		for _, row := range t.Rows {
			most = max(most, size(row[i]))
		}
		shown, widths = append(shown, i), append(widths, most)
	}
	for i := len(shown) - 1; i >= 0 && limit > 0 && total(widths) > limit; i-- {
		if t.Columns[shown[i]].Spare {
			shown, widths = append(shown[:i:i], shown[i+1:]...), append(widths[:i:i], widths[i+1:]...)
		}
	}
	for limit > 0 && total(widths) > limit {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= least {
			break
		}
		widths[widest] = max(least, widths[widest]-(total(widths)-limit))
	}
	return shown, widths
}

func total(widths []int) int {
	sum := gap * (len(widths) - 1)
	for _, n := range widths {
		sum += n
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
