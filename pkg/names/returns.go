// SPDX-License-Identifier: GPL-2.0

package names

import (
	"slices"

	"github.com/ianlancetaylor/demangle"
)

// Returns is the type that a function of C++ returns, if its symbol has that: those of instances of templates do.
func Returns(symbol string) (typ string, ok bool) {
	ast, err := demangle.ToAST(symbol, demangle.MaxLength(maxLength))
	if err != nil {
		return "", false
	}
	if c, is := ast.(*demangle.Clone); is {
		ast = c.Base
	}
	typed, is := ast.(*demangle.Typed)
	if !is {
		return "", false
	}
	t := typed.Type
	if m, is := t.(*demangle.MethodWithQualifiers); is {
		t = m.Method
	}
	f, is := t.(*demangle.FunctionType)
	if !is || f.Return == nil {
		return "", false
	}
	return demangle.ASTToString(f.Return, demangle.MaxLength(maxLength)), true
}

// Meant are the symbols that a person means by a name: the symbol, as it is or as far as a limit of bytes, or what it is in the source,
// with or without parameters.
func Meant(symbols []string, name string, limit int) []string {
	for _, is := range []func(symbol string) bool{
		func(s string) bool { return s == name },
		func(s string) bool { return s[:min(len(s), limit)] == name || Readable(s) == name },
		func(s string) bool { return Short(s) == name },
	} {
		var found []string
		for _, s := range symbols {
			if is(s) && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}
