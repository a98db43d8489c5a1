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

// If the source is available as it was compiled, its text distinguishes variables that are equal in all other respects.

// around is the number of lines before and after a declaration that are considered.
const around = 8

// spot is a line in a source file.
type spot struct {
	lines []string
	at    int // index in lines
	low   int // index of the first line of the function

	exact bool // lines were preprocessed and end with the function
	doubt bool // parts of the text are unknown
}

// line returns the line at distance off from the spot with normalized white space and the name of the variable masked; "" if
// it is out of range or not significant.
func (s *spot) line(off int, name *regexp.Regexp) string {
	if i := s.at + off; i >= s.low && i < len(s.lines) {
		text := strings.Join(strings.Fields(s.lines[i]), " ")
		if off == 0 || speaks().MatchString(text) && text[0] != '#' {
			return name.ReplaceAllString(text, "\x00")
		}
	}
	return ""
}

// speaks matches lines with significant code, as opposed to those that all blocks contain.
var speaks = lazyregexp.New(`\w.*\w.*\w`)

func wordOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
}

// spots returns the declarations of an old and a new variable in their source files; nil if a source file is not available.
func (c *comparer) spots(o, n *lpelf.Symbol) (os, ns *spot) {
	ofile, oproved, os := c.old.spot(o)
	nfile, nproved, ns := c.new.spot(n)
	if os == nil || ns == nil || ofile == nfile && !(oproved && nproved) {
		return nil, nil // the file has changed since, and it is not known which version it has now
	}
	if os.doubt || ns.doubt {
		return nil, nil
	}
	return os, ns
}

// source is a source file from which an object was compiled. lines is nil if the file is known to have changed since.
type source struct {
	lines  []string
	proved bool // verified by its hash

	// If the file contains both versions, lines holds the text of one of them.
	index  []int  // line of the file -> index in lines; -1 if it is not part of this version
	doubts []bool // for each element of lines: its text is doubtful
	starts []int  // indexes of the declarations at file scope
}

// at returns the index in lines of a line of the file, or -1.
func (s *source) at(line int) int {
	switch {
	case s.index == nil && line <= len(s.lines):
		return line - 1
	case line < 1 || line > len(s.index):
		return -1
	}
	return s.index[line-1]
}

// confine limits a spot in a source file with two versions to its function, and marks it as doubtful if parts of the function
// are.
func (s *source) confine(at *spot) {
	if s.index == nil {
		return
	}
	end := at.at
	for end+1 < len(s.lines) && !strings.HasPrefix(s.lines[end], "}") {
		end++
	}
	next := len(s.lines) // a brace may end something else than the function
	for _, start := range s.starts {
		if start > at.at {
			next = min(next, start)
		}
	}
	end = max(end+1, next)
	at.lines = s.lines[:end]
	at.exact = true
	at.doubt = slices.Contains(s.doubts[min(at.low+1, at.at):end], true) // the first line may have attributes
}

// spot returns the declaration of a variable in the source file.
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

// readSource reads a source file if it is the one that the object was compiled from: it has the recorded hash or, if the
// compiler recorded none, defines functions at the recorded lines.
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

// functionsAreIn reports whether the functions that the object has from file are found at their lines.
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
	return there > 0 && there >= all-all/8 // macros may define functions
}

var identifier = lazyregexp.New(`^[A-Za-z_]\w*$`)

// samePlace reports whether the new variable n is at the location of the old variable o: its own line is unchanged, and the
// lines around it match those around o and distinguish it from all other candidates.
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

// tells reports whether the lines around a match those around b where they differ from those around other.
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

// sameUse reports whether two variables have the same declaration and the same first use.
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

// otherMacro reports whether the source shows that two variables come from expansions of macros in different lines: the lines
// differ, and neither contains the name of the variable. If both objects were compiled from the same file, which may have
// changed since, both lines must use a common macro.
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

// call matches the start of a macro invocation or a function call.
var call = lazyregexp.New(`\b\w+\(`)

// defines reports whether the debug information of the object has a function called scope, with its parameters in C++.
func (o *Object) defines(scope string) bool {
	found := false
	if info, err := o.Debug(); err == nil {
		info.EachFunction(func(f *debuginfo.Entry) {
			found = found || f.Name() == scope || numberless(f.LinkageName()) == scope
		})
	}
	return found
}
