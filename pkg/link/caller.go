// SPDX-License-Identifier: GPL-2.0

package link

import (
	"slices"
	"strings"

	"lpatch/pkg/arch"
	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// checkCaller refuses new code that calls a function of the dynamic linker whose result depends on the caller's address. Code
// of a patch belongs to no file that the dynamic linker knows. It is treated as code of the program, and RTLD_NEXT fails.
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
			if l.im.Shared() && !l.anywhere(c, refs, r, name) {
				l.refuse(c.in, c.name, codes.CallerUnknown, "the function calls %s, which looks for the file where %s says, and does not know that new code is of this library; give it a path from /, or say --caller-ok %s if that does not matter",
					name, l.im.Path, l.functionOf(c))
			}
		case "dladdr", "dladdr1", "_dl_find_object":
			if _, of := l.argument(c, refs, r, 0); of != nil && of.Sec != nil && of.Sec.IsText() && of.Sym != nil && l.isAdded(c.in, of.Sym) {
				l.refuse(c.in, c.name, codes.CallerUnknown, "the function asks %s about the new function %s, and new code is in no file that the dynamic linker knows; ask about an old one, or say --caller-ok %s if that does not matter",
					name, of.Sym.Name, l.functionOf(c))
			}
		}
	}
}

// callerOK reports whether the author of the patch has declared (--caller-ok) that the caller's identity does not matter.
func (l *linker) callerOK(c *chunk) bool { return slices.Contains(l.opts.CallerOK, l.functionOf(c)) }

// functionOf returns the name of the function of a chunk. A .cold part belongs to its function.
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

// checkLookup refuses a call of dlsym or dlvsym whose handle is or may be RTLD_NEXT, or RTLD_DEFAULT in a library, which may
// have a lookup scope of its own.
func (l *linker) checkLookup(c *chunk, refs []diff.Ref, r diff.Ref) {
	handle, _ := l.argument(c, refs, r, 0)
	what := ""
	switch {
	case handle.Known && handle.Number == -1:
		what = "RTLD_NEXT"
	case handle.Known && handle.Number == 0 && l.im.Shared():
		what = "RTLD_DEFAULT"
	case !handle.Known && (!opens(refs) || l.im.Arch.AllOnes(c.sec.Data)):
		what = "a handle that may be RTLD_NEXT"
	default:
		return
	}
	l.refuse(c.in, l.functionOf(c), codes.CallerUnknown, "the function calls %s with %s, and the dynamic linker does not know whose code new code is; leave such calls in functions that do not change, or say --caller-ok %s if that does not matter",
		r.Sym.Name, what, l.functionOf(c))
}

// opens reports whether the code obtains handles from dlopen or dlmopen.
func opens(refs []diff.Ref) bool {
	return slices.ContainsFunc(refs, func(r diff.Ref) bool {
		return r.Sec == nil && r.Sym != nil && (r.Sym.Name == "dlopen" || r.Sym.Name == "dlmopen")
	})
}

// anywhere reports whether the file name passed to dlopen or dlmopen is absolute or NULL, so that the result does not depend
// on the caller.
func (l *linker) anywhere(c *chunk, refs []diff.Ref, r diff.Ref, name string) bool {
	n := 0
	if name == "dlmopen" {
		n = 1
	}
	a, of := l.argument(c, refs, r, n)
	if of != nil {
		lit, ok := diff.Literal(*of)
		return ok && lit.Off == 0 && strings.HasPrefix(lit.Content, "/") && !strings.Contains(lit.Content, "$")
	}
	return a.Known && a.Number == 0
}

// argument determines argument n of a call, and the reference to the address that it holds, as far as they are known.
func (l *linker) argument(c *chunk, refs []diff.Ref, call diff.Ref, n int) (v arch.Value, place *diff.Ref) {
	at := func(from, to uint64) int {
		return slices.IndexFunc(refs, func(r diff.Ref) bool { return r.Off >= from && r.Off < to })
	}
	v = l.im.Arch.Argument(c.sec.Data, call.Off, n, func(from, to uint64) bool { return at(from, to) >= 0 })
	if v.End == 0 {
		return v, nil
	}
	place = &refs[at(v.Start, v.End)]
	if place.Type.Meaning == arch.Word { // it is loaded from a word with the address
		return arch.Value{}, nil
	}
	return v, place
}
