// SPDX-License-Identifier: GPL-2.0

package diff

import "lpatch/pkg/lazyregexp"

// nameless matches the names that rustc and LLVM generate for constants without a name in the source. They are made of hashes
// of the origin or of the content, and numbers.
var nameless = lazyregexp.New(`^((anon\.[0-9a-f]{32}\.[0-9a-z]+|alloc_[0-9a-f]{32})(\.llvm\.[0-9]+)?|(vtable|str)\.[0-9a-z]+\.llvm\.[0-9]+)$`)

// IsNameless reports whether name is that of such a constant, which is identified by its content.
func IsNameless(name string) bool { return nameless().MatchString(name) }
