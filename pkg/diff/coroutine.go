// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/names"
)

// gccCoroutine matches the functions that gcc generates for a coroutine: the actor, which resumes it, and destroy, which
// frees its frame. The frame is a parameter of both, and its mangled type contains the name of the coroutine.
var gccCoroutine = lazyregexp.New(`_Z.*?[0-9]+(_Z.*)\.Frame\.(actor|destroy)$`)

// clangCoroutine matches the functions that clang generates for a coroutine.
var clangCoroutine = lazyregexp.New(`^(.+)\.(resume|destroy|cleanup)$`)

// coroutineOf returns the name of the coroutine that a function resumes or destroys.
func coroutineOf(name string) (string, bool) {
	if parent, cold := ColdParent(name); cold {
		name = parent
	}
	if m := gccCoroutine().FindStringSubmatch(name); m != nil {
		return m[1], true
	}
	if m := clangCoroutine().FindStringSubmatch(name); m != nil && strings.HasPrefix(m[1], "_Z") {
		return m[1], true
	}
	return "", false
}

// suspended refuses a changed part of a coroutine: the frames of suspended coroutines were laid out by the old code and
// contain the number of the old resume point.
func (c *comparer) suspended(f *lpelf.Symbol) bool {
	ramp, ok := coroutineOf(f.Name)
	if rust := c.new.rustSuspended(f); rust != "" {
		ramp, ok = rust, true
	}
	if !ok {
		return false
	}
	for _, said := range c.opts.LayoutOK {
		if said == ramp || said == names.Readable(ramp) {
			c.res.Layouts = append(c.res.Layouts, said)
			return false
		}
	}
	c.refuse(ramp, codes.CoroutineChanged, "the coroutine changed, and those that are suspended would go on in the new code with what the old code has kept; put what changes into a function that it calls, or say --layout-ok '%s' if none is suspended", ramp)
	return true
}
