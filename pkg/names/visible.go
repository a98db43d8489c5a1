// SPDX-License-Identifier: GPL-2.0

package names

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a text without characters that move the cursor, start a line, change the writing direction or are
// invisible, since names of files, programs and patches are arbitrary. Unprintable characters are escaped as in string
// literals of Go or C; in invalid UTF-8, the bytes are escaped. Other text is unchanged.
func Visible(text string) string { return visible(text, "") }

// visible does this, but preserves the characters in allowed.
func visible(text, allowed string) string {
	clean := func(r rune, size int) bool {
		return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) || strings.ContainsRune(allowed, r)
	}
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case clean(r, size):
			out.WriteString(text[:size])
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		default:
			quoted := fmt.Sprintf("%+q", r) // '\n', '\x1b', '\u202e', '\U000e0041'
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return out.String()
}
