// SPDX-License-Identifier: GPL-2.0

package linenumbers

import (
	"bytes"
	"slices"
	"strings"
)

// kind is the type of a line for the preprocessor.
type kind int

const (
	none kind = iota // no code: comments only, or another directive
	code
	ifs   // #if, #ifdef, #ifndef
	elif  // #elif, #elifdef, #elifndef
	other // #else
	endif
)

// line describes a line of a source file.
type line struct {
	kind kind
	open bool // no token, comment, directive or argument list continues across its start
	// first is the first byte of its first token, before the last byte of the preceding token; 0 for a directive or none.
	first, before byte
}

// free reports whether a directive may be inserted before the line. It must not be between the name of a macro and its
// arguments.
func (l line) free() bool {
	return l.kind == code && l.open && (l.first != '(' || strings.IndexByte(";{}:", l.before) >= 0 && l.before != 0)
}

// scanner scans a source file like the preprocessor, as far as is necessary to determine token boundaries.
type scanner struct {
	text  []byte // with continued lines joined
	at    []int  // line number of each byte
	i     int
	lines []line
	depth int // nesting depth of parentheses
	prev  byte
	conds []branches
}

// branches is the state of a conditional group: the depth of parentheses at its start, and the largest depth at the end of a
// branch.
type branches struct {
	base, deepest int
	skipped       bool // this branch is disabled by #if 0 and may contain arbitrary text
	hasElse       bool
}

// scan returns the lines of a source file. ok is false if they cannot be analyzed with certainty or have #line directives
// already.
func scan(text []byte) (lines []line, ok bool) {
	rest := bytes.ReplaceAll(text, []byte("\r\n"), nil)
	for _, odd := range []string{"\x00", "\r", "??/", "??="} {
		if bytes.Contains(rest, []byte(odd)) {
			return nil, false
		}
	}
	s := &scanner{}
	s.join(text)
	s.line(0).open = !bytes.HasPrefix(text, []byte("\xef\xbb\xbf"))
	start := true // a directive may start here
	for s.i < len(s.text) {
		switch c := s.text[s.i]; {
		case c == '\n':
			s.line(s.at[s.i] + 1).open = s.depth == 0
			start = true
			s.i++
		case isSpace(c):
			s.i++
		case s.is("/*") || s.is("//"):
			if !s.comment() {
				return nil, false
			}
		case start && (c == '#' || s.is("%:")):
			if !s.directive() {
				return nil, false
			}
		default:
			start = false
			if !s.token() {
				return nil, false
			}
		}
	}
	return s.lines, len(s.conds) == 0
}

// join joins lines that end in a backslash with the following line.
func (s *scanner) join(text []byte) {
	s.text, s.at = make([]byte, 0, len(text)), make([]int, 0, len(text))
	n := 0
	for l := range bytes.Lines(text) {
		if body := bytes.TrimRight(l, " \t\v\f\r\n"); len(l) > 0 && l[len(l)-1] == '\n' && bytes.HasSuffix(body, []byte("\\")) {
			l = body[:len(body)-1]
		}
		for range l {
			s.at = append(s.at, n)
		}
		s.text = append(s.text, l...)
		n++
	}
	s.lines = make([]line, n+1) // one more than there are lines
}

func (s *scanner) line(i int) *line { return &s.lines[i] }

func (s *scanner) is(text string) bool { return bytes.HasPrefix(s.text[s.i:], []byte(text)) }

// comment skips a comment, without the line break at its end.
func (s *scanner) comment() bool {
	end, after := "\n", 0
	if s.is("/*") {
		end, after = "*/", 2
		s.i += 2
	}
	n := bytes.Index(s.text[s.i:], []byte(end))
	if n < 0 {
		s.i = len(s.text)
		return after == 0
	}
	s.i += n + after
	return true
}

// token skips a token and records its relevant properties.
func (s *scanner) token() bool {
	l := s.line(s.at[s.i])
	c := s.text[s.i]
	if l.kind == none {
		*l = line{kind: code, open: l.open, first: c, before: s.prev}
	}
	begin := s.i
	switch {
	case c == '"' || c == '\'':
		s.quoted()
	case isDigit(c) || c == '.' && s.i+1 < len(s.text) && isDigit(s.text[s.i+1]):
		s.number()
	case isName(c):
		for s.i < len(s.text) && isName(s.text[s.i]) {
			s.i++
		}
		if slices.Contains([]string{"R", "LR", "uR", "UR", "u8R"}, string(s.text[begin:s.i])) && s.is(`"`) && !s.raw() {
			return false
		}
	case c == '(':
		s.depth++
		s.i++
	case c == ')':
		s.depth = max(s.depth-1, 0)
		s.i++
	default:
		s.i++
	}
	s.prev = s.text[s.i-1]
	return true
}

// quoted skips a string or character literal. In disabled text, an unterminated one extends to the end of the line.
func (s *scanner) quoted() {
	quote := s.text[s.i]
	for s.i++; s.i < len(s.text); s.i++ {
		switch c := s.text[s.i]; {
		case c == '\n':
			return
		case c == '\\' && s.i+1 < len(s.text) && s.text[s.i+1] != '\n':
			s.i++
		case c == quote:
			s.i++
			return
		}
	}
}

// number skips a preprocessing number, including digit separators (1'000'000).
func (s *scanner) number() {
	for ; s.i < len(s.text); s.i++ {
		c := s.text[s.i]
		separates := c == '\'' && s.i+1 < len(s.text) && isName(s.text[s.i+1])
		signs := (c == '+' || c == '-') && strings.IndexByte("eEpP", s.text[s.i-1]) >= 0
		if !isName(c) && c != '.' && !separates && !signs {
			return
		}
	}
}

// raw skips a raw string.
func (s *scanner) raw() bool {
	begin, _, ok := bytes.Cut(s.text[s.i+1:min(s.i+19, len(s.text))], []byte("("))
	if !ok || bytes.ContainsAny(begin, " \t\v\f\n\\)\"") {
		return true // an identifier before a string
	}
	end := slices.Concat([]byte(")"), begin, []byte(`"`))
	n := bytes.Index(s.text[s.i+1+len(begin):], end)
	if n < 0 {
		return false
	}
	s.i += 1 + len(begin) + n + len(end)
	return true
}

// directive skips a directive to the end of its line.
func (s *scanner) directive() bool {
	l := s.line(s.at[s.i])
	var words []byte // without comments
	for s.i < len(s.text) && s.text[s.i] != '\n' {
		switch c := s.text[s.i]; {
		case s.is("/*") || s.is("//"):
			if !s.comment() {
				return false
			}
			words = append(words, ' ')
		case c == '"' || c == '\'':
			s.quoted()
			words = append(words, c)
		default:
			words = append(words, c)
			s.i++
		}
	}
	s.prev = 0
	name, rest := split(string(words))
	switch {
	case strings.HasPrefix(name, "elif"):
		l.kind = elif
	case name != "" && isDigit(name[0]), name == "line":
		return false
	default:
		l.kind = map[string]kind{"if": ifs, "ifdef": ifs, "ifndef": ifs, "else": other, "endif": endif}[name]
	}
	if l.kind == ifs {
		s.conds = append(s.conds, branches{base: s.depth, skipped: name == "if" && rest == "0"})
		return true
	}
	return l.kind == none || s.branch(l.kind)
}

// split returns the name and the operands of a directive.
func split(text string) (name, rest string) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, "%:"), "#"))
	n := 0
	for n < len(text) && isName(text[n]) {
		n++
	}
	return text[:n], strings.TrimSpace(text[n:])
}

// branch ends a branch of a conditional group and starts the next one, if any.
func (s *scanner) branch(k kind) bool {
	if len(s.conds) == 0 {
		return false
	}
	c := &s.conds[len(s.conds)-1]
	if !c.skipped {
		c.deepest = max(c.deepest, s.depth)
	}
	c.skipped, s.depth = false, c.base
	switch {
	case k == other:
		c.hasElse = true
	case k == endif:
		s.depth = c.deepest
		if !c.hasElse {
			s.depth = max(c.base, c.deepest)
		}
		s.conds = s.conds[:len(s.conds)-1]
	}
	return true
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\v\f\r", c) >= 0 }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isName(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}
