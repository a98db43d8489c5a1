// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// expand puts the words of "@file" in their place, as compilers and binutils do; such a file may name others.
func expand(args []string) []string { return expandTo(nil, args, 0) }

func expandTo(out, args []string, depth int) []string {
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok && depth < 100 {
			if text, err := os.ReadFile(name); err == nil {
				out = expandTo(out, wordsOf(string(text)), depth+1)
				continue
			}
		}
		out = append(out, a)
	}
	return out
}

// wordsOf divides the text of such a file: quotes hold blanks, and a backslash takes the next character as it is.
func wordsOf(text string) []string {
	var out []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			begun = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote == 0 && strings.IndexByte(" \t\n\r\f\v", c) >= 0:
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

// input is what a tool is to read from standard input, if it is read more than once.
var input *os.File

// keepInput keeps standard input if a source comes from there, for it is read only once.
func (s *step) keepInput() error {
	if !slices.Contains(s.sources, "-") {
		return nil
	}
	f, err := os.CreateTemp(os.Getenv(shimObjEnv), ".input-")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	input = f
	_, err = io.Copy(f, os.Stdin)
	return err
}

// openInput is standard input from its begin, or what is left of it.
func openInput() (*os.File, error) {
	if input == nil {
		return os.Stdin, nil
	}
	return os.Open(selfFile(input))
}

// selfFile names an open file.
func selfFile(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// readSource reads a source that a call names, which may be standard input.
func readSource(name string) ([]byte, error) {
	if name == "-" && input != nil {
		name = selfFile(input)
	}
	return os.ReadFile(name)
}
