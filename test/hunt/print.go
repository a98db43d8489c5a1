// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A side is what a version is printed as. In the oracle both are in one program, which goes from the old bodies to the new ones
// where the patch is applied, and has each variable once: that is what a live patch means.
type side struct {
	p      *program
	v      *version
	oracle string // "", or the suffix of the names of bodies
}

var reference = regexp.MustCompile(`[#$@](\w+)`)

// text puts names into a text of a function.
func (s side) text(f *function, text string) string {
	if f.gives {
		text = strings.ReplaceAll(text, "return acc;", "return pair_of(acc);")
	}
	statics := f.statics()
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		switch {
		case ref == "#define":
			return ref
		case ref[0] == '#':
			return s.function(ref[1:])
		case ref[0] == '@':
			return ref[1:] + s.oracle
		}
		for id, w := range statics {
			if ref == fmt.Sprintf("$%d", id) {
				return s.variable(w)
			}
		}
		return "no_such_variable"
	})
}

// function names a function where it is called.
func (s side) function(name string) string {
	o, n := s.p.old.find(name), s.p.new.find(name)
	if s.oracle == "" || o != nil && (s.v == &s.p.old || n != nil && o.params == n.params) {
		return name
	}
	return name + s.oracle
}

func (s side) variable(w *variable) string {
	switch {
	case s.oracle == "" && w.macro:
		return ""
	case w.macro:
		return fmt.Sprintf("v%d,", w.id)
	case s.oracle == "":
		return w.name
	case w.constant:
		return fmt.Sprintf("v%d%s", w.id, s.oracle)
	}
	return fmt.Sprintf("v%d", w.id)
}

func (s side) declare(w *variable, name string) string {
	if w.kind != "" {
		return s.declareOther(w, name)
	}
	text := "static "
	if w.calls != nil {
		var list []string
		for _, f := range w.calls {
			list = append(list, s.function(f))
		}
		return fmt.Sprintf("static unsigned (*const %s[%d])(unsigned) = { %s };", name, len(list), strings.Join(list, ", "))
	}
	if w.constant {
		text += "const "
	}
	if len(w.init) == 1 {
		return fmt.Sprintf("%sunsigned %s = %d;", text, name, w.init[0])
	}
	var list []string
	for _, x := range w.init {
		list = append(list, fmt.Sprint(x))
	}
	return fmt.Sprintf("%sunsigned %s[%d] = { %s };", text, name, len(list), strings.Join(list, ", "))
}

// middle is what stands between the blocks of a statement.
func (s *statement) middle() string {
	if s.text == "try {" {
		return "catch (unsigned e)"
	}
	return "else"
}

func (s side) statements(b *strings.Builder, f *function, list []*statement, indent string) {
	for _, st := range list {
		fmt.Fprintf(b, "%s%s\n", indent, s.text(f, st.text))
		if !st.isBlock() {
			continue
		}
		if st.static != nil && s.oracle == "" {
			fmt.Fprintf(b, "%s\t%s\n", indent, s.declare(st.static, st.static.name))
		}
		s.statements(b, f, st.body, indent+"\t")
		if len(st.other) > 0 {
			fmt.Fprintf(b, "%s} %s {\n", indent, st.middle())
			s.statements(b, f, st.other, indent+"\t")
		}
		fmt.Fprintf(b, "%s}\n", indent)
	}
}

func (f *function) signature(name string) string {
	var params []string
	for i := range f.params {
		params = append(params, fmt.Sprintf("unsigned p%d", i))
	}
	if f.pair {
		params[0] = "struct pair s0"
	}
	if f.more {
		params = append(params, "...")
	}
	result := "unsigned"
	if f.gives {
		result = "struct pair"
	}
	return fmt.Sprintf("%s %s(%s)", result, name, strings.Join(params, ", "))
}

// signature is that of a function; the oracle has no "...".
func (s side) signature(f *function, name string) string {
	text := f.signature(name)
	if s.oracle != "" {
		text = strings.Replace(text, "...", "unsigned e0, unsigned e1", 1)
	}
	return text
}

// start are the variables of a function.
func (s side) start(b *strings.Builder, f *function) {
	if f.pair {
		b.WriteString("\tunsigned p0 = s0.x ^ s0.y;\n")
	}
	b.WriteString("\tunsigned acc = p0;\n")
	if f.more && s.oracle == "" {
		last := fmt.Sprintf("p%d", f.params-1)
		if f.pair && f.params == 1 {
			last = "s0"
		}
		fmt.Fprintf(b, "\tunsigned e0, e1;\n\t__builtin_va_list list;\n\t__builtin_va_start(list, %s);\n\te0 = __builtin_va_arg(list, unsigned);\n\te1 = __builtin_va_arg(list, unsigned);\n\t__builtin_va_end(list);\n", last)
	}
}

func (s side) body(b *strings.Builder, f *function) {
	prefix, name := "", f.name+s.oracle
	if s.oracle == "" {
		prefix = f.attr
		switch {
		case f.file == inHeader:
			prefix = "static inline "
			if f.comdat {
				prefix = "inline "
			}
		case f.static:
			prefix += "static "
		}
	} else {
		prefix = "static "
	}
	fmt.Fprintf(b, "%s%s\n{\n", prefix, s.signature(f, s.qualified(f, name)))
	s.start(b, f)
	if s.oracle == "" {
		for _, w := range f.locals {
			fmt.Fprintf(b, "\t%s\n", s.declare(w, w.name))
		}
	}
	s.statements(b, f, f.body, "\t")
	if f.has("goto out;") {
		b.WriteString("out:\n")
	}
	fmt.Fprintf(b, "\t%s\n}\n\n", s.text(f, "return acc;"))
}

const preamble = `#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold))
#define INLINE inline
#define ONCE(what, value) do { static unsigned told; if (!told) { told = 1; say(what, value); } } while (0)
#ifdef __cplusplus
extern "C"
#endif
void lp_apply(void);
#ifdef __cplusplus
extern "C"
#endif
int printf(const char *, ...);
void say(const char *what, unsigned value);
`

func (p *program) declareGlobals(b *strings.Builder) {
	b.WriteString("extern unsigned fuel;\nextern unsigned (*fp)(unsigned);\n")
	for _, g := range p.old.globals {
		if class, ok := strings.CutSuffix(g.name, "::g"); ok {
			fmt.Fprintf(b, "struct %s { static unsigned g; };\n", class)
		} else {
			fmt.Fprintf(b, "extern unsigned %s;\n", g.name)
		}
	}
}

func (s side) definitions(b *strings.Builder) {
	for _, d := range s.v.defs {
		b.WriteString(s.text(&function{}, d.text) + "\n")
	}
}

func (s side) header() string {
	var b strings.Builder
	s.p.declareGlobals(&b)
	b.WriteString(s.pair())
	if s.p.classes {
		s.classes(&b)
	}
	s.definitions(&b)
	for _, f := range s.v.functions {
		if !f.static && f.file != inHeader && !f.isMethod() {
			fmt.Fprintf(&b, "%s;\n", f.signature(f.name))
		}
	}
	for _, f := range s.v.functions {
		if f.file == inHeader {
			s.body(&b, f)
		}
	}
	return b.String()
}

func (s side) file(i int) string {
	var b strings.Builder
	b.WriteString("#include \"all.h\"\n")
	for _, f := range s.v.functions {
		if f.file == i {
			s.body(&b, f)
		}
	}
	return b.String()
}

// main calls entries and hooks before and after the patch, and says what the globals are.
func (p *program) main() string {
	var b strings.Builder
	b.WriteString("#include \"all.h\"\nvoid say(const char *what, unsigned value) { printf(\"%s %u\\n\", what, value); }\n")
	if p.classes {
		b.WriteString("static Base base;\nstatic Derived derived;\nBase *const objects[2] = { &base, &derived };\n")
	}
	p.mainBody(&b, "void", "")
	return b.String()
}

func (p *program) mainBody(b *strings.Builder, params, start string) {
	b.WriteString("unsigned fuel, (*fp)(unsigned);\n")
	for _, g := range p.old.globals {
		fmt.Fprintf(b, "unsigned %s = %d;\n", g.name, g.init[0])
	}
	for _, h := range p.hooks {
		f := p.old.find(h)
		fmt.Fprintf(b, "%s = %s;\n", f.signature("(*to_"+h+")"), h)
	}
	b.WriteString("static void step(unsigned i)\n{\n")
	for _, name := range slices.Concat(p.entries, p.hooks) {
		f := p.old.find(name)
		args := strings.TrimSuffix(strings.Repeat("i, ", f.params), ", ")
		if slices.Contains(p.hooks, name) {
			name = "to_" + name
		}
		call := fmt.Sprintf("say(%q, %s(%s));", name, name, args)
		if p.cxx {
			call = "try { " + call + " } catch (unsigned e) { say(\"caught\", e); }"
		}
		fmt.Fprintf(b, "\tfuel = 5;\n\t%s\n", call)
	}
	if p.classes {
		mainOfClasses(b)
	}
	for _, g := range p.old.globals {
		fmt.Fprintf(b, "\tsay(%q, %s);\n", g.name, g.name)
	}
	b.WriteString("}\n")
	end := ""
	if p.threads {
		b.WriteString("#include <pthread.h>\nstatic void *other(void *arg)\n{\n\tstep(9);\n\treturn arg;\n}\n")
		end = "\tpthread_t thread;\n\tif (!pthread_create(&thread, 0, other, 0))\n\t\tpthread_join(thread, 0);\n"
	}
	b.WriteString("int main(" + params + ")\n{\n" + start + "\tfor (unsigned i = 0; i < 4; i++)\n\t\tstep(i);\n\tlp_apply();\n\tfor (unsigned i = 3; i < 8; i++)\n\t\tstep(i);\n" + end + "}\n")
}

// sources are the files of the case; with NEW they are the new version. A line of the old version is where it is whatever the new
// version is. Of the sources that are the same in both versions there is a list.
func (p *program) sources() (files map[string]string, same []string) {
	old, new := side{p, &p.old, ""}, side{p, &p.new, ""}
	files = map[string]string{}
	both := func(name, start, o, n string) bool {
		differ := o != n
		if p.apart {
			files[name+".old"], o = o, fmt.Sprintf("#include \"%s.old\"\n", name)
			if differ {
				files[name+".new"], n = n, fmt.Sprintf("#include \"%s.new\"\n", name)
			}
		}
		if differ {
			start, o = start+"#ifndef NEW\n", o+"#else\n"+n
		} else {
			start += "#if 1\n"
		}
		files[name] = start + o + "#endif\n"
		return differ
	}
	all := !both("all.h", preamble, old.header(), new.header())
	files["main.c"] = p.main()
	if all {
		same = append(same, "main.c")
	}
	for i := range p.files {
		name := string(rune('a'+i)) + ".c"
		if !both(name, "", old.file(i), new.file(i)) && all {
			same = append(same, name)
		}
	}
	return files, same
}

const oracleStart = `#ifdef __cplusplus
extern "C" {
#endif
int printf(const char *, ...);
int atoi(const char *);
#ifdef __cplusplus
}
#endif
#define NOINLINE
#define COLD
#define INLINE
#define ONCE(told, what, value) do { if (!told) { told = 1; say(what, value); } } while (0)
static int patched, version;
static void lp_apply(void) { patched = version; }
static void say(const char *what, unsigned value) { printf("%s %u\n", what, value); }
`

// oracle is a program that says what the old program must say once it is patched to the new version that an argument counts. All
// pairs have the same old version.
func oracle(pairs []*program) string {
	p := pairs[0]
	old := side{p, &p.old, "__old"}
	sides := []side{old}
	for i, p := range pairs {
		sides = append(sides, side{p, &p.new, fmt.Sprintf("__new%d", i+1)})
	}
	var b strings.Builder
	b.WriteString(oracleStart)
	p.declareGlobals(&b)
	b.WriteString(old.pair())
	if p.classes {
		b.WriteString(oracleOfClasses)
		oracleCalls(&b, sides, true)
	}
	seen := map[int]bool{}
	for _, s := range sides {
		s.definitions(&b)
		for _, f := range s.v.functions {
			statics := f.statics()
			for _, id := range sortedIDs(statics) {
				if w := statics[id]; w.constant || !seen[id] {
					seen[id] = true
					fmt.Fprintf(&b, "%s\n", s.declare(w, strings.TrimSuffix(s.variable(w), ",")))
				}
			}
			fmt.Fprintf(&b, "static %s;\nstatic %s;\n", s.signature(f, f.name+s.oracle), s.signature(f, s.function(f.name)))
		}
	}
	for _, s := range sides {
		for _, f := range s.v.functions {
			s.body(&b, f)
		}
	}
	for _, f := range p.old.functions {
		forward(&b, sides, f)
	}
	if p.classes {
		oracleCalls(&b, sides, false)
	}
	p.mainBody(&b, "int argc, char **argv", "\tversion = atoi(argv[argc - 1]);\n")
	return b.String()
}

// forward prints the function that stands for a function of the old version: it goes to the body of the version that is there.
func forward(b *strings.Builder, sides []side, f *function) {
	args := ""
	for i := range f.params {
		args += fmt.Sprintf(", p%d", i)
	}
	if f.pair {
		args = ", s0" + args[len(", p0"):]
	}
	if f.more {
		args += ", e0, e1"
	}
	fmt.Fprintf(b, "static %s\n{\n\tswitch (patched) {\n", sides[0].signature(f, f.name))
	for i, s := range sides[1:] {
		if s.function(f.name) == f.name {
			fmt.Fprintf(b, "\tcase %d: return %s%s(%s);\n", i+1, f.name, s.oracle, args[2:])
		}
	}
	fmt.Fprintf(b, "\t}\n\treturn %s__old(%s);\n}\n", f.name, args[2:])
}
