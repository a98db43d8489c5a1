package diff

import (
	"os"
	"regexp"
	"strings"

	"lpatch/pkg/debuginfo"
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
}

// line is one near the spot without its indentation, with the variable's name blotted out; "" if it says nothing.
func (s *spot) line(off int, name *regexp.Regexp) string {
	if i := s.at + off; i >= s.low && i < len(s.lines) {
		text := strings.Join(strings.Fields(s.lines[i]), " ")
		if off == 0 || speaks.MatchString(text) {
			return name.ReplaceAllString(text, "\x00")
		}
	}
	return ""
}

// speaks tells lines of code from those that all blocks have.
var speaks = regexp.MustCompile(`\w.*\w.*\w`)

func wordOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
}

// spot finds the declaration of a variable in the source.
func (o *Object) spot(v *lpelf.Symbol) *spot {
	id := o.identify(v)
	if id.decl.Entry == nil {
		return nil
	}
	file, line, ok := id.decl.Source()
	if !ok {
		return nil
	}
	lines, read := o.texts[file]
	if !read {
		lines = o.readSource(file)
		o.texts[file] = lines
	}
	if line < 1 || line > len(lines) {
		return nil
	}
	s := &spot{lines: lines, at: line - 1}
	if f := id.decl.Function(); f != nil {
		if in, first, ok := f.Source(); ok && in == file && first <= line {
			s.low = first - 1
		}
	}
	return s
}

// readSource reads a source if it is what the object was compiled from: no newer than that, and with the functions that it
// defines where they were.
func (o *Object) readSource(file string) []string {
	path, _, _ := strings.Cut(o.Path, "(") // a member of an archive
	src, err1 := os.Stat(file)
	obj, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || src.ModTime().After(obj.ModTime()) || !src.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(file)
	info, err2 := o.Debug()
	if err != nil || err2 != nil {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	there, all := 0, 0
	info.EachFunction(func(f *debuginfo.Entry) {
		name := f.Name()
		in, line, ok := f.Source()
		if !ok || in != file || !identifier.MatchString(name) {
			return
		}
		all++
		if line >= 1 && line <= len(lines) && wordOf(name).MatchString(lines[line-1]) {
			there++
		}
	})
	if there == 0 || there < all-all/8 { // macros make names
		return nil
	}
	return lines
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// samePlace tells whether a new variable is, of several, where an old one was: a line nearby says so, and none says that
// another one is.
func (c *comparer) samePlace(o, n *lpelf.Symbol, olds, news []*lpelf.Symbol) bool {
	return c.toldApart(o, n, news, c.old, c.new) && c.toldApart(n, o, olds, c.new, c.old)
}

// toldApart tells whether the lines around a, which is in obj, tell b from each other variable of there.
func (c *comparer) toldApart(a, b *lpelf.Symbol, others []*lpelf.Symbol, obj, there *Object) bool {
	as, bs := obj.spot(a), there.spot(b)
	if as == nil || bs == nil {
		return false
	}
	word := wordOf(obj.identify(a).decl.Name())
	near := false
	for off := -around; off <= around; off++ {
		near = near || as.line(off, word) != "" && as.line(off, word) == bs.line(off, word)
	}
	for _, other := range others {
		if other == b {
			continue
		}
		ts := there.spot(other)
		if ts == nil || !tells(as, bs, ts, word) {
			return false
		}
	}
	return near
}

// tells tells whether the lines where a and b, or a and other are the same speak for b alone.
func tells(a, b, other *spot, word *regexp.Regexp) bool {
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
	os, ns := c.old.spot(o), c.new.spot(n)
	if os == nil || ns == nil {
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
// them is, and neither names the variable.
func (c *comparer) otherMacro(o, n *lpelf.Symbol) bool {
	os, ns := c.old.spot(o), c.new.spot(n)
	if os == nil || ns == nil || !c.new.identify(n).local || isReadOnly(c.new.SectionOf(n)) {
		return false
	}
	word := wordOf(c.new.identify(n).decl.Name())
	was, is := os.line(0, word), ns.line(0, word)
	return was != is && !strings.Contains(was, "\x00") && !strings.Contains(is, "\x00")
}

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
