// SPDX-License-Identifier: GPL-2.0

package deb

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NotIn returns the packages with programs for amd64 that a source builds, and of which FetchStock has put none into dir: some may lie
// beside the source, and others not.
func (s *Source) NotIn(dir string) []string {
	return slices.DeleteFunc(s.withPrograms(), func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// withPrograms reads the field Package-List of a description, "NAME TYPE SECTION PRIORITY arch=… profile=…" in each line.
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

// hasPrograms tells by the fields of a package whether an ordinary build for amd64 makes it, with what only this machine runs.
func hasPrograms(arch, kind, profile string) bool {
	ours := slices.ContainsFunc(strings.Fields(arch), func(a string) bool {
		return slices.Contains([]string{"any", "linux-any", "any-amd64", "linux-amd64", "amd64"}, a)
	})
	return ours && (kind == "" || kind == "deb") && (profile == "" || strings.HasPrefix(profile, "!"))
}
