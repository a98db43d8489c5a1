// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"crypto/md5"
	"os"
	"regexp"
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// Where the source is at hand as it was compiled, its text tells variables apart that have all else in common.

// around is how many lines before and behind a declaration are looked at.
const around = 8

// spot is a line of a source.
type spot struct {
	lines []string
	at    int // index
	low   int // the first that belongs to the function

	exact bool // what the preprocessor left, no more than the function
	doubt bool // not all of that is known
}

// line is one near the spot without its indentation, with the variable's name blotted out; "" if it says nothing.
func (s *spot) line(off int, name *regexp.Regexp) string {
	if i := s.at + off; i >= s.low && i < len(s.lines) {
		text := strings.Join(strings.Fields(s.lines[i]), " ")
		if off == 0 || speaks().MatchString(text) && text[0] != '#' {
			return name.ReplaceAllString(text, "\x00")
		}
	}
	return ""
}

// speaks tells lines of code from those that all blocks have.
var speaks = lazyregexp.New(`\w.*\w.*\w`)

func wordOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
}

// spots finds the declarations of an old and a new variable in their sources; nil where those are not at hand.
func (c *comparer) spots(o, n *lpelf.Symbol) (os, ns *spot) {
	ofile, oproved, os := c.old.spot(o)
	nfile, nproved, ns := c.new.spot(n)
	if os == nil || ns == nil || ofile == nfile && !(oproved && nproved) {
		return nil, nil // a file has one version only, and which one is not known
	}
	if os.doubt || ns.doubt {
		return nil, nil
	}
	return os, ns
}

// source is a file of which an object was made; lines is nil if the file is not that any more, as far as can be seen.
type source struct {
	lines  []string
	proved bool // by its hash

	// If the file holds both versions, lines are those of one.
	index  []int  // of each line of the file; -1 if it is not this version's
	doubts []bool // of each of lines: what it says is not known
	starts []int  // of functions and of variables of the file
}

// at is the index of a line of the file, or -1.
func (s *source) at(line int) int {
	switch {
	case s.index == nil && line <= len(s.lines):
		return line - 1
	case line < 1 || line > len(s.index):
		return -1
	}
	return s.index[line-1]
}

// confine leaves a spot in a source of two versions its function only, and looks whether all of that is known.
func (s *source) confine(at *spot) {
	if s.index == nil {
		return
	}
	end := at.at
	for end+1 < len(s.lines) && !strings.HasPrefix(s.lines[end], "}") {
		end++
	}
	next := len(s.lines) // a brace may be the end of something else
	for _, start := range s.starts {
		if start > at.at {
			next = min(next, start)
		}
	}
	end = max(end+1, next)
	at.lines = s.lines[:end]
	at.exact = true
	at.doubt = slices.Contains(s.doubts[min(at.low+1, at.at):end], true) // its first line has attributes
}

// spot finds the declaration of a variable in the source.
func (o *Object) spot(v *lpelf.Symbol) (file string, proved bool, s *spot) {
	id := o.identify(v)
	if id.decl.Entry == nil {
		return "", false, nil
	}
	return o.spotOf(id.decl.Entry)
}

func (o *Object) spotOf(decl *debuginfo.Entry) (file string, proved bool, s *spot) {
	file, line, ok := decl.Source()
	if !ok {
		return "", false, nil
	}
	src := o.sources[file]
	if src == nil {
		src = o.readSource(file, decl)
		o.sources[file] = src
	}
	at := src.at(line)
	if at < 0 {
		return "", false, nil
	}
	s = &spot{lines: src.lines, at: at}
	if f := decl.Function(); f != nil {
		if in, first, ok := f.Source(); ok && in == file && first <= line {
			s.low = max(src.at(first), 0)
		}
	}
	src.confine(s)
	return file, src.proved, s
}

// readSource reads a source if it is what the object was compiled from: of the same hash, or, if the compiler has noted
// none, with the functions that it defines where they were.
func (o *Object) readSource(file string, decl *debuginfo.Entry) *source {
	const most = 16 << 20
	st, err := os.Stat(file)
	if err != nil || !st.Mode().IsRegular() || st.Size() > most {
		return &source{}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return &source{}
	}
	lines := strings.Split(string(data), "\n")
	if hash, ok := decl.FileHash(); ok {
		if md5.Sum(data) != hash {
			return &source{}
		}
		return &source{lines: lines, proved: true}
	}
	if !o.functionsAreIn(file, lines) {
		return &source{}
	}
	return &source{lines: lines}
}

// functionsAreIn tells whether the functions that an object has from a file are at their lines.
func (o *Object) functionsAreIn(file string, lines []string) bool {
	info, err := o.Debug()
	if err != nil {
		return false
	}
	there, all := 0, 0
	info.EachFunction(func(f *debuginfo.Entry) {
		name := f.Name()
		in, line, ok := f.Source()
		if !ok || in != file || !identifier().MatchString(name) {
			return
		}
		all++
		if line >= 1 && line <= len(lines) && wordOf(name).MatchString(lines[line-1]) {
			there++
		}
	})
	return there > 0 && there >= all-all/8 // macros make names
}

var identifier = lazyregexp.New(`^[A-Za-z_]\w*$`)

// samePlace tells whether a new variable is, of several, where an old one was: its own line is the same, that or one nearby
// is not so of the others, and none says that another one is meant.
func (c *comparer) samePlace(o, n *lpelf.Symbol, olds, news []*lpelf.Symbol) bool {
	os, ns := c.spots(o, n)
	if os == nil {
		return false
	}
	word := wordOf(c.new.identify(n).decl.Name())
	if os.line(0, word) != ns.line(0, word) {
		return false
	}
	before, now := c.old.otherSpots(o, olds), c.new.otherSpots(n, news)
	for _, s := range before {
		if s == nil || !tells(ns, os, s, word) {
			return false
		}
	}
	for _, s := range now {
		if s == nil || !tells(os, ns, s, word) {
			return false
		}
	}
	return len(before)+len(now) > 0
}

// tells tells whether the lines where a and b, or a and other are the same speak for b alone.
func tells(a, b, other *spot, word *regexp.Regexp) bool {
	if a.exact {
		return nearest(a, b, other, word)
	}
	speaksForB := false
	for off := -around; off <= around; off++ {
		at, bt, ot := a.line(off, word), b.line(off, word), other.line(off, word)
		switch {
		case at == "" || bt == ot:
		case at == bt:
			speaksForB = true
		case at == ot:
			return false
		}
	}
	return speaksForB
}

// sameUse tells whether two variables are declared alike and used alike where that is first.
func (c *comparer) sameUse(o, n *lpelf.Symbol) bool {
	os, ns := c.spots(o, n)
	if os == nil {
		return false
	}
	was, is := wordOf(c.old.identify(o).decl.Name()), wordOf(c.new.identify(n).decl.Name())
	if os.line(0, was) != ns.line(0, is) || !strings.Contains(os.line(0, was), "\x00") {
		return false
	}
	use := func(s *spot, word *regexp.Regexp) string {
		for off := 1; off <= around; off++ {
			if line := s.line(off, word); strings.Contains(line, "\x00") {
				return line
			}
		}
		return ""
	}
	first := use(os, was)
	return first == use(ns, is) && (first != "" || strings.Count(os.line(0, was), "\x00") > 1)
}

// otherMacro tells whether the source says that the uses of a macro that made two variables are not the same: no line of
// them is, and neither names the variable. If both objects are of one file, which may have changed since, both lines must use
// the same macro.
func (c *comparer) otherMacro(o, n *lpelf.Symbol) bool {
	_, _, os := c.old.spot(o)
	_, _, ns := c.new.spot(n)
	if os == nil || ns == nil || !c.new.identify(n).local || isReadOnly(c.new.SectionOf(n)) {
		return false
	}
	word := wordOf(c.new.identify(n).decl.Name())
	was, is := os.line(0, word), ns.line(0, word)
	if was == is || strings.Contains(was, "\x00") || strings.Contains(is, "\x00") {
		return false
	}
	used := call().FindAllString(was, -1)
	proved, _ := c.spots(o, n)
	return proved != nil || slices.ContainsFunc(call().FindAllString(is, -1), func(s string) bool { return slices.Contains(used, s) })
}

// call is the use of a macro or function with arguments.
var call = lazyregexp.New(`\b\w+\(`)

// defines tells whether an object's debug information has a function of that name, with its parameters in C++.
func (o *Object) defines(scope string) bool {
	found := false
	if info, err := o.Debug(); err == nil {
		info.EachFunction(func(f *debuginfo.Entry) {
			found = found || f.Name() == scope || numberless(f.LinkageName()) == scope
		})
	}
	return found
}
