package link

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"

	"lpatch/pkg/arch/x86"
	"lpatch/pkg/diff"
	"lpatch/pkg/insn"
)

// checkCaller refuses new code that asks the dynamic linker something whose answer depends on whose code asks: that of a
// patch belongs to no file that it knows, and counts as the program's, but for RTLD_NEXT, which fails.
func (l *linker) checkCaller(c *chunk) {
	if c.kind != kindText || l.callerOK(c) {
		return
	}
	refs := c.in.Diff.New.Refs(c.sec)
	for _, r := range refs {
		if r.Sec != nil || r.Sym == nil {
			continue
		}
		switch name := r.Sym.Name; name {
		case "dlsym", "dlvsym":
			l.checkLookup(c, refs, r)
		case "dlopen", "dlmopen":
			if l.im.Shared() && !anywhere(c, refs, r, name) {
				l.refuse(c.in, c.name, "caller-unknown", "the function calls %s, which looks for the file where %s says, and does not know that new code is of this library; give it a path from /, or say --caller-ok %s if that does not matter",
					name, l.im.Path, l.functionOf(c))
			}
		case "dladdr", "dladdr1", "_dl_find_object":
			if a := argument(c, refs, r, 7); a.place != nil && a.place.Sec != nil && a.place.Sec.IsText() && a.place.Sym != nil && l.isAdded(c.in, a.place.Sym) {
				l.refuse(c.in, c.name, "caller-unknown", "the function asks %s about the new function %s, and new code is in no file that the dynamic linker knows; ask about an old one, or say --caller-ok %s if that does not matter",
					name, a.place.Sym.Name, l.functionOf(c))
			}
		}
	}
}

// callerOK tells whether the author says that it does not matter whose code the dynamic linker takes a function for.
func (l *linker) callerOK(c *chunk) bool { return slices.Contains(l.opts.CallerOK, l.functionOf(c)) }

// functionOf names the function of a chunk; its .cold part belongs to it.
func (l *linker) functionOf(c *chunk) string {
	for _, s := range c.in.Diff.New.SymbolsIn(c.sec) {
		if s.IsFunc() {
			if parent, cold := diff.ColdParent(s.Name); cold {
				return parent
			}
			return s.Name
		}
	}
	return c.name
}

// checkLookup refuses a call of dlsym or dlvsym whose handle is, or may be, RTLD_NEXT, or RTLD_DEFAULT in a library, which may
// have a scope of its own.
func (l *linker) checkLookup(c *chunk, refs []diff.Ref, r diff.Ref) {
	handle := argument(c, refs, r, 7)
	what := ""
	switch {
	case handle.known && handle.value == -1:
		what = "RTLD_NEXT"
	case handle.known && handle.value == 0 && l.im.Shared():
		what = "RTLD_DEFAULT"
	case !handle.known && (!opens(refs) || mentionsNext(c)):
		what = "a handle that may be RTLD_NEXT"
	default:
		return
	}
	l.refuse(c.in, l.functionOf(c), "caller-unknown", "the function calls %s with %s, and the dynamic linker does not know whose code new code is; leave such calls in functions that do not change, or say --caller-ok %s if that does not matter",
		r.Sym.Name, what, l.functionOf(c))
}

// opens tells whether code gets handles itself.
func opens(refs []diff.Ref) bool {
	return slices.ContainsFunc(refs, func(r diff.Ref) bool {
		return r.Sec == nil && r.Sym != nil && (r.Sym.Name == "dlopen" || r.Sym.Name == "dlmopen")
	})
}

// anywhere tells whether dlopen or dlmopen is given a path from the root, or none.
func anywhere(c *chunk, refs []diff.Ref, r diff.Ref, name string) bool {
	reg := byte(7)
	if name == "dlmopen" {
		reg = 6
	}
	a := argument(c, refs, r, reg)
	if a.place != nil {
		lit, ok := diff.Literal(*a.place)
		return ok && lit.Off == 0 && strings.HasPrefix(lit.Content, "/") && !strings.Contains(lit.Content, "$")
	}
	return a.known && a.value == 0
}

// value is what is known of a register.
type value struct {
	known bool
	value int64
	place *diff.Ref // whose address it is, if not nil
}

// argument finds out what the register reg (7 is %rdi, 6 is %rsi) holds at a call, from the instructions in front of it as far
// as nothing leads into them.
func argument(c *chunk, refs []diff.Ref, call diff.Ref, reg byte) value {
	code := c.sec.Data
	var starts []int
	into := map[int]bool{}
	last := -1
	for pos := 0; pos < len(code); {
		in, err := insn.Decode(code[pos:])
		if err != nil {
			return value{}
		}
		if in.IsBranch() {
			into[pos+in.Len+int(in.Disp(code[pos:]))] = true
		}
		if uint64(pos) <= call.Off && call.Off < uint64(pos+in.Len) {
			last = len(starts)
			if in.Kind != insn.Call && in.Kind != insn.CallInd && in.Kind != insn.Jmp && in.Kind != insn.JmpInd {
				return value{} // its address is taken
			}
		}
		starts = append(starts, pos)
		pos += in.Len
	}
	for i := last - 1; i >= 0; i-- {
		pos, end := starts[i], starts[i+1]
		in, _ := insn.Decode(code[pos:])
		if into[end] || in.Kind != insn.Other && in.Kind != insn.Nop {
			return value{}
		}
		if v, writes := written(code[pos:end], reg, refAt(refs, uint64(pos), uint64(end))); writes {
			return v
		}
	}
	return value{}
}

// refAt returns the reference of the instruction at [pos, end), or nil.
func refAt(refs []diff.Ref, pos, end uint64) *diff.Ref {
	for i := range refs {
		if refs[i].Off >= pos && refs[i].Off < end {
			return &refs[i]
		}
	}
	return nil
}

// written tells what an instruction puts into a register, one of the low eight, if it may write it.
func written(code []byte, reg byte, ref *diff.Ref) (v value, writes bool) {
	rex, op := x86.SplitRex(code)
	switch {
	case len(op) == 5 && op[0] == 0xb8|reg && rex&1 == 0: // mov $imm,%r32
		if ref != nil {
			return value{place: ref}, true
		}
		return value{known: true, value: int64(binary.LittleEndian.Uint32(op[1:]))}, true
	case len(op) == 6 && op[0] == 0xc7 && op[1] == 0xc0|reg && rex == 0x48: // mov $imm,%r64
		if ref != nil {
			return value{place: ref}, true
		}
		return value{known: true, value: int64(int32(binary.LittleEndian.Uint32(op[2:])))}, true
	case len(op) == 2 && (op[0] == 0x31 || op[0] == 0x33) && op[1] == 0xc0|reg|reg<<3 && rex&5 == 0: // xor %r,%r
		return value{known: true}, true
	case len(op) == 3 && op[0] == 0x83 && op[1] == 0xc8|reg && op[2] == 0xff && rex == 0x48: // or $-1,%r64
		return value{known: true, value: -1}, true
	case len(op) == 6 && op[0] == 0x8d && op[1] == 0x05|reg<<3 && rex == 0x48 && ref != nil && ref.Type != elf.R_X86_64_GOTPCREL: // lea x(%rip),%r64
		return value{place: ref}, true
	case len(op) > 0 && (op[0] == 0x58|reg || op[0] == 0xb8|reg): // pop
		return value{}, true
	}
	return value{}, mayWrite(op, reg)
}

// mayWrite tells whether a ModRM byte of an instruction names the register other than as an address, whatever it does.
func mayWrite(op []byte, reg byte) bool {
	at := 1
	if len(op) > 1 && op[0] == 0x0f {
		at = 2
	}
	if len(op) > 0 && (op[0] == 0x66 || op[0] == 0xf2 || op[0] == 0xf3) { // string instructions use registers that they do not name
		return true
	}
	return len(op) > at && (op[at]>>3&7 == reg || op[at]>>6 == 3 && op[at]&7 == reg)
}

// mentionsNext tells whether code makes a 64-bit -1, as RTLD_NEXT is.
func mentionsNext(c *chunk) bool {
	code := c.sec.Data
	for pos := 0; pos < len(code); {
		in, err := insn.Decode(code[pos:])
		if err != nil {
			return true
		}
		rex, op := x86.SplitRex(code[pos : pos+in.Len])
		switch n := len(op); {
		case rex&8 != 0 && n > 4 && op[0] == 0xc7 && string(op[n-4:]) == "\xff\xff\xff\xff", // mov $-1 to a register or memory
			rex&8 != 0 && n == 3 && op[0] == 0x83 && op[1]>>3 == 0x19 && op[2] == 0xff, // or $-1,%r64
			n == 2 && op[0] == 0x6a && op[1] == 0xff:                                   // push $-1
			return true
		}
		pos += in.Len
	}
	return false
}
