package debuginfo

import (
	"debug/dwarf"
	"path/filepath"
)

// Lines lists the lines of a file, named as Source does, of which the object has code.
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

// fullName is the path of a file of a line table from the root.
func fullName(file, dir, unit string) string {
	switch {
	case !filepath.IsAbs(file):
		return filepath.Join(dir, file)
	case filepath.IsAbs(unit) && file == filepath.Join(dir, unit): // debug/dwarf joins absolute names, too
		return unit
	}
	return file
}
