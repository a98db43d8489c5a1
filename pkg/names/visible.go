// SPDX-License-Identifier: GPL-2.0

package names

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a text so that nothing in it moves the cursor, begins a line, turns the direction of writing or cannot be seen: names of
// files, programs and patches may consist of anything. What is not printable is written as in a string of Go or C; of what
// is not UTF-8, the bytes are. Where nothing is, the text stays as it is.
func Visible(text string) string { return visible(text, "") }

// visible leaves those characters alone, too.
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
