// SPDX-License-Identifier: GPL-2.0

package lpelf

import "lpatch/pkg/lazyregexp"

// serial is a number that link-time optimisation appends to the name of a static function or variable which others may have, too.
var serial = lazyregexp.New(`\.(lto_priv|llvm)\.[0-9]+`)

// Unnumbered is a symbol's name without what link-time optimisation appends to tell static functions and variables apart.
func Unnumbered(name string) string { return serial().ReplaceAllString(name, "") }
