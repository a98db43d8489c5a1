// SPDX-License-Identifier: GPL-2.0

package vm

import (
	"bytes"
	"testing"
)

// TestTypist has a console say things in pieces, with what terminals hide.
func TestTypist(t *testing.T) {
	var keys bytes.Buffer
	m := &machine{answers: []Answer{{"Press any key", "\r"}, {"Password:", "secret\r"}}}
	console := &typist{m: m, keys: &keys}
	for _, step := range []struct {
		says, typed string
		done        bool
	}{
		{"Password: is not asked for yet\r\n", "", false},
		{"\x1b[2J\x1b[01;01HPress a\x1b", "", false},
		{"[0mny k", "", false},
		{"ey\r\n", "\r", false},
		{"Press any key", "\r", false},
		{"\x1b[12;30HPass\x1b[1mword:", "\rsecret\r", true},
		{"Password:", "\rsecret\r", true},
	} {
		if n, err := console.Write([]byte(step.says)); n != len(step.says) || err != nil {
			t.Fatalf("%q: %d, %v", step.says, n, err)
		}
		if keys.String() != step.typed || m.done != step.done {
			t.Fatalf("after %q %q is typed, done: %v; want %q, %v", step.says, keys.String(), m.done, step.typed, step.done)
		}
	}
}
