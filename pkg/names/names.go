// SPDX-License-Identifier: GPL-2.0

// Package names converts symbols of C++ and Rust to readable form for output. Programs that process output get symbols
// unchanged.
package names

import (
	"io"
	"strings"

	"github.com/ianlancetaylor/demangle"

	"lpatch/pkg/lazyregexp"
)

// maxLength is the maximum length of a demangled symbol as a power of two in bytes. A malicious symbol can expand without
// limit.
const maxLength = 16

// mangled matches symbols of C++ and Rust in a text, including compiler suffixes (".isra.0").
var mangled = lazyregexp.New(`\b_[ZR][0-9A-Za-z_$]+(?:\.[0-9A-Za-z_]+)*`)

// Readable returns the demangled form of a symbol, or the symbol itself if it is not mangled.
func Readable(symbol string) string {
	return demangle.Filter(symbol, demangle.MaxLength(maxLength))
}

// Short is like Readable, but omits parameters and compiler suffixes.
func Short(symbol string) string {
	return demangle.Filter(symbol, demangle.NoParams, demangle.NoClones, demangle.MaxLength(maxLength))
}

// InText demangles all symbols in a text.
func InText(text string) string { return mangled().ReplaceAllStringFunc(text, Readable) }

// Writer writes text for terminals. Each Write is made printable and, unless Lines is set, limited to one line.
type Writer struct {
	To      io.Writer
	Lines   bool // a Write may contain several lines
	Symbols bool // demangle symbols
}

// Write writes b. A carriage return at the start, optionally with the sequence that erases the line, is preserved for
// progress lines. The returned count refers to b.
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
