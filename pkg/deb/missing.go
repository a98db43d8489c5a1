// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NotIn returns the packages with programs for amd64 that a source builds and that FetchStock has not put into dir: the
// packages next to the source may be incomplete.
func (s *Source) NotIn(dir string) []string {
	return slices.DeleteFunc(s.withPrograms(), func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// withPrograms parses the field Package-List, which contains "NAME TYPE SECTION PRIORITY arch=… profile=…" in each line.
func (s *Source) withPrograms() []string {
	names := slices.Clone(s.programs)
	for line := range strings.Lines(s.paragraph.Values["Package-List"]) {
		words := strings.Fields(line)
		if len(words) < 4 {
			continue
		}
		option := func(name string) string {
			for _, w := range words[4:] {
				if value, ok := strings.CutPrefix(w, name+"="); ok {
					return strings.ReplaceAll(value, ",", " ")
				}
			}
			return ""
		}
		if hasPrograms(option("arch"), words[1], option("profile")) {
			names = append(names, words[0])
		}
	}
	return names
}

// hasPrograms reports whether a regular build for amd64 creates a package, and it contains architecture-dependent files.
func hasPrograms(arch, kind, profile string) bool {
	ours := slices.ContainsFunc(strings.Fields(arch), func(a string) bool {
		return slices.Contains([]string{"any", "linux-any", "any-amd64", "linux-amd64", "amd64"}, a)
	})
	return ours && (kind == "" || kind == "deb") && (profile == "" || strings.HasPrefix(profile, "!"))
}
