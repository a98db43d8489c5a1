// SPDX-License-Identifier: GPL-2.0

package diff

import (
	"slices"
	"strings"

	"lpatch/pkg/debuginfo"
	"lpatch/pkg/lazyregexp"
	"lpatch/pkg/lpelf"
)

// Closures of Rust are numbered by their order in a function, and so are the types of what they capture. Symbols have a hash of
// that number (or the number itself, "v0"), so a closure that comes in front of another one takes its name. Debug information
// tells the numbers: "app::main::{closure#0}", "drop_in_place<app::main::{closure_env#0}>".

// rustSymbol is a mangled name of rustc's, in either way.
var rustSymbol = lazyregexp.New(`^(_ZN.*17h[0-9a-f]{16}E|_R[A-Z0-9].*)(\.|$)`)

// IsRust tells whether rustc has made a symbol's name.
func IsRust(symbol string) bool { return rustSymbol().MatchString(symbol) }

// Closure is one of a function.
type Closure struct{ Function, Number string }

var closurePart = lazyregexp.New(`\{(?:closure|closure_env)#([0-9]+)\}`)

// closuresIn lists the closures that the name of a function or type mentions.
func closuresIn(name string) []Closure {
	var out []Closure
	for _, m := range closurePart().FindAllStringSubmatchIndex(name, -1) {
		function := withoutArguments(name[startOfPath(name[:m[0]]):m[0]])
		out = append(out, Closure{strings.ReplaceAll(strings.TrimSuffix(function, "::"), "{closure_env#", "{closure#"), name[m[2]:m[3]]})
	}
	return out
}

// startOfPath is where the path begins that a text ends with.
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

// withoutArguments is a path without the arguments of generics: what holds for one instance does for all.
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

// Closures are all that the debug information of an object mentions: numbers by function. Without any it is not known which there are.
func (o *Object) Closures() (map[Closure]bool, error) {
	out := map[Closure]bool{}
	if len(o.Sections) == 0 {
		return out, nil // there is no such object
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

// rustName is the name of a function with its path and arguments, as debug information has it; "" if that tells nothing.
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

// ChangedClosures lists the closures that changed functions are, or are made for. The names of symbols do not tell them all.
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

// suspends is how the functions are called by which async functions and blocks of Rust go on.
var suspends = lazyregexp.New(`\{(async_[a-z_]+|coroutine|generator|gen_[a-z_]+)#[0-9]+\}(<.*>)?$`)

// rustSuspended names the async function or block that a function is the body of, "" if it is none.
func (o *Object) rustSuspended(f *lpelf.Symbol) string {
	if name := o.rustName(f); suspends().MatchString(name) {
		return name
	}
	return ""
}
