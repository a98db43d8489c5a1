// SPDX-License-Identifier: GPL-2.0

package names

import (
	"slices"

	"github.com/ianlancetaylor/demangle"
)

// Returns returns the return type of a C++ function if its symbol contains it, as for template instances.
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

// Meant returns the symbols that a user-supplied name denotes: the symbol itself, possibly truncated to limit bytes, or its
// source name, with or without parameters.
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
