// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"regexp"
	"slices"
	"strings"

	"lpatch/pkg/lazyregexp"
)

// A source file that contains both versions, selected by conditional directives, is not the text of either: lines that both
// versions share may have been preprocessed differently. The preprocessed text is reconstructed as far as debug information
// shows which branches were taken. The text of a function with parts that remain unknown is marked as doubtful and is not
// used.

// chunk is a conditional group, from #if to #endif.
type chunk struct {
	starts []int // lines at which its branches start
	end    int
}

func (g *chunk) branch(i int) branch { return branch{g.starts[0], g.starts[i]} }

// chunksOf returns the conditional groups in lines, whose directives must be balanced.
func chunksOf(lines []string) []*chunk {
	var all, open []*chunk
	for i, line := range lines {
		m := conditional().FindStringSubmatch(line)
		switch {
		case m == nil:
		case strings.HasPrefix(m[1], "if"):
			open = append(open, &chunk{starts: []int{i}})
			all = append(all, open[len(open)-1])
		case m[1] == "endif":
			open[len(open)-1].end = i
			open = open[:len(open)-1]
		default:
			open[len(open)-1].starts = append(open[len(open)-1].starts, i)
		}
	}
	return all
}

// asks matches a condition that only tests whether one macro is defined.
var asks = lazyregexp.New(`^\s*#\s*(?:(ifdef|ifndef)\s+(\w+)|if\s*(!?)\s*defined\b\s*\(?\s*(\w+)\s*\)?)\s*(?://.*|/\*.*\*/\s*)?$`)

// question returns the macro that a conditional directive tests, and whether its branch is taken if the macro is defined.
func question(line string) (macro string, defined bool) {
	m := asks().FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[2] + m[4], m[1] == "ifdef" || m[1] == "" && m[3] == ""
}

var (
	define  = lazyregexp.New(`^\s*#\s*(?:define|undef)\s+(\w+)(.*)`)
	include = lazyregexp.New(`^\s*#\s*include\b`)
	isElse  = lazyregexp.New(`^\s*#\s*else\b`)
)

// choices records which branches are known to be taken or not taken.
type choices map[branch]bool

// choose determines which branches were taken. A branch with an entry in have was taken, and its siblings were not; a branch
// in absent was not; other conditions that test a single macro follow from these.
func choose(lines []string, all []*chunk, have, absent map[branch]bool) choices {
	out := choices{}
	for _, g := range all {
		var taken []int
		for i := range g.starts {
			if have[g.branch(i)] {
				taken = append(taken, i)
			}
			if absent[g.branch(i)] {
				out[g.branch(i)] = false
			}
		}
		if len(taken) == 1 {
			out.take(g, taken[0])
		} else if len(taken) > 1 { // the file was included more than once
			delete(out, g.branch(0))
			continue
		}
		out.rest(g, lines)
	}
	facts := map[string][]*chunk{}
	for _, g := range all {
		macro, _ := question(lines[g.starts[0]])
		if _, ok := out[g.branch(0)]; ok && macro != "" {
			facts[macro] = append(facts[macro], g)
		}
	}
	changed := func(macro string, from, to int) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			m := define().FindStringSubmatch(line)
			return m != nil && m[1] == macro
		}) || slices.ContainsFunc(lines[min(from, to):max(from, to)], include().MatchString)
	}
	for _, g := range all {
		macro, defined := question(lines[g.starts[0]])
		if _, ok := out[g.branch(0)]; ok {
			continue
		}
		for _, fact := range facts[macro] {
			if _, same := question(lines[fact.starts[0]]); !changed(macro, fact.starts[0], g.starts[0]) {
				out[g.branch(0)] = out[fact.branch(0)] == (same == defined)
			}
		}
		if out[g.branch(0)] {
			out.take(g, 0)
		}
		out.rest(g, lines)
	}
	return out
}

func (c choices) take(g *chunk, taken int) {
	for i := range g.starts {
		c[g.branch(i)] = i == taken
	}
}

// rest marks the #else branch of g as taken if no branch before it was taken.
func (c choices) rest(g *chunk, lines []string) {
	last := len(g.starts) - 1
	if _, ok := c[g.branch(last)]; ok || !isElse().MatchString(lines[g.starts[last]]) {
		return
	}
	for i := range last {
		if taken, ok := c[g.branch(i)]; !ok || taken {
			return
		}
	}
	c[g.branch(last)] = true
}

// preprocess returns the source of one version. Branches that were not taken are removed, and lines in branches with unknown
// state are marked as doubtful.
func preprocess(lines []string, all []*chunk, taken choices) *source {
	dropped, doubts := make([]bool, len(lines)), make([]bool, len(lines))
	for _, g := range all {
		for i := range g.starts {
			from, to := g.starts[i], g.end
			if i+1 < len(g.starts) {
				to = g.starts[i+1]
			}
			is, known := taken[g.branch(i)]
			for at := from; at <= to && !known; at++ {
				doubts[at] = true
			}
			for at := from + 1; at < to && known && !is; at++ {
				dropped[at] = true
			}
		}
	}
	src := &source{proved: true, index: make([]int, len(lines))}
	for i, line := range lines {
		src.index[i] = -1
		if !dropped[i] && (doubts[i] || !conditional().MatchString(line)) {
			src.index[i] = len(src.lines)
			src.lines, src.doubts = append(src.lines, line), append(src.doubts, doubts[i])
		}
	}
	return src
}

// macros holds the replacement texts of the macros that a source file defines.
type macros struct {
	text  map[string]string
	doubt map[string]bool
	types map[string]bool // C and C++ types, whose names may be in capitals
}

// macros returns the macro definitions of a source. Macros with several definitions, or with doubtful ones, are marked as
// doubtful.
func (s *source) macros() macros {
	out := macros{map[string]string{}, map[string]bool{}, map[string]bool{}}
	for _, m := range typeName().FindAllStringSubmatch(strings.Join(s.lines, "\n"), -1) {
		out.types[m[1]] = true
	}
	for i := 0; i < len(s.lines); i++ {
		m := define().FindStringSubmatch(s.lines[i])
		if m == nil {
			continue
		}
		_, twice := out.text[m[1]]
		out.doubt[m[1]] = out.doubt[m[1]] || twice || s.doubts[i]
		text := m[2]
		for ; strings.HasSuffix(text, `\`) && i+1 < len(s.lines); i++ {
			text = text[:len(text)-1] + s.lines[i+1]
		}
		out.text[m[1]] = strings.Join(strings.Fields(text), " ")
	}
	return out
}

var (
	token    = lazyregexp.New(`"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|//.*|/\*.*?\*/|\b[A-Za-z_]\w*`)
	typeName = lazyregexp.New(`\b(?:struct|class|union|enum|typename)\s+(\w+)`)
	capitals = lazyregexp.New(`^_*[A-Z][A-Z0-9_]*$`)
)

// expand returns text with all macros replaced. ok is false if a replacement is unknown, as for a name in capitals that the
// file does not define.
func (m macros) expand(text string, depth int) (out string, ok bool) {
	const deep = 16
	ok = depth < deep
	out = token().ReplaceAllStringFunc(text, func(word string) string {
		body, defined := m.text[word]
		switch {
		case m.doubt[word] || !defined && !m.types[word] && capitals().MatchString(word):
			ok = false
		case defined && ok:
			inner, known := m.expand(body, depth+1)
			ok = ok && known
			return inner
		}
		return word
	})
	return out, ok
}

// value matches an initialisation or assignment of a name in a line without code.
var value = lazyregexp.New(`\b([A-Za-z_]\w*)\s*(?:\[[^]]*\]\s*)?=[^=]`)

// settleMacros expands macros that the two versions define differently, and marks lines as doubtful that contain words with
// an unknown expansion.
func settleMacros(lines []string, was, is *source, code func(line int) bool) {
	old, now := was.macros(), is.macros()
	for i, line := range lines {
		other := (was.index[i] < 0) != (is.index[i] < 0) || was.index[i] >= 0 && was.doubts[was.index[i]] || is.index[i] >= 0 && is.doubts[is.index[i]]
		if !other || code(i+1) {
			continue
		}
		for _, m := range value().FindAllStringSubmatch(line, -1) {
			old.doubt[m[1]], now.doubt[m[1]] = true, true
		}
	}
	unlike := func(word string) bool {
		a, _ := old.expand(word, 0)
		b, _ := now.expand(word, 0)
		return a != b
	}
	for _, v := range []struct {
		*source
		macros
	}{{was, old}, {is, now}} {
		for i, line := range v.lines {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			if _, ok := v.expand(line, 0); !ok {
				v.doubts[i] = true
				continue
			}
			v.lines[i] = token().ReplaceAllStringFunc(line, func(word string) string {
				if unlike(word) {
					word, _ = v.expand(word, 0)
				}
				return word
			})
		}
	}
}

// nearest reports whether, at the line nearest to the declarations where the texts around b and other differ, the text around
// a matches b. A line before the declaration that matches neither may be a changed condition; the lines before it are common
// to both and prove nothing.
func nearest(a, b, other *spot, word *regexp.Regexp) bool {
	for off := range around + 1 {
		speaksForB := false
		for _, off := range []int{-off, off} {
			at, bt, ot := a.line(off, word), b.line(off, word), other.line(off, word)
			switch {
			case at == "" || bt == ot:
			case at == bt:
				speaksForB = true
			case at == ot || off < 0:
				return false
			}
		}
		if speaksForB {
			return true
		}
	}
	return false
}
