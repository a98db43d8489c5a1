// SPDX-License-Identifier: GPL-2.0

package main

import "strings"

// lineLimit is how long a line of a page's source may be, in bytes; mandoc -T lint looks for longer ones.
const lineLimit = 80

// wrap breaks the lines of a page's source. Those of examples stay, and the term of a definition has to be one line: it is continued.
func wrap(source string) string {
	var out strings.Builder
	example, term := false, false
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == ".EX" || line == ".EE":
			example = line == ".EX"
		case !example && !strings.HasPrefix(line, "."):
			end := "\n"
			if term {
				end = " \\\n"
			}
			line = breakLine(line, end)
		}
		term = line == ".TP"
		out.WriteString(line + "\n")
	}
	return out.String()
}

// zero is nothing: what begins or ends with it is no request, and no end of a sentence.
const zero = `\&`

// breakLine breaks a line at spaces. What is behind one was no request, and what is in front of it was followed by one space.
func breakLine(line, end string) string {
	var out strings.Builder
	length, last := 0, ""
	for i, word := range strings.Split(line, " ") {
		switch {
		case i == 0:
		case length+1+len(word)+len(zero)+len(end) <= lineLimit+1 || word == "":
			out.WriteString(" ")
			length++
		default:
			if strings.HasSuffix(strings.TrimRight(last, `)]"'`), ".") {
				out.WriteString(zero)
			}
			out.WriteString(end)
			if word[0] == '.' || word[0] == '\'' {
				word = zero + word
			}
			length = 0
		}
		out.WriteString(word)
		length += len(word)
		last = word
	}
	return out.String()
}
