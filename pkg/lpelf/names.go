// SPDX-License-Identifier: GPL-2.0

package lpelf

import "lpatch/pkg/lazyregexp"

// serial matches the number that link-time optimisation appends to the name of a static function or variable to make it
// unique.
var serial = lazyregexp.New(`\.(lto_priv|llvm)\.[0-9]+`)

// Unnumbered returns a symbol name without the suffix that link-time optimisation appends to static functions and variables.
func Unnumbered(name string) string { return serial().ReplaceAllString(name, "") }
