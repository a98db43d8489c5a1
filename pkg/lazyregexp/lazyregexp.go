// SPDX-License-Identifier: GPL-2.0

// Package lazyregexp compiles package-level regular expressions when they are first used. lpctl is started for each compiler
// that a build runs, and would compile all of them each time, which took longer than all else that it does before it runs
// the compiler.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles the expression the first time it is called, and returns it. It panics then if the
// expression does not parse, as regexp.MustCompile does.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
