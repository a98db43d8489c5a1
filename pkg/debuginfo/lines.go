// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"path/filepath"
)

// Lines returns the lines of a file for which the object contains code. The file is named as in Source.
func (i *Info) Lines(file string) []int {
	var out []int
	i.Walk(func(e *Entry) {
		if e.Tag != dwarf.TagCompileUnit {
			return
		}
		r, err := i.Data.LineReader(e.Entry)
		if err != nil || r == nil {
			return
		}
		dir, _ := e.Val(dwarf.AttrCompDir).(string)
		unit, _ := e.Val(dwarf.AttrName).(string)
		var row dwarf.LineEntry
		for r.Next(&row) == nil {
			if row.File != nil && !row.EndSequence && row.Line > 0 && fullName(row.File.Name, dir, unit) == file {
				out = append(out, row.Line)
			}
		}
	})
	return out
}

// Files returns the absolute paths of the files in a unit's line table; an entry is "" where the table has none.
func (i *Info) Files(unit *Entry) []string {
	if files, done := i.files[unit]; done {
		return files
	}
	if i.files == nil {
		i.files = map[*Entry][]string{}
	}
	var out []string
	if r, err := i.Data.LineReader(unit.Entry); err == nil && r != nil {
		dir, _ := unit.Val(dwarf.AttrCompDir).(string)
		name, _ := unit.Val(dwarf.AttrName).(string)
		for _, f := range r.Files() {
			if f == nil {
				out = append(out, "")
				continue
			}
			out = append(out, fullName(f.Name, dir, name))
		}
	}
	i.files[unit] = out
	return out
}

// fullName returns the absolute path of a file in a line table.
func fullName(file, dir, unit string) string {
	switch {
	case !filepath.IsAbs(file):
		return filepath.Join(dir, file)
	case filepath.IsAbs(unit) && file == filepath.Join(dir, unit): // debug/dwarf also joins absolute names
		return unit
	}
	return file
}
