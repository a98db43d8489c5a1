// SPDX-License-Identifier: GPL-2.0

package names

import (
	"strconv"
	"strings"
	"testing"
)

func TestReadable(t *testing.T) {
	for _, tt := range []struct{ symbol, readable, short string }{
		{"main", "main", "main"},
		{"f.isra.0", "f.isra.0", "f.isra.0"},
		{"_ZN2ns5Table3putEii", "ns::Table::put(int, int)", "ns::Table::put"},
		{"_ZN2ns5Table3putEii.isra.0", "ns::Table::put(int, int) [clone .isra.0]", "ns::Table::put"},
		{"_ZTVN2ns5TableE", "vtable for ns::Table", "vtable for ns::Table"},
		{"_ZN5store3get17h0123456789abcdefE", "store::get", "store::get"},
		{"_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example", "mycrate::example"},
		{"_RUNTIME", "_RUNTIME", "_RUNTIME"},
	} {
		if got := Readable(tt.symbol); got != tt.readable {
			t.Errorf("%s is %q, want %q", tt.symbol, got, tt.readable)
		}
		if got := Short(tt.symbol); got != tt.short {
			t.Errorf("%s is short %q, want %q", tt.symbol, got, tt.short)
		}
	}
}

func TestInText(t *testing.T) {
	const text = "s.o: .text._Z1fi: thread 7 has on its stack 0x12 inside _ZN1a1bEv+0x3 (_ZZ); _Z1fi@plt, _Z1fi."
	const want = "s.o: .text.f(int): thread 7 has on its stack 0x12 inside a::b()+0x3 (_ZZ); f(int)@plt, f(int)."
	if got := InText(text); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var out strings.Builder
	if n, err := (Writer{To: &out, Symbols: true}).Write([]byte(text)); n != len(text) || err != nil || out.String() != want {
		t.Errorf("%d bytes of %d written, %v: %s", n, len(text), err, out.String())
	}
}

// TestHostile checks that the output for a symbol whose name doubles with each parameter is limited.
func TestHostile(t *testing.T) {
	symbol := "_Z1fSt4pairI1aS0_E"
	for i := int64(1); i < 30; i++ {
		part := "S" + strings.ToUpper(strconv.FormatInt(i, 36)) + "_"
		symbol += "S_I" + part + part + "E"
	}
	got := Readable(symbol)
	if !strings.HasPrefix(got, "f(std::pair<a, a>, std::pair<std::pair<a, a>, ") || len(got) > 1<<maxLength {
		t.Errorf("a symbol of %d bytes becomes %d: %.200s", len(symbol), len(got), got)
	}
}
