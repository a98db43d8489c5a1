// SPDX-License-Identifier: GPL-2.0

package build

import (
	"fmt"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
)

// instruments are compiler options that add code and data of their own, by what an object then refers to.
var instruments = []struct{ prefix, option string }{
	{"__ubsan_handle_", "-fsanitize=undefined"}, {"__asan_", "-fsanitize=address"}, {"__hwasan_", "-fsanitize=hwaddress"},
	{"__tsan_", "-fsanitize=thread"}, {"__msan_", "-fsanitize=memory"}, {"__sanitizer_cov_", "-fsanitize-coverage"},
	{"__gcov_", "--coverage or -fprofile-generate"}, {"llvm_gcov_", "--coverage"}, {"__llvm_profile_", "-fprofile-generate"},
	{"mcount", "-pg"}, {"__fentry__", "-pg"}, {"__cyg_profile_func_", "-finstrument-functions"},
}

// additions begin the names of what such options put into an object.
var additions = []string{
	"__ubsan", "__asan", "__odr_asan", "__hwasan", "__tsan", "__msan", "__sanc", "__gcov", "__llvm", "__prof", "__start___llvm", "__stop___llvm", "llvm_gcov",
	"_sub_I_", "_sub_D_", // gcc's constructors, which no source can name so
}

// instrumentsOf tells which options an object was compiled with, as far as that shows.
func instrumentsOf(o *diff.Object) []string {
	var out []string
	for _, s := range o.Symbols {
		for _, i := range instruments {
			if strings.HasPrefix(s.Name, i.prefix) && !slices.Contains(out, i.option) {
				out = append(out, i.option)
			}
		}
	}
	slices.Sort(out)
	return out
}

// noteInstruments remembers what explain needs of a pair of objects.
func (b *builder) noteInstruments(res *diff.Result) {
	old, new := instrumentsOf(res.Old), instrumentsOf(res.New)
	if len(old)+len(new) > 0 {
		b.instruments[res.New.Name] = [2][]string{old, new}
	}
}

// explain gives the true reason for refusals that are about what the compiler added to an object, and not about its source:
// no advice on variables helps there.
func (b *builder) explain(list Refusals) Refusals {
	differs := map[string]bool{} // the target was not built with those options, or from another source
	said := false                // which is why nothing else of such objects is found either
	for _, r := range list {
		differs[r.File] = differs[r.File] || r.Code == codes.TargetDiffers && !isAddition(r)
		said = said || differs[r.File] && len(b.instruments[r.File][0]) > 0
	}
	out := Refusals{}
	for _, r := range list {
		options, ok := b.instruments[r.File]
		switch {
		case ok && isAddition(r) && differs[r.File], ok && said && r.Code == codes.ObjectNotFound:
			continue
		case ok && isAddition(r):
			r = Refusal{Code: codes.Instrumented, File: r.File, Text: instrumentedText(options[0], options[1])}
		case r.Code == codes.TargetDiffers && len(options[0]) > 0:
			r.Text += ", but they are compiled with " + strings.Join(options[0], " and ") + ": leave that out if the target was built without it"
		}
		out = append(out, r)
	}
	return once(out.Sorted())
}

// once names one object for all of which the same is true: a header's structure changes in each that includes it, and counters
// differ in every object of two builds.
func once(list Refusals) Refusals {
	type reason struct {
		code         codes.Code
		symbol, text string
	}
	first, more := map[reason]int{}, map[int]int{}
	out := Refusals{}
	for _, r := range list {
		key := reason{r.Code, r.Symbol, r.Text}
		i, again := first[key]
		if again && (r.Code == codes.StructLayoutChanged || r.Code == codes.Instrumented) {
			more[i]++
			continue
		}
		first[key] = len(out)
		out = append(out, r)
	}
	for i, n := range more {
		out[i].Text += fmt.Sprintf("; the same is true of %s", plural(n, "other object"))
	}
	return out
}

// isAddition tells whether a refusal is about what an option added. Data without a name is, and so are constructors: those
// that register it run in every object.
func isAddition(r Refusal) bool {
	return r.Code == codes.UnnamedData || r.Code == codes.ConstructorChanged ||
		slices.ContainsFunc(additions, func(prefix string) bool { return strings.HasPrefix(r.Symbol, prefix) })
}

func instrumentedText(old, new []string) string {
	if len(old) == 0 {
		return "the new object is compiled with " + strings.Join(new, " and ") + " and the old one is not; compile both as the target was built"
	}
	return "old and new are compiled with " + strings.Join(old, " and ") + ", and what that adds beside the code cannot be changed in a program that runs; " +
		"compile both without it, and build the target without it, too"
}
