// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"
	"testing"
)

func TestClosuresIn(t *testing.T) {
	for _, c := range []struct {
		name string
		want []Closure
	}{
		{"app::main::{closure#0}", []Closure{{"app::main", "0"}}},
		{"app::main", nil},
		{"core::ptr::drop_in_place<app::main::{closure_env#2}>", []Closure{{"app::main", "2"}}},
		{"fold<core::slice::iter::Iter<u32>, app::sum<u8>::{closure_env#1}>", []Closure{{"app::sum", "1"}}},
		{"app::main::{closure#0}::{closure_env#3}", []Closure{{"app::main", "0"}, {"app::main::{closure#0}", "3"}}},
		{"map<u8, (a::f::{closure_env#0}, &a::g::{closure_env#0})>", []Closure{{"a::f", "0"}, {"a::g", "0"}}},
	} {
		if got := closuresIn(c.name); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNameless(t *testing.T) {
	for name, want := range map[string]bool{
		"anon.5db1c2291a7094f77e1d1b767c63d6c3.3.llvm.9509859961484275245": true, "anon.5db1c2291a7094f77e1d1b767c63d6c3.12": true,
		"alloc_5db1c2291a7094f77e1d1b767c63d6c3": true, "vtable.4.llvm.77": true,
		"vtable.4": false, "str.0": false,
		"anon": false, "vtable": false, "alloc_table": false, "_ZN3app5COUNT17h45dcf0c91029dee0E": false, "string.0": false,
	} {
		if IsNameless(name) != want {
			t.Errorf("IsNameless(%s) is not %v", name, want)
		}
	}
}

func TestIsRust(t *testing.T) {
	for name, want := range map[string]bool{
		"_ZN3app5COUNT17h45dcf0c91029dee0E": true, "_ZN3app5COUNT17h45dcf0c91029dee0E.llvm.12": true, "_RNvCsfLfy6EI15iL_3app4main": true,
		"_ZN3app5countEv": false, "_ZZ4mainE5count": false, "main": false, "_Reset": false,
	} {
		if IsRust(name) != want {
			t.Errorf("IsRust(%s) is not %v", name, want)
		}
	}
	const name = "_ZN4util4pile17h45dcf0c91029dee0E" // instances of a generic differ only in the hash, and are not closures
	if key, ok := numberedKey("_ZN4util13Pile$LT$T$GT$4push17h45dcf0c91029dee0E"); ok {
		t.Errorf("numbered: %s", key)
	}
	if a, b := numberless(name+".llvm.77"), numberless(name); a != b {
		t.Errorf("%s is not %s", a, b)
	}
}
