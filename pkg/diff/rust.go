// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// rustc numbers the closures of a function in source order, and likewise the types of their captures. Symbol names contain a
// hash of this number, or the number itself (v0 mangling), so a closure that is inserted before another one takes over its
// name. Debug information contains the numbers: "app::main::{closure#0}", "drop_in_place<app::main::{closure_env#0}>".

// rustSymbol matches symbol names mangled by rustc, in the legacy and in the v0 scheme.
var rustSymbol = lazyregexp.New(`^(_ZN.*17h[0-9a-f]{16}E|_R[A-Z0-9].*)(\.|$)`)

// IsRust reports whether symbol was mangled by rustc.
func IsRust(symbol string) bool { return rustSymbol().MatchString(symbol) }

// Closure identifies a closure of a function.
type Closure struct{ Function, Number string }

var closurePart = lazyregexp.New(`\{(?:closure|closure_env)#([0-9]+)\}`)

// closuresIn returns the closures that the name of a function or type contains.
func closuresIn(name string) []Closure {
	var out []Closure
	for _, m := range closurePart().FindAllStringSubmatchIndex(name, -1) {
		function := withoutArguments(name[startOfPath(name[:m[0]]):m[0]])
		out = append(out, Closure{strings.ReplaceAll(strings.TrimSuffix(function, "::"), "{closure_env#", "{closure#"), name[m[2]:m[3]]})
	}
	return out
}

// startOfPath returns the index in text at which the path starts that text ends with.
func startOfPath(text string) int {
	depth := 0
	for i := len(text) - 1; i >= 0; i-- {
		switch c := text[i]; {
		case c == '>':
			depth++
		case c == '<' && depth > 0:
			depth--
		case depth == 0 && strings.IndexByte("<, (&*[", c) >= 0:
			return i + 1
		}
	}
	return 0
}

// withoutArguments returns a path without generic arguments, because closures are numbered alike in all instances.
func withoutArguments(path string) string {
	var b strings.Builder
	depth := 0
	for i := range len(path) {
		switch path[i] {
		case '<':
			depth++
		case '>':
			depth--
		default:
			if depth == 0 {
				b.WriteByte(path[i])
			}
		}
	}
	return b.String()
}

// Closures returns the closures that the debug information of an object mentions. Without debug information this is unknown,
// and an error is returned.
func (o *Object) Closures() (map[Closure]bool, error) {
	out := map[Closure]bool{}
	if len(o.Sections) == 0 {
		return out, nil // the object does not exist in this version
	}
	info, err := o.Debug()
	if err != nil {
		return nil, err
	}
	info.Walk(func(e *debuginfo.Entry) {
		if closurePart().MatchString(e.Name()) {
			for _, c := range closuresIn(e.Qualified()) {
				out[c] = true
			}
		}
	})
	return out, nil
}

// rustName returns the name of a function with its path and generic arguments according to debug information, or "".
func (o *Object) rustName(f *lpelf.Symbol) string {
	info, err := o.Debug()
	if err != nil || !rustSymbol().MatchString(f.Name) {
		return ""
	}
	if e := info.Function(int(f.Section), f.Value); e != nil {
		return e.Qualified()
	}
	return ""
}

// ChangedClosures returns the closures that are changed functions, or that changed functions are instantiated for. Symbol
// names alone do not identify all of them.
func (r *Result) ChangedClosures() ([]Closure, error) {
	var out []Closure
	for _, ch := range r.Changed {
		if _, err := r.New.Debug(); err != nil && IsRust(ch.New.Name) {
			return nil, err
		}
		for _, c := range closuresIn(r.New.rustName(ch.New)) {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// suspends matches the names of the functions that resume async functions, async blocks and coroutines of Rust.
var suspends = lazyregexp.New(`\{(async_[a-z_]+|coroutine|generator|gen_[a-z_]+)#[0-9]+\}(<.*>)?$`)

// rustSuspended returns the name of the async function or block whose body f is, or "".
func (o *Object) rustSuspended(f *lpelf.Symbol) string {
	if name := o.rustName(f); suspends().MatchString(name) {
		return name
	}
	return ""
}
