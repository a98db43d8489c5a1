// SPDX-License-Identifier: GPL-2.0

// Package linenumbers has the lines of a changed source keep the numbers that they had before the change, by #line directives,
// so that code with __LINE__ (assert, logs) is the same where only lines in front of it came or went.
package linenumbers

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/rogpeppe/go-internal/diff"

	"lpatch/pkg/lazyregexp"
)

// Keep returns the new text with directives by which the lines that it shares with the old one have their old numbers. Lines in
// the place of old ones have the numbers of those. Others get their own in the new text and a power of ten on top: numbers that
// no line had, for macros make names from them. No token changes. Where it is not certain what a directive would be part of, there is none, and what
// follows has other numbers; a source that is not certain at all is returned as it is.
func Keep(old, new []byte) []byte {
	if _, ok := scan(old); !ok {
		return new
	}
	lines, ok := scan(new)
	if !ok {
		return new
	}
	want := numbers(old, new, lines)
	var out bytes.Buffer
	var c counter
	c.now.known = true
	i := 0
	for text := range bytes.Lines(new) {
		l := lines[i]
		if l.free() && !c.says(want[i]) {
			fmt.Fprintf(&out, "#line %d\n", want[i])
			c.set(want[i])
		}
		c.pass(l.kind)
		out.Write(text)
		i++
	}
	return out.Bytes()
}

// counter follows what the compiler takes for the number of a line.
type counter struct {
	line  int // that were written
	now   offset
	conds []paths
}

// offset is what is added to the place of a line in the file; not known where ways through #if disagree.
type offset struct {
	known bool
	by    int
}

// paths are the ways through an #if.
type paths struct {
	start   offset
	ends    []offset
	hasElse bool
}

func (c *counter) says(n int) bool { return c.now.known && c.line+1+c.now.by == n }

// set notes a directive, on a line of its own.
func (c *counter) set(n int) {
	c.line++
	c.now = offset{true, n - c.line - 1}
}

// pass notes a line.
func (c *counter) pass(k kind) {
	c.line++
	if k == ifs {
		c.conds = append(c.conds, paths{start: c.now})
	}
	if k != elif && k != other && k != endif {
		return
	}
	p := &c.conds[len(c.conds)-1]
	p.ends = append(p.ends, c.now)
	c.now = p.start
	p.hasElse = p.hasElse || k == other
	if k != endif {
		return
	}
	if !p.hasElse {
		p.ends = append(p.ends, p.start)
	}
	c.now = p.ends[0]
	for _, end := range p.ends {
		if end != c.now {
			c.now.known = false
		}
	}
	c.conds = c.conds[:len(c.conds)-1]
}

var hunk = lazyregexp.New(`^@@ -(\d+),(\d+) \+(\d+),(\d+) @@`)

// numbers returns the number that each line of the new text is to have.
func numbers(old, new []byte, lines []line) []int {
	n := &numbering{lines: lines, base: 1000}
	for n.base <= bytes.Count(old, []byte("\n"))+1 {
		n.base *= 10
	}
	for text := range bytes.Lines(diff.Diff("old", old, "new", new)) {
		if m := hunk().FindSubmatch(text); m != nil && n.left == 0 {
			n.flush()
			start, _ := strconv.Atoi(string(m[1]))
			count, _ := strconv.Atoi(string(m[2]))
			added, _ := strconv.Atoi(string(m[4]))
			if count == 0 {
				start++ // "-0,0": behind that line
			}
			n.same(start - n.old - 1)
			n.left = count + added
			continue
		}
		if n.left == 0 {
			continue // the heading
		}
		switch text[0] {
		case ' ':
			n.flush()
			n.same(1)
			n.left -= 2
		case '-':
			n.gone++
			n.left--
		case '+':
			n.came++
			n.left--
		}
	}
	n.flush()
	n.same(len(lines) - len(n.want))
	return n.want
}

// numbering goes through both texts.
type numbering struct {
	lines      []line
	want       []int
	old        int // lines of the old text that are done
	base       int // more than any line of the old text has
	left       int // lines of the difference that its heading announces
	gone, came int // lines of a change
}

// same takes lines that both texts have.
func (n *numbering) same(count int) {
	for range count {
		n.old++
		n.want = append(n.want, n.old)
	}
}

// flush takes a change.
func (n *numbering) flush() {
	start := len(n.want)
	taken := min(n.gone, n.came)
	if n.came > n.gone {
		taken = n.turn(start, taken)
	}
	for i := range n.came {
		if i < taken {
			n.want = append(n.want, n.old+i+1)
		} else {
			n.want = append(n.want, n.base+start+i+1)
		}
	}
	n.old += n.gone
	n.gone, n.came = 0, 0
}

// turn returns how many lines of a change can have numbers of lines that are gone. The directive for what follows must be in
// front of that, and may have to be earlier than where the numbers end.
func (n *numbering) turn(start, taken int) int {
	for i := start + taken; i < start+n.came; i++ {
		if n.lines[i].free() {
			return taken
		}
		if n.lines[i].kind == code {
			break
		}
	}
	for i := start + taken - 1; i >= start; i-- {
		if n.lines[i].free() {
			return i - start
		}
	}
	return taken
}
