// SPDX-License-Identifier: GPL-2.0

package boot

import "testing"

func TestIsOff(t *testing.T) {
	for line, want := range map[string]bool{
		"quiet ro\n":                          false,
		"quiet lpatch.boot=off ro\n":          true,
		"lpatch.boot=OFF":                     true,
		"lpatch.boot=0":                       true,
		"lpatch.boot=N":                       true,
		"lpatch.boot=on":                      false,
		"lpatch.boot=1":                       false,
		"lpatch.boot=off lpatch.boot=on":      false,
		"lpatch.boot=on lpatch.boot=off":      true,
		"notlpatch.boot=off lpatch.booted=no": false,
	} {
		if got := IsOff(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
