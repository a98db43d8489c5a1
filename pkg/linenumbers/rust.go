// SPDX-License-Identifier: GPL-2.0

package linenumbers

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

// KeepRust does the same for a Rust source file. Rust has no #line directive: added lines are appended to the preceding line,
// and removed lines are replaced by empty ones, so that all other code keeps its line and column. Comments in added lines are
// removed. No token changes. If this is not possible, the text is returned unchanged.
func KeepRust(old, new []byte) []byte {
	lines, ok := scanRust(new)
	if !ok {
		return new
	}
	r := &rustKeeper{lines: lines}
	left := 0
	for text := range bytes.Lines(diff.Diff("old", old, "new", new)) {
		if m := hunk().FindSubmatch(text); m != nil && left == 0 {
			r.flush()
			start, _ := strconv.Atoi(string(m[3]))
			count, _ := strconv.Atoi(string(m[2]))
			added, _ := strconv.Atoi(string(m[4]))
			if added == 0 {
				start++
			}
			r.same(start - 1 - r.at)
			left = count + added
			continue
		}
		switch {
		case left == 0: // header of the diff
		case text[0] == ' ':
			r.flush()
			r.same(1)
			left -= 2
		case text[0] == '-':
			r.gone++
			left--
		case text[0] == '+':
			r.came++
			left--
		}
	}
	r.flush()
	r.same(len(lines) - r.at)
	if r.failed {
		return new
	}
	return []byte(strings.Join(r.out, "\n"))
}

// rustLine is a line without its line break.
type rustLine struct {
	text, bare string // bare is the line without a trailing comment
	joins      bool   // another line may be appended to bare
	inside     bool   // it starts in a string or comment
}

type rustKeeper struct {
	lines      []rustLine
	at         int // lines of the new text processed
	out        []string
	gone, came int // removed and added lines of a change
	failed     bool
}

func (r *rustKeeper) same(count int) {
	for range count {
		r.out = append(r.out, r.lines[r.at].text)
		r.at++
	}
}

// flush writes the lines of a change in place of those that they replace.
func (r *rustKeeper) flush() {
	gone, came := r.gone, r.came
	r.gone, r.came = 0, 0
	alone := min(gone, came)
	r.same(alone)
	for range came - alone {
		if r.at == 0 || !r.lines[r.at-1].joins || !r.lines[r.at].joins {
			r.failed = true
			return
		}
		before := r.lines[r.at-1]
		last := &r.out[len(r.out)-1]
		*last = strings.TrimSuffix(*last, before.text[len(before.bare):]) + " " + strings.TrimLeft(r.lines[r.at].bare, " \t")
		r.at++
	}
	if came > alone {
		r.lines[r.at-1].text = r.lines[r.at-1].bare
	}
	for range gone - alone {
		if r.at < len(r.lines) && r.lines[r.at].inside {
			r.failed = true
		}
		r.out = append(r.out, "")
	}
}

// rustScanner is the state of the lexical scan.
type rustScanner struct {
	comment int    // nesting depth of /* */
	closing string // end delimiter of the current string
	escapes bool   // the current string has escape sequences
}

// scanRust determines for each line whether others can be appended to it. ok is false if the text is not valid Rust.
func scanRust(text []byte) (lines []rustLine, ok bool) {
	var sc rustScanner
	for _, line := range strings.Split(string(text), "\n") {
		l := rustLine{text: line, bare: line, inside: sc.comment > 0 || sc.closing != ""}
		doc := false
		if at := sc.line(line); at >= 0 {
			l.bare = line[:at]
			doc = strings.HasPrefix(line[at:], "///") || strings.HasPrefix(line[at:], "//!")
		}
		l.joins = !doc && sc.comment == 0 && sc.closing == ""
		lines = append(lines, l)
	}
	return lines, sc.comment == 0 && sc.closing == ""
}

// line scans a line and returns the index of a comment that extends to its end, or -1.
func (sc *rustScanner) line(line string) int {
	for i := 0; i < len(line); {
		rest := line[i:]
		switch {
		case sc.comment > 0 && strings.HasPrefix(rest, "*/"):
			sc.comment--
			i += 2
		case (sc.comment > 0 || sc.closing == "") && strings.HasPrefix(rest, "/*"):
			sc.comment++
			i += 2
		case sc.comment > 0:
			i++
		case sc.closing != "" && sc.escapes && rest[0] == '\\':
			i += 2
		case sc.closing != "" && strings.HasPrefix(rest, sc.closing):
			i += len(sc.closing)
			sc.closing = ""
		case sc.closing != "":
			i++
		case strings.HasPrefix(rest, "//"):
			return i
		default:
			i += sc.token(rest, i > 0 && isWord(line[i-1]))
		}
	}
	return -1
}

// token returns the length of the token at the start of rest.
func (sc *rustScanner) token(rest string, inWord bool) int {
	raw := strings.TrimLeft(rest, "bcr")
	prefix := rest[:len(rest)-len(raw)]
	hashes := len(raw) - len(strings.TrimLeft(raw, "#"))
	switch {
	case !inWord && len(prefix) > 0 && len(prefix) <= 2 && strings.HasSuffix(prefix, "r") && strings.HasPrefix(raw[hashes:], `"`):
		sc.closing, sc.escapes = `"`+strings.Repeat("#", hashes), false
		return len(prefix) + hashes + 1
	case rest[0] == '"':
		sc.closing, sc.escapes = `"`, true
	case strings.HasPrefix(rest, `'\`):
		if end := strings.IndexByte(rest[min(3, len(rest)):], '\''); end >= 0 {
			return 3 + end + 1
		}
	case rest[0] == '\'':
		_, size := utf8.DecodeRuneInString(rest[1:])
		if strings.HasPrefix(rest[1+size:], "'") { // otherwise a lifetime
			return size + 2
		}
	}
	return 1
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
