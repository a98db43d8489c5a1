// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
	"lpatch/pkg/names"
)

// gccCoroutine is the name of a part of a coroutine by gcc: what it goes on in, and what frees its frame. The frame, an
// argument of both, has the name of the coroutine in its own.
var gccCoroutine = lazyregexp.New(`_Z.*?[0-9]+(_Z.*)\.Frame\.(actor|destroy)$`)

// clangCoroutine is the same by clang.
var clangCoroutine = lazyregexp.New(`^(.+)\.(resume|destroy|cleanup)$`)

// coroutineOf names the coroutine that a function is a part of, by which it goes on after it was suspended.
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

// suspended refuses a changed part of a coroutine: the frames of those that are suspended have what the old one put there, and
// the number of the place where it goes on.
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
