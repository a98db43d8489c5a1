// SPDX-License-Identifier: GPL-2.0

package build

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lpatch/pkg/codes"
	"lpatch/pkg/diff"
	"lpatch/pkg/lazyregexp"
)

// A fix may change how a program is linked: --wrap, --defsym, a version script. No object shows such a change.

// compileOnly matches options that do not concern the linker, except those of forLinker.
var (
	compileOnly = lazyregexp.New(`^-([OgDUIEiMPSvwx]|W([^l]|l[^,]|$)|std=|ansi|pedantic|pipe|save-temps|aux-info|dump|c$|Xassembler|Xpreprocessor|Xclang|-param|f)`)
	forLinker   = lazyregexp.New(`^-f(use-ld|lto|sanitize|openmp|profile|whole-program|no-lto)`)
)

// how returns the arguments of a link that influence its output, in order, and the files that they name, such as linker
// scripts, with their SHA-256. Inputs that are compiled or linked are recorded separately.
func (s *step) how() []linkInput {
	var out []linkInput
	for i := 0; i < len(s.all); i++ {
		a := s.all[i]
		words := []string{a}
		if (s.takesValue(a) || a == "-o") && i+1 < len(s.all) {
			i++
			words = append(words, s.all[i])
		}
		switch {
		case a == "-" || !strings.HasPrefix(a, "-") || strings.HasPrefix(a, "-o"):
		case !s.direct && compileOnly().MatchString(a) && !forLinker().MatchString(a):
		default:
			last := len(words) - 1
			if words[last] = withoutRustPassing(withoutPassing(words[last])); words[last] != "" {
				out = append(out, linkInput{Name: strings.Join(words, " ")})
			}
		}
	}
	all := ""
	for _, h := range out {
		all += h.Name + "\n"
	}
	out = append(out, linkInput{Name: "arguments in an order", Sum: sumOf([]byte(all))})
	for _, name := range s.scripts() {
		if data, err := os.ReadFile(name); err == nil && !isELF(data) && !isArchive(data) && !isBitcode(data) {
			out = append(out, linkInput{Name: withoutRustPassing(name), Sum: sumOf(data)})
		}
	}
	if strings.Contains(strings.Join(s.all, " "), "muldefs") || slices.Contains(s.words, "--allow-multiple-definition") {
		out = append(out, linkInput{Name: "the order " + strings.Join(slices.Concat(s.sources, s.inputs), " ")})
	}
	return out
}

// takesValue reports whether the next argument is the value of an option.
func (s *step) takesValue(option string) bool {
	if s.direct {
		return ldValues[option]
	}
	return valueFlags[option]
}

// withoutPassing removes from an argument what does not influence the code: the path of the map, the build-id, and temporary
// files, whose names differ in each build. It returns "" if nothing is left.
func withoutPassing(word string) string {
	parts := slices.DeleteFunc(strings.Split(word, ","), func(part string) bool {
		name, value, _ := strings.Cut(part, "=")
		return strings.HasSuffix(name, "-Map") || name == "--dependency-file" || strings.TrimLeft(name, "-") == "build-id" || isTemporary(strings.TrimPrefix(part, "-L")) || isTemporary(value)
	})
	if len(parts) == 1 && parts[0] == "-Wl" {
		return ""
	}
	return strings.Join(parts, ",")
}

// scripts returns the files that the arguments of a link name, except sources and the map.
func (s *step) scripts() []string {
	words := slices.Concat(s.inputs, s.words)
	for i, a := range s.all {
		if name, ok := strings.CutPrefix(a, "-T"); ok && name != "" {
			words = append(words, name)
		} else if ok && i+1 < len(s.all) {
			words = append(words, s.all[i+1])
		}
	}
	var out []string
	for _, w := range words {
		if _, value, ok := strings.Cut(w, "="); ok {
			w = value
		}
		if st, err := os.Stat(w); err == nil && st.Mode().IsRegular() && w != mapOf(s.words) && !isTemporary(w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func isELF(data []byte) bool { return strings.HasPrefix(string(data[:min(len(data), 4)]), "\x7fELF") }

// says reports whether an argument of the links contains word.
func (in *inputs) says(word string) bool {
	for how := range in.how {
		if strings.Contains(how, word) {
			return true
		}
	}
	return false
}

// takeHow adds the arguments of a link to those of its output. Both an argument and an output may occur several times.
func (in *inputs) takeHow(r *linkRecord) {
	in.how[r.Output+"\n"] = "linked"
	for _, h := range r.How {
		key := r.Output + "\n" + h.Name
		sums := append(strings.Fields(in.how[key]), cmp.Or(h.Sum, "-"))
		slices.Sort(sums) // the order of the links is undefined
		in.how[key] = strings.Join(sums, " ")
	}
}

// linkChanged describes how the links of a target differ between the two builds, or returns "".
func linkChanged(old, new inputs) string {
	all := maps.Clone(old.how)
	maps.Copy(all, new.how)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		output, what, _ := strings.Cut(key, "\n")
		was, is := old.how[key], new.how[key]
		const advice = "; a patch cannot link it anew: make the change in a source, or take it out of the fix"
		switch {
		case was == is || old.how[output+"\n"] == "" || new.how[output+"\n"] == "":
		case was == "":
			return fmt.Sprintf("with the fix it is linked with %s, and without it is not%s", what, advice)
		case is == "":
			return fmt.Sprintf("without the fix it is linked with %s, and with it is not%s", what, advice)
		case strings.Trim(was, "- ") == "":
			return fmt.Sprintf("with the fix it is linked with %s another number of times than without%s", what, advice)
		default:
			return fmt.Sprintf("it is linked with %s, which differs with the fix%s", what, advice)
		}
	}
	return ""
}

// foreignText tells why the origin of an object that differs and is linked into the target is not known.
func (b *builder) foreignText(name string) string {
	in := func(in inputs) bool { _, ok := in.foreign[name]; return ok }
	switch {
	case b.oldIn.again[name] || b.newIn.again[name]:
		return fmt.Sprintf("%s is linked from it, it differs, and later the build made another one in its place, which is all that lpctl has; have each object made by a name of its own", b.im.Path)
	case filepath.IsAbs(name) && in(b.oldIn) != in(b.newIn):
		return fmt.Sprintf("%s is linked from it, it is outside the tree, and lpctl did not see it made in both builds; have the build write below the directory where it is started", b.im.Path)
	}
	return fmt.Sprintf("%s is linked from it, it differs, and lpctl saw no compiler make it; have it made by %s, and linked as it was made", b.im.Path, seenCompilers(b.untraced))
}

// changedLinks refuses a target whose link arguments differ with the fix.
func (b *builder) changedLinks() {
	if why := linkChanged(b.oldIn, b.newIn); why != "" {
		b.refusals = append(b.refusals, diff.Refusal{Code: codes.LinkChanged, File: b.im.Path, Text: why})
	}
}
