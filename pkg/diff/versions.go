// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
)

// A source may hold both versions, between which the preprocessor chooses. Compilers that note no hash of a source (gcc) do
// not tell then that both objects were made from what is at hand; but what only one object has is all in branches of #if of
// which the other has nothing, which no edit of a file leaves behind.

// branch is one of an #if: which line has the #if, and which one begins the branch.
type branch struct{ group, start int }

// conditional matches the directives that begin, divide and end branches.
var conditional = lazyregexp.New(`^\s*#\s*(if|ifdef|ifndef|elif|elifdef|elifndef|else|endif)\b`)

// branchesOf lists for each line the branches that it is in; nil if they are not balanced.
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

// declarations are the names that an object declares at lines of a file, and where it has code of it.
type declarations map[declaration]bool

type declaration struct {
	name  string // "" for code of that line
	line  int
	local bool
}

// declaredIn lists the functions and variables of static storage that an object has from a file.
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

// proveVersions takes a source for what both objects were compiled from if it holds the versions of both.
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

// versions is a source with what two objects have of it.
type versions struct {
	lines   []string
	of      [][]branch // of each line; nil if they are not balanced
	was, is declarations
}

// areBoth tells whether all that only one object declares is where the other has nothing, and that there is such a thing.
func (v *versions) areBoth() bool {
	if v.of == nil {
		return false
	}
	olds, ok1 := v.was.without(v.is, v.of, v.lines)
	news, ok2 := v.is.without(v.was, v.of, v.lines)
	return ok1 && ok2 && len(olds)+len(news) > 0
}

// divide makes of the source what the preprocessor left of it for each object.
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

// startOf is the line of a function in the source of a version.
func (at declaration) startOf(src *source) []int {
	if at.name == "" || at.local || src.at(at.line) < 0 {
		return nil
	}
	return []int{src.at(at.line)}
}

// alone lists the branches where d has something and other has not, though it has what is around them.
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

// without lists the branches that hold what only d declares, and of which other has nothing. ok is false if what d declares is
// not in its line, or if something that other does not declare is in no such branch.
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

// branches are all that something is declared in.
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
