// SPDX-License-Identifier: GPL-2.0

package build

import (
	"debug/elf"
	"strings"
	"testing"

	"lpatch/pkg/diff"
	"lpatch/pkg/link"
	"lpatch/pkg/lpelf"
)

// bareObject returns an object without debug information that has static variables.
func bareObject(t *testing.T, name string, variables ...string) *diff.Object {
	t.Helper()
	f := &lpelf.File{Type: elf.ET_REL, Sections: []*lpelf.Section{{}, {Index: 1, Name: ".data.x", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Size: 64, Align: 8, Data: make([]byte, 64)}}}
	for i, v := range variables {
		f.Symbols = append(f.Symbols, &lpelf.Symbol{Name: v, Type: elf.STT_OBJECT, Section: 1, Value: uint64(8 * i), Size: 8})
	}
	o, err := diff.NewObject(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func texts(list diff.Refusals) string {
	var out []string
	for _, r := range list {
		out = append(out, r.File+" "+r.Symbol+" ["+string(r.Code)+"] "+r.Text)
	}
	return strings.Join(out, "\n")
}

// TestClosuresUnknown checks that closures are unknown without debug information, instead of being absent.
func TestClosuresUnknown(t *testing.T) {
	const advice = "it has no debug information, so which closures of Rust it has, and whether they are those that have their names in the program, is not known; compile old and new with -g"
	for name, want := range map[string]string{"_ZN3app4main17h45dcf0c91029dee0E": "app.o  [closure-renumbered] " + advice, "main": ""} {
		res := &diff.Result{New: bareObject(t, "app.o"), Changed: []diff.Change{{New: &lpelf.Symbol{Name: name}}}}
		b := &builder{inputs: []*link.Input{{Diff: res}}}
		if err := b.checkClosures(nil); err != nil || texts(b.refusals) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, texts(b.refusals), want)
		}
	}
	if _, err := bareObject(t, "a.o").Closures(); err == nil {
		t.Error("an object without debug information has no closures")
	}
	if list, err := diff.EmptyObject("a.o").Closures(); err != nil || len(list) > 0 {
		t.Errorf("no object: %v, %v", list, err)
	}
}

// TestRenumbered checks that a closure is identified by its number only if none was added, removed or changed next to it.
func TestRenumbered(t *testing.T) {
	set := func(numbers string) map[diff.Closure]bool {
		out := map[diff.Closure]bool{}
		for _, n := range strings.Fields(numbers) {
			out[diff.Closure{Function: "app::f", Number: n}] = true
		}
		return out
	}
	const came = "app.o app::f [closure-renumbered] closures of this function came or went, and each has the name of its number in it, so which of them the program's are is not known; add them in a function of their own"
	const several = "app.o app::f [closure-renumbered] several closures of this function changed, and each has the name of its number in it, so which of them the program's are is not known; change one at a time, or make them functions"
	for _, c := range []struct{ changed, old, new, want string }{
		{"0", "0 1", "0 1", ""}, {"0", "0 1", "0 1 2", came}, {"0", "0 1", "0", came}, {"0 1", "0 1", "0 1", several},
	} {
		changed := map[diff.Closure]string{}
		for closure := range set(c.changed) {
			changed[closure] = "app.o"
		}
		b := &builder{}
		b.refuseRenumbered(changed, set(c.old), set(c.new))
		if got := texts(b.refusals); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

// TestStaticsMoved checks that static variables must stay in their objects.
func TestStaticsMoved(t *testing.T) {
	const v, w = "_ZN3app5COUNT17h45dcf0c91029dee0E", "_ZN3app5TOTAL17h45dcf0c91029dee0E"
	const want = "b.o " + v + " [function-moved] the static variable was in a.o, for rustc divides the crate in another way with the fix, and what it holds would not be found; " +
		"build the target with codegen-units = 1, or make the fix smaller"
	for _, c := range []struct {
		a, b []string // variables of the new objects
		want string
	}{
		{[]string{v, w}, nil, ""}, {[]string{w}, []string{v}, want}, {[]string{w}, nil, ""},
	} {
		b := &builder{old: oldOf(nil)}
		b.checkStaticsMoved([]*diff.Result{{Old: bareObject(t, "a.o", v, w), New: bareObject(t, "a.o", c.a...)}, {Old: bareObject(t, "b.o"), New: bareObject(t, "b.o", c.b...)}})
		if got := texts(b.refusals); got != c.want {
			t.Errorf("%v, %v: %s", c.a, c.b, got)
		}
	}
}
