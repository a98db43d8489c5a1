// SPDX-License-Identifier: GPL-2.0

package mitigate

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/debuginfo"
	"lpatch/pkg/names"
)

// kind is the action of a mitigation.
type kind uint8

const (
	answer kind = iota // returns instead of executing the function
	count              // executes the function
	trap               // terminates the program
)

type action struct {
	kind   kind
	number *uint64 // return value; nil: none
	text   string  // for messages
}

// Types lists the return types that the author can specify. "int" is any integer or enumeration.
var Types = []string{"int", "bool", "pointer", "void"}

// parse validates the options and returns the action.
func parse(o *Options) (action, error) {
	given := 0
	for _, is := range []bool{o.Return != "", o.Log, o.Trap} {
		if is {
			given++
		}
	}
	switch {
	case (o.Function == "") == (o.Address == ""):
		return action{}, errors.New("say which function, by --function NAME or by --offset ADDRESS")
	case given != 1:
		return action{}, errors.New("say what it is to do: one of --return, --log and --trap")
	case o.Returns != "" && o.Return == "":
		return action{}, errors.New("--returns goes with --return only")
	case o.Returns != "" && !slices.Contains(Types, o.Returns):
		return action{}, fmt.Errorf("--returns %.40q: say one of %s", o.Returns, strings.Join(Types, ", "))
	case o.Log:
		return action{kind: count, text: "log"}, nil
	case o.Trap:
		return action{kind: trap, text: "trap"}, nil
	case o.Return == "void":
		return action{text: "return void"}, nil
	}
	n, err := strconv.ParseUint(o.Return, 0, 64)
	if err != nil {
		var signed int64
		signed, err = strconv.ParseInt(o.Return, 0, 64)
		n = uint64(signed)
	}
	if err != nil {
		return action{}, fmt.Errorf("--return %.40q: is neither a number of 64 bits nor \"void\"", o.Return)
	}
	return action{number: &n, text: "return " + o.Return}, nil
}

func (a action) why() string {
	switch a.kind {
	case count:
		return "its calls are counted"
	case trap:
		return "a call of it ends the program"
	}
	return strings.Replace(a.text, "return", "returns", 1) + " in its place"
}

func (a action) description(function string) string {
	return fmt.Sprintf("A mitigation, no fix: %s: %s.", function, a.why())
}

// checkReturn refuses a constant that does not match the return type, and functions whose return value is not in %rax.
func (m *maker) checkReturn() error {
	if m.act.kind != answer {
		return nil
	}
	if isClone(m.fn.name) {
		return m.refuse(codes.CompilerClone, "the compiler made it of another function and may have changed what it takes and returns; use --log or --trap")
	}
	if m.debug != nil && m.debug.NoReturn {
		return m.refuse(codes.NeverReturns, "it is declared never to return, and there need not be code behind its calls; use --log or --trap")
	}
	if !m.mayReturn() {
		return m.refuse(codes.NeverReturns, "neither its code nor what it jumps to has an instruction that returns, and there need not be code behind its calls; use --log or --trap")
	}
	class, size, from := m.known()
	switch {
	case class == "":
		if from == "" {
			from = "neither debug information nor its symbol tells"
		}
		if m.o.Returns == "" {
			return m.refuse(codes.TypeUnknown, "%s what it returns; say --returns %s if you know", from, strings.Join(Types, "|"))
		}
		class = m.o.Returns
	case !slices.Contains(Types, class):
		return m.refuse(codes.ReturnsOtherwise, "%s that it returns %s, which is not passed as a number is; use --log or --trap", from, class)
	case m.o.Returns != "" && m.o.Returns != class:
		return m.refuse(codes.ReturnsOtherwise, "--returns %s, but %s that it returns %s; leave --returns out", m.o.Returns, from, called(class))
	}
	return m.checkNumber(class, size)
}

func called(class string) string {
	return map[string]string{"int": "an integer", "bool": "a truth value", "pointer": "a pointer", "void": "nothing"}[class]
}

// checkNumber compares the constant with the type. A size of 0 is unknown.
func (m *maker) checkNumber(class string, size int64) error {
	n := m.act.number
	switch {
	case class == "void" && n != nil:
		return m.refuse(codes.ConstantImpossible, "it returns nothing; say --return void")
	case class == "void":
		return nil
	case n == nil:
		return m.refuse(codes.ConstantImpossible, "it returns %s; say which with --return N", called(class))
	case class == "bool" && *n > 1:
		return m.refuse(codes.ConstantImpossible, "it returns a truth value; say --return 0 or --return 1")
	case class == "int" && size > 0 && size < 8 && int64(*n) != int64(*n)<<(64-8*size)>>(64-8*size) && *n>>(8*size) != 0:
		return m.refuse(codes.ConstantImpossible, "it returns an integer of %d bytes, which cannot be %s", size, strings.TrimPrefix(m.act.text, "return "))
	}
	return nil
}

// known returns the return type of the function: one of Types, the name of another type, or "" if unknown. from is the start
// of a sentence that names the source of this information.
func (m *maker) known() (class string, size int64, from string) {
	if d := m.debug; d != nil && d.Returns.Known {
		return classOf(d.Returns), d.Returns.Size, "debug information says"
	}
	if typ, ok := names.Returns(m.fn.name); ok {
		class = classOfText(typ)
		if class == "" {
			return "", 0, fmt.Sprintf("its symbol says that it returns %s, and nothing tells", typ)
		}
		return class, 0, "its symbol says"
	}
	return "", 0, ""
}

func classOf(r debuginfo.Returned) string {
	switch {
	case r.Void:
		return "void"
	case r.Tag == dwarf.TagPointerType:
		return "pointer"
	case r.Tag == dwarf.TagReferenceType || r.Tag == dwarf.TagRvalueReferenceType:
		return "a reference, which no number is"
	case r.Tag == dwarf.TagEnumerationType && r.Size <= 8:
		return "int"
	case r.Tag == dwarf.TagBaseType && r.Size <= 8:
		switch r.Coding {
		case debuginfo.EncodingBoolean:
			return "bool"
		case debuginfo.EncodingSigned, debuginfo.EncodingSignedChar, debuginfo.EncodingUnsigned, debuginfo.EncodingUnsignedCh, debuginfo.EncodingUTF:
			return "int"
		}
	}
	what := map[dwarf.Tag]string{dwarf.TagStructType: "a structure", dwarf.TagClassType: "a class", dwarf.TagUnionType: "a union",
		dwarf.TagPtrToMemberType: "a pointer to member"}[r.Tag]
	switch {
	case what == "" && r.Name == "":
		return "a type of its own"
	case what == "":
		return r.Name
	case r.Name == "":
		return what
	}
	return what + " (" + r.Name + ")"
}

// integers lists the types that fit in a general-purpose register, as demanglers print them.
var integers = []string{"char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned int", "long", "unsigned long",
	"long long", "unsigned long long", "wchar_t", "char8_t", "char16_t", "char32_t"}

// floats lists the types that are returned in other registers, or in two registers.
var floats = []string{"float", "double", "long double", "__float128", "__int128", "unsigned __int128"}

// classOfText returns the class of a type, or "" for a name that may be a class or an enumeration.
func classOfText(typ string) string {
	switch {
	case typ == "void" || typ == "bool":
		return typ
	case slices.Contains(integers, typ):
		return "int"
	case strings.HasSuffix(typ, "::*"): // a null pointer to data member is -1
		return "a pointer to member"
	case strings.HasSuffix(typ, "*"):
		return "pointer"
	case strings.HasSuffix(typ, "&"):
		return "a reference, which no number is"
	case slices.Contains(floats, typ):
		return typ
	}
	return ""
}
