// SPDX-License-Identifier: GPL-2.0

package diff

import "lpatch/pkg/lazyregexp"

// nameless is how rustc and LLVM call constants that have no name in the source: by a hash of what made them and a number, or of
// what they hold.
var nameless = lazyregexp.New(`^((anon\.[0-9a-f]{32}\.[0-9a-z]+|alloc_[0-9a-f]{32})(\.llvm\.[0-9]+)?|(vtable|str)\.[0-9a-z]+\.llvm\.[0-9]+)$`)

// IsNameless tells whether that is the name of such a constant, which means what it holds.
func IsNameless(name string) bool { return nameless().MatchString(name) }
