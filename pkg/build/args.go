// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// expand replaces arguments of the form "@file" by the words in the file, as compilers and binutils do. Such files may be
// nested.
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

// wordsOf splits the content of such a file into words: quotes protect white space, and a backslash protects the next
// character.
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

// input is a copy of standard input, if it has to be read more than once.
var input *os.File

// keepInput copies standard input if it contains a source file, so that it can be read again.
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

// openInput returns standard input from its start, or what remains of it if there is no copy.
func openInput() (*os.File, error) {
	if input == nil {
		return os.Stdin, nil
	}
	return os.Open(selfFile(input))
}

// selfFile returns a path of an open file.
func selfFile(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// readSource reads a source file named on a command line, which may be standard input.
func readSource(name string) ([]byte, error) {
	if name == "-" && input != nil {
		name = selfFile(input)
	}
	return os.ReadFile(name)
}
