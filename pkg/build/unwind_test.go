// SPDX-License-Identifier: GPL-2.0

package build

import "testing"

// TestNoUnwindTables checks that code without unwind tables in a stripped file is reported as not found, and not as
// different.
func TestNoUnwindTables(t *testing.T) {
	const order = "int order(int n) { return price(n) * 2 + n; }\n" + orderH
	const flags = "-O2 -g -fPIE -fno-inline -fno-asynchronous-unwind-tables"
	in := compileFor(t, map[string]string{"shop.c": priceOld + order}, map[string]string{"shop.c": priceNew + order}, flags, flags+" -s", false)
	_, err := FromObjects(in.options())
	const want = "T is stripped, and this object has no unwind tables by which its code could be found there: name an unstripped build of exactly the target with --symbols"
	if got := refusalsOf(err, in.target)["needs-symbols shop.o "]; got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}
