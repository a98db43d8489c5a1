// SPDX-License-Identifier: GPL-2.0

// Package names makes the symbols of C++ and Rust readable. Programs get symbols as they are in the files.
package names

import (
	"io"
	"strings"

	"github.com/ianlancetaylor/demangle"

	"lpatch/pkg/lazyregexp"
)

// maxLength bounds what a symbol can become, as a power of two in bytes: one that somebody made up may become any length.
const maxLength = 16

// mangled is what a symbol of C++ or Rust looks like in a text, with what compilers append to it (".isra.0").
var mangled = lazyregexp.New(`\b_[ZR][0-9A-Za-z_$]+(?:\.[0-9A-Za-z_]+)*`)

// Readable returns a symbol in the words of its source, or as it is if it has none.
func Readable(symbol string) string {
	return demangle.Filter(symbol, demangle.MaxLength(maxLength))
}

// Short is Readable without parameters and without what compilers append.
func Short(symbol string) string {
	return demangle.Filter(symbol, demangle.NoParams, demangle.NoClones, demangle.MaxLength(maxLength))
}

// InText makes all symbols in a text readable.
func InText(text string) string { return mangled().ReplaceAllStringFunc(text, Readable) }

// Writer writes what people read: all of it is visible, and of one line each time, or of as many as it has.
type Writer struct {
	To      io.Writer
	Lines   bool // what is written may have several lines
	Symbols bool // symbols in it are made readable
}

// Write writes b as a whole. A carriage return at the begin, and what deletes the line then, is that of a line that is written
// again and again. The number of bytes is that of b.
func (w Writer) Write(b []byte) (int, error) {
	text := string(b)
	if w.Symbols {
		text = InText(text)
	}
	const again, anew = "\r", "\r\x1b[K"
	begin := anew
	if !strings.HasPrefix(text, anew) {
		begin = text[:len(text)-len(strings.TrimPrefix(text, again))]
	}
	text = text[len(begin):]
	if w.Lines {
		text = visible(text, "\n\t")
	} else {
		line, end := strings.CutSuffix(text, "\n")
		if text = Visible(line); end {
			text += "\n"
		}
	}
	if _, err := io.WriteString(w.To, begin+text); err != nil {
		return 0, err
	}
	return len(b), nil
}
