// SPDX-License-Identifier: GPL-2.0

package lazyregexp

import "testing"

func TestNew(t *testing.T) {
	expr := New(`^a+$`)
	if !expr().MatchString("aa") || expr().MatchString("ab") {
		t.Error("another expression")
	}
	if first, second := expr(), expr(); first != second {
		t.Error("it is compiled twice")
	}
	defer func() {
		if recover() == nil {
			t.Error("an expression that does not parse was taken")
		}
	}()
	New(`(`)()
}
