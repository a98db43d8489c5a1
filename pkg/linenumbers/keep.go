// SPDX-License-Identifier: GPL-2.0

// Package linenumbers preserves the line numbers of a source file across a change by inserting #line directives, so that code
// which depends on __LINE__ (assert, logging) stays the same if only preceding lines were added or removed.
package linenumbers

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/rogpeppe/go-internal/diff"

	"lpatch/pkg/lazyregexp"
)

// Keep returns the new text with #line directives that give the lines it shares with the old text their old numbers. Lines
// that replace old ones get the numbers of those. Added lines get their number in the new text plus a power of ten, which is
// unique, because macros form identifiers from line numbers. No token changes. Where a directive could become part of
// something else, it is omitted, and the following lines have other numbers. If the text cannot be analyzed with certainty,
// it is returned unchanged.
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

// counter tracks the line number that the compiler assumes.
type counter struct {
	line  int // number of lines written
	now   offset
	conds []paths
}

// offset is the difference between the assumed number of a line and its position in the file; unknown if it depends on the
// branch of an #if that is taken.
type offset struct {
	known bool
	by    int
}

// paths holds the offsets of the branches of a conditional group.
type paths struct {
	start   offset
	ends    []offset
	hasElse bool
}

func (c *counter) says(n int) bool { return c.now.known && c.line+1+c.now.by == n }

// set records a #line directive, which occupies a line of its own.
func (c *counter) set(n int) {
	c.line++
	c.now = offset{true, n - c.line - 1}
}

// pass records a line.
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

// numbers returns the number that each line of the new text should have.
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
				start++ // "-0,0" means after this line
			}
			n.same(start - n.old - 1)
			n.left = count + added
			continue
		}
		if n.left == 0 {
			continue // header of the diff
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

// numbering walks both texts.
type numbering struct {
	lines      []line
	want       []int
	old        int // lines of the old text processed
	base       int // larger than any line number of the old text
	left       int // remaining lines announced by the hunk header
	gone, came int // removed and added lines of a change
}

// same processes lines that both texts have.
func (n *numbering) same(count int) {
	for range count {
		n.old++
		n.want = append(n.want, n.old)
	}
}

// flush processes a change.
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

// turn returns how many added lines can have the numbers of removed ones. The directive for the remaining lines must precede
// them, possibly at an earlier line than where the numbers end.
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
