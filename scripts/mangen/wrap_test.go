// SPDX-License-Identifier: GPL-2.0

package main

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	words := strings.Repeat("word ", 20) + "end"
	const source = ".TP\nTERM\nTEXT\n.EX\nTEXT\n.EE\n.TH TEXT\n"
	full := strings.NewReplacer("TEXT", words, "TERM", words).Replace(source)
	begin := strings.TrimSuffix(strings.Repeat("word ", 15), " ")
	const rest = "word word word word word end"
	want := ".TP\n" + begin + " \\\n" + rest + "\n" + begin + "\n" + rest + "\n.EX\n" + words + "\n.EE\n.TH " + words + "\n"
	if got := wrap(full); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	// No request comes about, and no end of a sentence.
	long := strings.Repeat("x", 60)
	got := wrap(long + " .TH 'a " + long + " (end.) " + long + " and.\n")
	want = long + " .TH 'a\n" + long + " (end.)\\&\n" + long + " and.\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got, want := wrap(long+long+" .TH "+long+" 'b\n"), long+long+"\n\\&.TH "+long+" 'b\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
