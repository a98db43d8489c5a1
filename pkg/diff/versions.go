// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// A source file may contain both versions, selected by conditional directives. Compilers that record no hash of source files
// (gcc) leave it open whether both objects were compiled from the file as it is now. It is accepted as proof if all
// declarations that only one object has are in branches for which the other object has none: no edit of the file produces
// this.

// branch is a branch of a conditional group, identified by the line of its #if and the line at which the branch starts.
type branch struct{ group, start int }

// conditional matches the directives that start, divide and end conditional groups.
var conditional = lazyregexp.New(`^\s*#\s*(if|ifdef|ifndef|elif|elifdef|elifndef|else|endif)\b`)

// branchesOf returns the enclosing branches of each line, or nil if the directives are not balanced.
func branchesOf(lines []string) [][]branch {
	out := make([][]branch, len(lines))
	var open []branch
	for i, line := range lines {
		m := conditional().FindStringSubmatch(line)
		switch {
		case m == nil:
			out[i] = slices.Clone(open)
		case strings.HasPrefix(m[1], "if"):
			open = append(open, branch{i, i})
		case len(open) == 0:
			return nil
		case m[1] == "endif":
			open = open[:len(open)-1]
		default:
			open[len(open)-1].start = i
		}
	}
	if len(open) > 0 {
		return nil
	}
	return out
}

// declarations is the set of names that an object declares at lines of a file, and of lines for which it has code.
type declarations map[declaration]bool

type declaration struct {
	name  string // "" for a line with code
	line  int
	local bool
}

// declaredIn returns the functions and static variables that an object has from file, and the lines for which it has code.
func (o *Object) declaredIn(file string) declarations {
	out := declarations{}
	info, err := o.Debug()
	if err != nil || info == nil {
		return out
	}
	add := func(e *debuginfo.Entry) {
		if in, line, ok := e.Source(); ok && in == file && e.Name() != "" {
			out[declaration{e.Name(), line, e.Function() != nil}] = true
		}
	}
	for _, line := range info.Lines(file) {
		out[declaration{line: line}] = true
	}
	info.EachFunction(add)
	for _, v := range o.Variables() {
		if id := o.identify(v); id.decl.Entry != nil {
			add(id.decl.Entry)
		}
	}
	return out
}

// proveVersions accepts a source file as that of both objects if it contains both versions.
func (c *comparer) proveVersions() {
	tried := map[string]bool{}
	for _, g := range c.crowds((*identity).key) {
		if g.sole() {
			continue
		}
		ofile, oproved, os := c.old.spot(g.olds[0])
		nfile, nproved, ns := c.new.spot(g.news[0])
		if os == nil || ns == nil || ofile != nfile || oproved != nproved || tried[ofile] {
			continue
		}
		tried[ofile] = true
		lines := c.old.sources[ofile].lines
		if !slices.Equal(lines, c.new.sources[ofile].lines) {
			continue
		}
		v := versions{lines, branchesOf(lines), c.old.declaredIn(ofile), c.new.declaredIn(ofile)}
		if oproved || v.areBoth() {
			c.old.sources[ofile], c.new.sources[ofile] = v.divide()
		}
	}
}

// versions is a source file with the declarations that two objects have from it.
type versions struct {
	lines   []string
	of      [][]branch // enclosing branches of each line; nil if unbalanced
	was, is declarations
}

// areBoth reports whether all declarations that only one object has are in branches without declarations of the other, and
// there is at least one such branch.
func (v *versions) areBoth() bool {
	if v.of == nil {
		return false
	}
	olds, ok1 := v.was.without(v.is, v.of, v.lines)
	news, ok2 := v.is.without(v.was, v.of, v.lines)
	return ok1 && ok2 && len(olds)+len(news) > 0
}

// divide reconstructs the preprocessed source for each of the two objects.
func (v *versions) divide() (olds, news *source) {
	if v.of == nil {
		return &source{}, &source{}
	}
	all := chunksOf(v.lines)
	olds = preprocess(v.lines, all, choose(v.lines, all, v.was.branches(v.of), v.is.alone(v.was, v.of)))
	news = preprocess(v.lines, all, choose(v.lines, all, v.is.branches(v.of), v.was.alone(v.is, v.of)))
	settleMacros(v.lines, olds, news, func(line int) bool { return v.was[declaration{line: line}] || v.is[declaration{line: line}] })
	for at := range v.was {
		olds.starts = append(olds.starts, at.startOf(olds)...)
	}
	for at := range v.is {
		news.starts = append(news.starts, at.startOf(news)...)
	}
	return olds, news
}

// startOf returns the index in src of a declaration at file scope.
func (at declaration) startOf(src *source) []int {
	if at.name == "" || at.local || src.at(at.line) < 0 {
		return nil
	}
	return []int{src.at(at.line)}
}

// alone returns the branches in which d has entries and other has none, although other has entries in the enclosing branches.
func (d declarations) alone(other declarations, of [][]branch) map[branch]bool {
	taken, out := other.branches(of), map[branch]bool{}
	for at := range d {
		if at.line < 1 || at.line > len(of) {
			continue
		}
		if i := slices.IndexFunc(of[at.line-1], func(b branch) bool { return !taken[b] }); i >= 0 {
			out[of[at.line-1][i]] = true
		}
	}
	return out
}

// without returns the branches that contain declarations of d which other lacks, and no entry of other. ok is false if a
// declaration of d is not found in its line, or if a declaration that other lacks is not in such a branch.
func (d declarations) without(other declarations, of [][]branch, lines []string) (only map[branch]bool, ok bool) {
	taken := other.branches(of)
	only = map[branch]bool{}
	for at := range d {
		switch {
		case at.line < 1 || at.line > len(lines):
			return nil, false
		case at.name == "":
			continue
		case !wordOf(at.name).MatchString(lines[at.line-1]) || at.local && !saysStatic(lines, at.line-1):
			return nil, false
		case other[at]:
			continue
		}
		i := slices.IndexFunc(of[at.line-1], func(b branch) bool { return !taken[b] })
		if i < 0 {
			return nil, false
		}
		only[of[at.line-1][i]] = true
	}
	return only, true
}

// branches returns all branches that contain an entry of d.
func (d declarations) branches(of [][]branch) map[branch]bool {
	out := map[branch]bool{}
	for at := range d {
		if at.line >= 1 && at.line <= len(of) {
			for _, b := range of[at.line-1] {
				out[b] = true
			}
		}
	}
	return out
}
