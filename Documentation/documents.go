// SPDX-License-Identifier: GPL-2.0

// Package documents has those documents that lpctl quotes.
package documents

import _ "embed" // the documents

// Reference is reference.md, and AuthorGuide is patch-author-guide.md.
var (
	//go:embed reference.md
	Reference string
	//go:embed patch-author-guide.md
	AuthorGuide string
)
