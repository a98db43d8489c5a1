// SPDX-License-Identifier: GPL-2.0

package debuginfo

import (
	"debug/dwarf"
	"encoding/binary"
	"fmt"
	"path/filepath"
)

// Operations of location expressions (DWARF 5, 7.7.1).
const (
	opAddr  = 0x03
	opAddrx = 0xa1
)

// place returns the address of a variable with static storage.
func (e *Entry) place() (uint64, bool) {
	loc, _ := e.Val(dwarf.AttrLocation).([]byte)
	switch {
	case len(loc) == 9 && loc[0] == opAddr:
		return binary.LittleEndian.Uint64(loc[1:]), true
	case len(loc) > 1 && loc[0] == opAddrx:
		base, _ := e.Unit.Int(dwarf.AttrAddrBase)
		index, n := binary.Uvarint(loc[1:])
		at := uint64(base) + 8*index
		if n == len(loc)-1 && at+8 <= uint64(len(e.info.addrs)) {
			return binary.LittleEndian.Uint64(e.info.addrs[at:]), true
		}
	}
	return 0, false
}

// isStatic reports whether a variable has static storage.
func (e *Entry) isStatic() bool {
	_, ok := e.place()
	return ok || e.Val(dwarf.AttrExternal) != nil || e.origin().Val(dwarf.AttrExternal) != nil
}

// Variable returns the entry of the variable at offset off of a section. If there is none, it returns the only variable
// called name with static storage, or nil.
func (i *Info) Variable(section int, off uint64, name string) *Entry {
	if i.variables == nil {
		i.variables, i.named = map[uint64]*Entry{}, map[string][]*Entry{}
		i.Walk(func(e *Entry) {
			if e.Tag != dwarf.TagVariable || e.Val(dwarf.AttrLocation) == nil {
				return
			}
			if at, ok := e.place(); ok {
				i.variables[at] = e
			}
			if e.isStatic() {
				i.named[e.Name()] = append(i.named[e.Name()], e)
			}
		})
	}
	if e := i.variables[uint64(section)<<SectionShift+off]; e != nil {
		return e
	}
	if list := i.named[name]; len(list) == 1 {
		return list[0]
	}
	return nil
}

// Symbol returns the symbol name of a variable or function with external linkage, else "".
func (e *Entry) Symbol() string {
	o := e.origin()
	if external, _ := o.Val(dwarf.AttrExternal).(bool); !external {
		return ""
	}
	if name, _ := o.Val(dwarf.AttrLinkageName).(string); name != "" {
		return name
	}
	return o.Name()
}

// Externals returns the variables with external linkage, defined or declared, by symbol name.
func (i *Info) Externals() map[string]*Entry {
	out := map[string]*Entry{}
	i.Walk(func(e *Entry) {
		name := e.Symbol()
		if name == "" || e.Tag != dwarf.TagVariable || e.Type() == nil {
			return
		}
		if old := out[name]; old == nil || !old.IsDefined() {
			out[name] = e
		}
	})
	return out
}

// Place returns the location of a declaration as FILE:LINE, or "". The file is relative to the compilation directory if it is
// below it.
func (e *Entry) Place() string {
	file, ok1 := e.Int(dwarf.AttrDeclFile)
	line, ok2 := e.Int(dwarf.AttrDeclLine)
	if !ok1 || !ok2 || e.Unit == nil {
		return ""
	}
	r, err := e.info.Data.LineReader(e.Unit.Entry)
	if err != nil || r == nil || file < 0 || file >= int64(len(r.Files())) || r.Files()[file] == nil {
		return ""
	}
	name := r.Files()[file].Name
	if dir, ok := e.Unit.Val(dwarf.AttrCompDir).(string); ok {
		if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
	}
	return fmt.Sprintf("%s:%d", name, line)
}
