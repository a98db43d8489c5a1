// SPDX-License-Identifier: GPL-2.0

package build

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"lpatch/pkg/lazyregexp"
)

// What a package is made of has many functions in a section; objects to compare have a section for each. The code is the same,
// so it need not be compiled again: gcc's assembly is taken, and has its sections named anew. What is not known to be gcc's
// is an error, and then the source is compiled once more.

// splitFlags are the sections of which each function or variable gets its own, as -ffunction-sections and -fdata-sections have it.
var splitFlags = map[string]string{
	".text": `"ax",@progbits`, ".text.unlikely": `"ax",@progbits`, ".text.startup": `"ax",@progbits`, ".text.exit": `"ax",@progbits`, ".text.hot": `"ax",@progbits`,
	".rodata": `"a"`, ".data": `"aw"`, ".bss": `"aw",@nobits`, ".tdata": `"awT",@progbits`, ".tbss": `"awT",@nobits`,
	".data.rel.ro": `"aw"`, ".data.rel.ro.local": `"aw"`, ".data.rel": `"aw"`, ".data.rel.local": `"aw"`, exceptTable: `"a",@progbits`,
}

const exceptTable = ".gcc_except_table"

var (
	errNotSplit = errors.New("assembly that is not known to be gcc's")
	typeLine    = lazyregexp.New(`^\t\.type\t([A-Za-z0-9_.$]+), @(function|object)$`)
	sizeLine    = lazyregexp.New(`^\t\.size\t([A-Za-z0-9_.$]+), \.-([A-Za-z0-9_.$]+)$`)
	commonLine  = lazyregexp.New(`^\t\.comm\t([A-Za-z0-9_.$]+),([0-9]+),([0-9]+)$`)
	sectionLine = lazyregexp.New(`^\t\.(?:section\t([^,]+)(,.*)?|text|data|bss)$`)
	// neutral lines say something of a symbol, wherever they stand.
	neutral = lazyregexp.New(`^\t\.(globl|weak|hidden|protected|internal|local|set|symver|ident|file|type|comm|weakref)\b`)
	// begins stand in front of a variable.
	begins = lazyregexp.New(`^\t\.(globl|weak|hidden|protected|internal|local|align|p2align|balign|type|set)\b`)
	// textLine has a text, and namedLine names a symbol.
	textLine  = lazyregexp.New(`^(#|\t\.(string|ascii|file|ident)\s)`)
	namedLine = lazyregexp.New(`^(\t\.(type|size|comm|local|globl|weak)\t|[^\t# ].*:$)`)
	plainName = lazyregexp.New(`^(\t\.[a-z]+\t[A-Za-z0-9_.$]+(,.*)?|[A-Za-z0-9_.$]+:)$`)
	// unitLabel marks begin and end of what a source has in .text.
	unitLabel = lazyregexp.New(`^\.(Ltext|Letext)[a-z_]*[0-9]+:$`)
	partEnd   = lazyregexp.New(`^\.L(COLDE|HOTE)[0-9]+:$`)
	// switches are what an asm statement changes the section by, and hides what it does in.
	switches   = lazyregexp.New(`(?i)(^|[^\w.$])\.(section|text|data|bss|lbss|previous|subsection|org|struct|offset)\b`)
	hides      = lazyregexp.New(`(?i)(^|[^\w.$])\.(include|macro|irpc?|altmacro)\b`)
	pushes     = lazyregexp.New(`(?i)\.pushsection\b`)
	pops       = lazyregexp.New(`(?i)\.popsection\b`)
	offsetPair = lazyregexp.New(`^\t\.uleb128 (.+)-\.Ltext(_cold)?[0-9]+$`)
)

// splitter is in the middle of an assembly file.
type splitter struct {
	out     bytes.Buffer
	section string // as the compiler has it
	direct  string // the line that said so
	at      string // the line by which the section is that what was written last is in
	owner   string // function or variable that lines are of
	code    bool   // it is a function
	comdat  string // function that has brought its own sections
	group   string // and their group
	closed  bool   // its end was there
	waiting []heldLine
	full    map[string]string // by section, the directive that has its flags
	typed   map[string]bool   // what has a type, and so may have given a section its name
	depth   int               // of .pushsection
	inline  bool              // between #APP and #NO_APP
}

// heldLine is a line of which it is not known yet what it belongs to.
type heldLine struct{ section, direct, text string }

// splitSections gives each function and variable of gcc's assembly a section of its own.
func splitSections(text []byte) ([]byte, error) {
	s := &splitter{section: ".text", direct: "\t.text", full: map[string]string{}, typed: map[string]bool{}}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "\t.section\t.debug_info,") }) {
		return nil, errNotSplit // nothing tells of types
	}
	for _, l := range lines {
		if m := typeLine().FindStringSubmatch(l); m != nil {
			s.typed[m[1]] = true
		}
	}
	for i := 0; i < len(lines); i++ {
		n, err := s.line(lines, i)
		if err != nil {
			return nil, err
		}
		i += n
	}
	s.release("")
	return s.out.Bytes(), nil
}

// line takes a line, and returns how many more it took.
func (s *splitter) line(lines []string, i int) (more int, err error) {
	l := lines[i]
	if hasOddName(l) {
		return 0, errNotSplit
	}
	if s.inline || s.depth > 0 || l == "#APP" {
		return 0, s.asm(l)
	}
	if m := sectionLine().FindStringSubmatch(l); m != nil {
		return 0, s.enter(l, m)
	}
	if strings.HasPrefix(l, "\t.local\t") && i+1 < len(lines) {
		if m := commonLine().FindStringSubmatch(lines[i+1]); m != nil && l == "\t.local\t"+m[1] && !strings.HasPrefix(m[1], ".L") {
			s.common(m)
			return 1, nil
		}
	}
	switch {
	case strings.HasPrefix(l, "\t.pushsection") || strings.HasPrefix(l, "\t.popsection") || strings.HasPrefix(l, "\t.previous") || strings.HasPrefix(l, "\t.subsection"):
		return 0, errNotSplit
	case strings.HasPrefix(s.section, ".debug_loclists") || strings.HasPrefix(s.section, ".debug_rnglists"):
		return s.ranges(lines, i), nil
	case splitFlags[s.section] == "":
		if m := typeLine().FindStringSubmatch(l); m != nil && m[2] == "function" && !strings.Contains(m[1], ".cold") {
			s.comdat = m[1]
		}
		s.put("", l)
		return 0, nil
	case unitLabel().MatchString(l):
		s.put("", l)
		return 0, nil
	}
	if isCodeSection(s.section) {
		return 0, s.codeLine(lines, i)
	}
	return 0, s.dataLine(l)
}

// hasOddName tells whether a line has a name that is not looked for here: an identifier in another alphabet, or a quoted one.
func hasOddName(l string) bool {
	odd := strings.ContainsFunc(l, func(r rune) bool { return r >= utf8.RuneSelf }) || namedLine().MatchString(l) && !plainName().MatchString(l)
	return odd && !textLine().MatchString(l)
}

func isCodeSection(name string) bool { return strings.HasPrefix(splitFlags[name], `"ax"`) }

// enter takes a directive that changes the section.
func (s *splitter) enter(l string, m []string) error {
	name := strings.TrimSpace(m[1])
	if name == "" {
		name = strings.TrimPrefix(l, "\t")
	}
	if strings.HasSuffix(name, ".dwo") || strings.HasPrefix(name, ".debug_types") || name == ".debug_loc" || name == ".debug_ranges" || strings.Contains(name, "gnu.lto") {
		return errNotSplit
	}
	_, flags, _ := strings.Cut(m[2], ",")
	if want := splitFlags[name]; want != "" && flags != "" && flags != want {
		return errNotSplit
	}
	if !s.knows(name, flags) {
		return errNotSplit
	}
	if g := comdat().FindStringSubmatch(flags); g != nil {
		s.group = g[1]
	} else if strings.HasPrefix(flags, `"ax"`) {
		s.group = ""
	}
	if name == exceptTable && (!s.code || s.closed) && s.comdat != "" && s.group != "" { // of a function with a section of its own
		name += "." + s.comdat
		flags = `"aG",@progbits,` + s.group + ",comdat"
		l = "\t.section\t" + name + "," + flags
	}
	s.section, s.direct = name, s.withFlags(name, flags, l)
	switch whole := splitFlags[name] == ""; {
	case s.code && !s.closed || whole && !strings.HasPrefix(name, ".text") && !strings.HasPrefix(name, ".debug") || isCodeSection(name):
	case whole: // what brings its own sections has no share in what is waiting
		s.release("")
		fallthrough
	default:
		s.owner, s.code, s.closed = "", false, false
	}
	return nil
}

var (
	// wholeSection has no share in functions or variables.
	wholeSection = lazyregexp.New(`^\.(debug_.*|note\..*|comment|eh_frame|(init|fini)_array(\.[0-9]+)?|[cd]tors(\.[0-9]+)?|rodata(\..+)?\.(str|cst)[0-9.]+)$`)
	comdat       = lazyregexp.New(`^"[a-zA-Z]*G[a-zA-Z]*",.*,([^,]+),comdat$`)
)

// knows tells whether gcc has named a section, and not the source: that may have several functions in it, of which the tables of
// jumps and exceptions are in sections that others share.
func (s *splitter) knows(name, flags string) bool {
	if splitFlags[name] != "" || wholeSection().MatchString(name) {
		return true
	}
	for base := range splitFlags {
		if of, ok := strings.CutPrefix(name, base+"."); ok && (s.typed[of] || comdat().MatchString(flags) || flags == "" && s.full[name] != "") {
			return true
		}
	}
	return false
}

// withFlags is a directive with flags, which gcc leaves out when it comes back to a section: what is written first may be another line.
func (s *splitter) withFlags(name, flags, direct string) string {
	switch {
	case flags != "":
		s.full[name] = direct
	case s.full[name] != "":
		return s.full[name]
	case splitFlags[name] != "" && strings.HasPrefix(direct, "\t.section"):
		return "\t.section\t" + name + "," + splitFlags[name]
	}
	return direct
}

// codeLine takes a line of a section with code.
func (s *splitter) codeLine(lines []string, i int) error {
	l := lines[i]
	if m := typeLine().FindStringSubmatch(l); m != nil && m[2] == "function" && hasLabel(lines, i, m[1]) {
		cold := strings.HasPrefix(m[1], s.owner+".cold")
		switch {
		case s.code && !s.closed && cold:
		case s.code && !s.closed:
			return errNotSplit
		default:
			s.owner, s.code, s.closed, s.comdat = m[1], true, false, ""
			s.release(s.owner)
		}
		s.put(s.owner, l)
		return nil
	}
	if !s.code {
		s.wait(l)
		return nil
	}
	if m := sizeLine().FindStringSubmatch(l); m != nil && m[1] == m[2] && (m[1] == s.owner || strings.HasPrefix(m[1], s.owner+".cold")) {
		s.put(s.owner, l)
		s.closed = s.closed || m[1] == s.owner
		return nil
	}
	if s.closed && !partEnd().MatchString(l) {
		s.wait(l)
		return nil
	}
	s.put(s.owner, l)
	return nil
}

// hasLabel tells whether a symbol is defined right behind a line.
func hasLabel(lines []string, i int, name string) bool {
	return slices.Contains(lines[i+1:min(i+6, len(lines))], name+":")
}

// dataLine takes a line of a section with data. What a function is in the middle of is its own: tables of jumps and exceptions.
func (s *splitter) dataLine(l string) error {
	if s.code && !s.closed {
		s.put(s.owner, l)
		return nil
	}
	m := typeLine().FindStringSubmatch(l)
	switch {
	case m != nil && strings.HasPrefix(m[1], ".L"): // of a sanitizer, or what counts how often code runs
		return errNotSplit
	case m != nil && m[2] == "object":
		s.owner = m[1]
		s.release(s.owner)
		s.put(s.owner, l)
	case begins().MatchString(l):
		s.owner = ""
		s.wait(l)
	case strings.HasSuffix(l, ":") && strings.HasPrefix(l, ".L"): // a constant without a name
		s.owner = ""
		s.release("")
		s.put("", l)
	case strings.HasSuffix(l, ":") && s.owner == "":
		return errNotSplit
	default:
		s.release(s.owner)
		s.put(s.owner, l)
	}
	return nil
}

// common takes a static variable without an initial value, which is nowhere but in a directive.
func (s *splitter) common(m []string) {
	old, at := s.section, s.direct
	s.section, s.direct = ".bss", "\t.bss"
	for _, l := range []string{"\t.align\t" + m[3], "\t.type\t" + m[1] + ", @object", "\t.size\t" + m[1] + ", " + m[2], m[1] + ":", "\t.zero\t" + m[2]} {
		s.put(m[1], l)
	}
	s.section, s.direct = old, at
}

// asm takes lines of asm statements, which must leave the section as it is.
func (s *splitter) asm(l string) error {
	switch {
	case l == "#APP":
		s.inline = true
		if !s.code || s.closed {
			s.release("")
			s.owner, s.code, s.closed = "", false, false
		}
	case l == "#NO_APP":
		s.inline = false
		if s.depth != 0 {
			return errNotSplit
		}
	}
	s.put(s.owner, l)
	for part := range strings.SplitSeq(l, ";") {
		s.depth += len(pushes().FindAllString(part, -1))
		if s.depth == 0 && switches().MatchString(part) || hides().MatchString(part) {
			return errNotSplit
		}
		s.depth -= len(pops().FindAllString(part, -1))
		if s.depth < 0 {
			return errNotSplit
		}
	}
	return nil
}

// ranges has ranges that begin at .text tell where they begin themselves. Line numbers of both lists are DWARF 5's.
func (s *splitter) ranges(lines []string, i int) (more int) {
	const pairs, startLengthOfLocations, startLengthOfRanges = "\t.byte\t0x4", "\t.byte\t0x8", "\t.byte\t0x7"
	if lines[i] == pairs && i+2 < len(lines) {
		from, to := offsetPair().FindStringSubmatch(lines[i+1]), offsetPair().FindStringSubmatch(lines[i+2])
		if from != nil && to != nil {
			kind := startLengthOfRanges
			if strings.HasPrefix(s.section, ".debug_loclists") {
				kind = startLengthOfLocations
			}
			s.put("", kind)
			s.put("", "\t.quad\t"+from[1])
			s.put("", "\t.uleb128 "+to[1]+"-("+from[1]+")")
			return 2
		}
	}
	s.put("", lines[i])
	return 0
}

func (s *splitter) wait(l string) {
	s.waiting = append(s.waiting, heldLine{s.section, s.direct, l})
}

// release writes what waits, as an owner's.
func (s *splitter) release(owner string) {
	for _, h := range s.waiting {
		if isCodeSection(h.section) == s.code {
			s.write(h.section, h.direct, owner, h.text)
		} else {
			s.write(h.section, h.direct, "", h.text)
		}
	}
	s.waiting = nil
}

func (s *splitter) put(owner, l string) { s.write(s.section, s.direct, owner, l) }

// write writes a line into the section of an owner, "" for that which the compiler has.
func (s *splitter) write(section, direct, owner, l string) {
	if owner != "" && splitFlags[section] != "" {
		direct = "\t.section\t" + section + "." + owner + "," + splitFlags[section]
	}
	if direct != s.at && !neutral().MatchString(l) {
		s.out.WriteString(direct + "\n")
		s.at = direct
	}
	s.out.WriteString(l + "\n")
}
