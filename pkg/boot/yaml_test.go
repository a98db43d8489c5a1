// SPDX-License-Identifier: GPL-2.0

package boot

import "testing"

// TestDecodeYAML checks that all problems of a file are reported in one line.
func TestDecodeYAML(t *testing.T) {
	_, err := decode([]byte("nane: fix\nboots: many\n"))
	const want = "yaml: line 1: field nane not found in type boot.Entry; line 2: cannot unmarshal !!str `many` into int"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
