// SPDX-License-Identifier: GPL-2.0

package diff

import "testing"

// TestStandardTypes describes types in new objects only.
func TestStandardTypes(t *testing.T) {
	const head = "#include <map>\n#include <string>\n"
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"of the standard library", head + "int use(std::map<int, int> &m) { return m.size(); }", head + "int use(std::map<int, int> &m) { int n = 0; for (auto &x : m) n += x.second; return n; }", nil},
		{"of the program, in that namespace", "namespace std { struct S; } int use(std::S *s) { return s != nullptr; }", "namespace std { struct S { int x; }; } int use(std::S *s) { return s->x; }",
			[]string{"std::S: the structure is described by the new objects and by none of the old ones, so whether its layout changed is not known; " + describeAll + ", or say --layout-ok 'std::S' if no old one is seen by new code"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSurvey(Options{})
			s.AddChanged(Compare(compile(t, "clang++-16", tt.old, "-x", "c++"), compile(t, "clang++-16", tt.new, "-x", "c++"), Options{}))
			list, _ := s.Refusals()
			var got []string
			for _, r := range list {
				got = append(got, r.Symbol+": "+r.Text)
			}
			if len(got) != len(tt.want) || len(got) == 1 && got[0] != tt.want[0] {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLibraryOf checks which directories belong to a version of the standard library.
func TestLibraryOf(t *testing.T) {
	for file, want := range map[string]string{
		"/usr/lib/gcc/x86_64-linux-gnu/12/../../../../include/c++/12/bits/stl_map.h": "/usr/include/c++/12/",
		"/usr/include/x86_64-linux-gnu/c++/12/bits/c++config.h":                      "/usr/include/x86_64-linux-gnu/c++/12/",
		"/usr/include/stdio.h":                "",
		"/usr/lib/llvm-19/include/c++/v1/map": "",
		"include/c++/12/map":                  "",
	} {
		if got := libraryOf(file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	s := NewSurvey(Options{})
	s.new.standard["std::T"] = "/usr/include/c++/12/"
	for _, tt := range []struct {
		olds []string
		want bool
	}{
		{[]string{"/usr/include/c++/12/"}, true},
		{[]string{"/usr/include/c++/12/", "/usr/include/x86_64-linux-gnu/c++/12/"}, true},
		{[]string{"/usr/include/c++/12/", "/usr/include/c++/11/"}, false},
		{[]string{"/usr/include/c++/11/"}, false},
		{nil, false},
	} {
		s.new.libraries = map[string]bool{"/usr/include/c++/12/": true}
		s.old.libraries = map[string]bool{}
		for _, directory := range tt.olds {
			s.old.libraries[directory] = true
		}
		if got := s.isStandard("std::T"); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.olds, got, tt.want)
		}
	}
}
