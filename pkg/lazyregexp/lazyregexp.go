// SPDX-License-Identifier: GPL-2.0

// Package lazyregexp compiles package-level regular expressions on first use. A build starts lpctl once for each compiler
// call, and compiling all expressions each time would take longer than everything else that lpctl does before it starts the
// compiler.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles the expression at its first call and returns it. The function panics if the expression
// is invalid, like regexp.MustCompile.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
