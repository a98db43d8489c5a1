// SPDX-License-Identifier: GPL-2.0

package names

import (
	"strings"
	"testing"
)

// hostile contains malicious names and their printable forms.
var hostile = []struct{ name, shown string }{
	{"plain name_1.so", "plain name_1.so"},
	{"größer 日本 ñ", "größer 日本 ñ"},
	{`a\nb "c"`, `a\nb "c"`},
	{"x\nlpctl: applied fix to prog[1]: all is well", `x\nlpctl: applied fix to prog[1]: all is well`},
	{"\r\x1b[2K\x1b]0;title\a", `\r\x1b[2K\x1b]0;title\a`},
	{"a\tb\vc\fd\x00e\x7ff", `a\tb\vc\fd\x00e\x7ff`},
	{"\u009b31m\u0085", `\u009b31m\u0085`},
	{"gpj\u202egnp\u2066x\u2069\u200f\u061c", `gpj\u202egnp\u2066x\u2069\u200f\u061c`},
	{"a\u200bb\ufeffc\u00add\u2028e\u00a0f", `a\u200bb\ufeffc\u00add\u2028e\u00a0f`},
	{"\U000e0041tag", `\U000e0041tag`},
	{"\xff\xc3\x28\xed\xa0\x80 \ufffd", `\xff\xc3(\xed\xa0\x80 ` + "\ufffd"},
}

func TestVisible(t *testing.T) {
	for _, c := range hostile {
		if got := Visible(c.name); got != c.shown || Visible(got) != got {
			t.Errorf("%q is shown as %s, want %s", c.name, got, c.shown)
		}
	}
}

// TestWriterVisible checks that a Write results in one line or in the lines that it contains.
func TestWriterVisible(t *testing.T) {
	for _, c := range hostile {
		for _, lines := range []bool{false, true} {
			want := "about " + c.shown + ".\n"
			if lines {
				want = strings.NewReplacer(`x\nl`, "x\nl", `a\tb`, "a\tb").Replace(want)
			}
			var out strings.Builder
			text := "about " + c.name + ".\n"
			if n, err := (Writer{To: &out, Lines: lines}).Write([]byte(text)); n != len(text) || err != nil || out.String() != want {
				t.Errorf("%d of %d, %v: %q, want %q", n, len(text), err, out.String(), want)
			}
		}
	}
	var out strings.Builder
	for _, text := range []string{"\r  a\r, 1 s ", "\r\x1b[K", "\r\x1b[Kx\n\x1b[K"} {
		if _, err := (Writer{To: &out}).Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if want := "\r  a" + `\r` + ", 1 s \r\x1b[K\r\x1b[Kx" + `\n\x1b[K`; out.String() != want {
		t.Errorf("progress %q, want %q", out.String(), want)
	}
}
