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

// Packages are compiled with many functions in one section, while objects to be compared need one section per function. The
// code is the same, so it need not be compiled again: gcc's assembly output is processed, and its sections are renamed. Input
// that is not recognized as gcc's is an error; the source is then compiled again.

// splitFlags lists the sections that -ffunction-sections and -fdata-sections split.
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
	// neutral matches directives that set properties of a symbol and may occur anywhere.
	neutral = lazyregexp.New(`^\t\.(globl|weak|hidden|protected|internal|local|set|symver|ident|file|type|comm|weakref)\b`)
	// begins matches directives that precede a variable.
	begins = lazyregexp.New(`^\t\.(globl|weak|hidden|protected|internal|local|align|p2align|balign|type|set)\b`)
	// textLine matches lines that contain free text, namedLine those that name a symbol.
	textLine  = lazyregexp.New(`^(#|\t\.(string|ascii|file|ident)\s)`)
	namedLine = lazyregexp.New(`^(\t\.(type|size|comm|local|globl|weak)\t|[^\t# ].*:$)`)
	plainName = lazyregexp.New(`^(\t\.[a-z]+\t[A-Za-z0-9_.$]+(,.*)?|[A-Za-z0-9_.$]+:)$`)
	// unitLabel matches the labels at the start and the end of a compilation unit's part of .text.
	unitLabel = lazyregexp.New(`^\.(Ltext|Letext)[a-z_]*[0-9]+:$`)
	partEnd   = lazyregexp.New(`^\.L(COLDE|HOTE)[0-9]+:$`)
	// switches matches directives with which an asm statement changes the section; hides matches those that may conceal one.
	switches   = lazyregexp.New(`(?i)(^|[^\w.$])\.(section|text|data|bss|lbss|previous|subsection|org|struct|offset)\b`)
	hides      = lazyregexp.New(`(?i)(^|[^\w.$])\.(include|macro|irpc?|altmacro)\b`)
	pushes     = lazyregexp.New(`(?i)\.pushsection\b`)
	pops       = lazyregexp.New(`(?i)\.popsection\b`)
	offsetPair = lazyregexp.New(`^\t\.uleb128 (.+)-\.Ltext(_cold)?[0-9]+$`)
)

// splitter is the state of the conversion of an assembly file.
type splitter struct {
	out     bytes.Buffer
	section string // section selected by the compiler
	direct  string // directive that selected it
	at      string // directive of the section that contains the last line written
	owner   string // function or variable that lines belong to
	code    bool   // owner is a function
	comdat  string // function with explicitly named sections
	group   string // section group of comdat
	closed  bool   // the end of the owner has been seen
	waiting []heldLine
	full    map[string]string // section -> directive with its flags
	typed   map[string]bool   // symbols with a type, whose names may be part of section names
	depth   int               // nesting depth of .pushsection
	inline  bool              // between #APP and #NO_APP
}

// heldLine is a line whose owner is not known yet.
type heldLine struct{ section, direct, text string }

// splitSections gives each function and variable in gcc's assembly output a section of its own.
func splitSections(text []byte) ([]byte, error) {
	s := &splitter{section: ".text", direct: "\t.text", full: map[string]string{}, typed: map[string]bool{}}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "\t.section\t.debug_info,") }) {
		return nil, errNotSplit // there is no type information
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

// line processes a line and returns how many additional lines it consumed.
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

// hasOddName reports whether a line contains a name in an unsupported form: a non-ASCII identifier, or a quoted name.
func hasOddName(l string) bool {
	odd := strings.ContainsFunc(l, func(r rune) bool { return r >= utf8.RuneSelf }) || namedLine().MatchString(l) && !plainName().MatchString(l)
	return odd && !textLine().MatchString(l)
}

func isCodeSection(name string) bool { return strings.HasPrefix(splitFlags[name], `"ax"`) }

// enter processes a directive that changes the section.
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
	if name == exceptTable && (!s.code || s.closed) && s.comdat != "" && s.group != "" { // belongs to a function with explicitly named sections
		name += "." + s.comdat
		flags = `"aG",@progbits,` + s.group + ",comdat"
		l = "\t.section\t" + name + "," + flags
	}
	s.section, s.direct = name, s.withFlags(name, flags, l)
	switch whole := splitFlags[name] == ""; {
	case s.code && !s.closed || whole && !strings.HasPrefix(name, ".text") && !strings.HasPrefix(name, ".debug") || isCodeSection(name):
	case whole: // such sections are independent of pending lines
		s.release("")
		fallthrough
	default:
		s.owner, s.code, s.closed = "", false, false
	}
	return nil
}

var (
	// wholeSection matches sections whose content does not belong to a function or variable.
	wholeSection = lazyregexp.New(`^\.(debug_.*|note\..*|comment|eh_frame|(init|fini)_array(\.[0-9]+)?|[cd]tors(\.[0-9]+)?|rodata(\..+)?\.(str|cst)[0-9.]+)$`)
	comdat       = lazyregexp.New(`^"[a-zA-Z]*G[a-zA-Z]*",.*,([^,]+),comdat$`)
)

// knows reports whether gcc, and not the source, chose the name of a section. A section named by the source may contain
// several functions, whose jump and exception tables are in sections shared with others.
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

// withFlags returns a section directive with flags. gcc omits them when it returns to a section, but another occurrence may
// be written first.
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

// codeLine processes a line in a section with code.
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

// hasLabel reports whether a symbol is defined immediately after a line.
func hasLabel(lines []string, i int, name string) bool {
	return slices.Contains(lines[i+1:min(i+6, len(lines))], name+":")
}

// dataLine processes a line in a section with data. Within a function, the data belongs to the function: jump and exception
// tables.
func (s *splitter) dataLine(l string) error {
	if s.code && !s.closed {
		s.put(s.owner, l)
		return nil
	}
	m := typeLine().FindStringSubmatch(l)
	switch {
	case m != nil && strings.HasPrefix(m[1], ".L"): // from a sanitizer, or a coverage counter
		return errNotSplit
	case m != nil && m[2] == "object":
		s.owner = m[1]
		s.release(s.owner)
		s.put(s.owner, l)
	case begins().MatchString(l):
		s.owner = ""
		s.wait(l)
	case strings.HasSuffix(l, ":") && strings.HasPrefix(l, ".L"): // an unnamed constant
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

// common processes a static variable without an initial value, which only exists as a directive.
func (s *splitter) common(m []string) {
	old, at := s.section, s.direct
	s.section, s.direct = ".bss", "\t.bss"
	for _, l := range []string{"\t.align\t" + m[3], "\t.type\t" + m[1] + ", @object", "\t.size\t" + m[1] + ", " + m[2], m[1] + ":", "\t.zero\t" + m[2]} {
		s.put(m[1], l)
	}
	s.section, s.direct = old, at
}

// asm processes lines of asm statements, which must not change the current section.
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

// ranges rewrites address ranges that are relative to .text to contain their own base address. Both kinds of range lists are
// those of DWARF 5.
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

// release writes the pending lines into the section of owner.
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

// write writes a line into the section of owner; "" selects the section chosen by the compiler.
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
