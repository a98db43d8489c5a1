// SPDX-License-Identifier: GPL-2.0

package build

import (
	"strings"
	"testing"
)

// TestParseRewrite checks that the name by which a tool is called determines the meaning of -o and of a second file.
func TestParseRewrite(t *testing.T) {
	for _, c := range []struct{ as, args, inputs, output, options string }{
		{"/usr/bin/objcopy", "-g a.o b.o", "a.o", "b.o", ""},
		{"/usr/bin/strip", "-g a.o b.o", "a.o b.o", "", ""},
		{"x86_64-linux-gnu-strip", "-o b.o -S a.o", "a.o", "b.o", ""},
		{"/usr/bin/objcopy", "--redefine-sym a=b a.o", "a.o", "", "--redefine-sym a=b"},
		{"strip", "-K f a.o -o b.o", "a.o", "b.o", "-K f"},
	} {
		w := parseRewrite("/usr/bin/llvm-objcopy", c.as, strings.Fields(c.args))
		if strings.Join(w.inputs, " ") != c.inputs || w.output != c.output || strings.Join(w.options, " ") != c.options || w.real != "/usr/bin/llvm-objcopy" {
			t.Errorf("%s %s: %+v", c.as, c.args, w)
		}
	}
}
