// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"debug/elf"

	"lpatch/pkg/codes"
)

// What an object says about code on the stack, in .note.GNU-stack.
const (
	stackOfData = "does not run code on the stack"
	stackOfCode = "runs code on the stack"
	stackUnsaid = "does not say whether it runs code on the stack"
)

// compareStacks refuses code that wants another protection of the stack than before: the program has been given its own, and
// what gcc puts there for a nested function whose address is taken does not run.
func (c *comparer) compareStacks() {
	was, is := c.old.stack(), c.new.stack()
	if was == is || len(c.old.Sections) == 0 && is != stackOfCode { // there was no such object
		return
	}
	c.refuse("", codes.StackChanged, "the new object %s, and the old one %s (.note.GNU-stack), and the stacks of the program stay what they are; do without nested functions whose address is taken, or restart the program", is, was)
}

func (o *Object) stack() string {
	s := o.Section(".note.GNU-stack")
	switch {
	case s == nil:
		return stackUnsaid
	case s.Flags&elf.SHF_EXECINSTR != 0:
		return stackOfCode
	}
	return stackOfData
}
