// SPDX-License-Identifier: GPL-2.0

package hunt

import (
	"fmt"
	"slices"
	"strings"
)

// A program of C++ may have a class Base and a class Derived, and an object of each, which are there all the time. Methods are
// functions of the model named Base_m0 and so on; CALL(object, method, argument) calls one, and STATE is the member of the object.
var (
	methods = []string{"m0", "m1"}
	classes = []string{"Base", "Derived"} // of objects 0 and 1
)

func (f *function) isMethod() bool {
	return strings.HasPrefix(f.name, "Base_") || strings.HasPrefix(f.name, "Derived_")
}

// addMethods gives a version the methods of the classes: those of Base, and some of Derived.
func (m *maker) addMethods(v *version, files int) {
	for _, name := range []string{"Base_m0", "Base_m1", "Derived_m0", "Derived_m1"} {
		if strings.HasPrefix(name, "Base") || m.chance(60) {
			v.functions = append(v.functions, m.method(v, name, files))
		}
	}
}

func (m *maker) method(v *version, name string, files int) *function {
	f := m.function(v, name, files)
	f.file, f.static, f.attr, f.params, f.comdat = max(f.file, 0), false, "", 1, false
	f.pair, f.gives, f.more = false, false, false
	f.body = append(m.block(v, f, 2, 2), &statement{text: fmt.Sprintf("STATE += %s;", m.expression(v, f))}, &statement{text: "acc ^= STATE;"})
	return f
}

func (m *maker) callMethod(v *version, f *function) *statement {
	return &statement{text: fmt.Sprintf("if (fuel) { fuel--; acc += CALL(%d, %s, %s); }", m.IntN(2), m.pick(methods...), m.expression(v, f))}
}

// toggleOverride makes Derived override a method that it did not, or the other way round.
func (m *maker) toggleOverride(p *program, v *version, _ *function) bool {
	if !p.classes {
		return false
	}
	name := "Derived_" + m.pick(methods...)
	if v.find(name) == nil {
		v.functions = append(v.functions, m.method(v, name, p.files))
	} else {
		v.functions = slices.DeleteFunc(v.functions, func(f *function) bool { return f.name == name })
	}
	return true
}

// addVirtual declares another virtual function in front of the others.
func (m *maker) addVirtual(p *program, v *version, _ *function) bool {
	v.virtual = p.classes
	return p.classes
}

// qualified is the name of a function where it is defined.
func (s side) qualified(f *function, name string) string {
	if s.oracle == "" && f.isMethod() {
		return strings.Replace(name, "_", "::", 1)
	}
	return name
}

// classes are the declarations in the header.
func (s side) classes(b *strings.Builder) {
	more := ""
	if s.v.virtual {
		more = "\tvirtual unsigned more(unsigned x) { return x; }\n"
	}
	fmt.Fprintf(b, "struct Base {\n\tunsigned state;\n\tBase() : state(0) {}\n%s\tvirtual unsigned m0(unsigned p0);\n\tvirtual unsigned m1(unsigned p0);\n\tvirtual ~Base() {}\n};\nstruct Derived : Base {\n", more)
	for _, method := range methods {
		if s.v.find("Derived_"+method) != nil {
			fmt.Fprintf(b, "\tunsigned %s(unsigned p0) override;\n", method)
		}
	}
	b.WriteString("};\nextern Base *const objects[2];\n#define CALL(i, method, x) objects[i]->method(x)\n#define STATE state\n")
}

// resolved is the function that a call of a method means in a version.
func (s side) resolved(object int, method string) string {
	if name := classes[object] + "_" + method; s.v.find(name) != nil {
		return name + s.oracle
	}
	return "Base_" + method + s.oracle
}

const oracleOfClasses = `static unsigned self, states[2];
struct Self { unsigned was; explicit Self(unsigned i) : was(self) { self = i; } ~Self() { self = was; } };
#define CALL(i, method, x) call_##i##_##method(x)
#define STATE states[self]
`

// oracleCalls prints the functions that stand for calls of methods.
func oracleCalls(b *strings.Builder, sides []side, declare bool) {
	for object := range classes {
		for _, method := range methods {
			fmt.Fprintf(b, "static unsigned call_%d_%s(unsigned x)", object, method)
			if declare {
				b.WriteString(";\n")
				continue
			}
			fmt.Fprintf(b, "\n{\n\tSelf now(%d);\n\tswitch (patched) {\n", object)
			for i, s := range sides[1:] {
				fmt.Fprintf(b, "\tcase %d: return %s(x);\n", i+1, s.resolved(object, method))
			}
			fmt.Fprintf(b, "\t}\n\treturn %s(x);\n}\n", sides[0].resolved(object, method))
		}
	}
}

// mainOfClasses is what main says of the objects.
func mainOfClasses(b *strings.Builder) {
	for object, class := range classes {
		for _, method := range methods {
			fmt.Fprintf(b, "\tfuel = 5;\n\ttry { say(\"%s::%s\", CALL(%d, %s, i)); } catch (unsigned e) { say(\"caught\", e); }\n", class, method, object, method)
		}
	}
}
