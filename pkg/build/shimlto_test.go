// SPDX-License-Identifier: GPL-2.0

package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/testutil/filetest"
)

// TestWithoutOutputs checks that options are removed or kept together with their values.
func TestWithoutOutputs(t *testing.T) {
	s := step{all: strings.Fields("-flto -MMD -MF dep.d -MT x -MQ y -MP -MFz.d -Xlinker -Map -MJ j -o prog -oprog x.c -L -M -lm -I")}
	if got, want := strings.Join(s.withoutOutputs(), " "), "-flto -Xlinker -Map x.c -L -M -lm -I"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestTakeAll checks the list of copies, and that an error is not an empty list.
func TestTakeAll(t *testing.T) {
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{"object0": "a", "object1": "", "object2": "c", "object4": "not in the row"})
	for _, name := range []string{"", "object3"} {
		l := late{dir: dir}
		if name != "" {
			if err := os.Symlink(name, filepath.Join(dir, name)); err != nil { // a link to itself
				t.Fatal(err)
			}
		}
		err := l.takeAll()
		if want := []string{filepath.Join(dir, "object0"), filepath.Join(dir, "object2")}; !slices.Equal(l.files, want) || (err != nil) != (name != "") {
			t.Errorf("%q: %v, %v", name, l.files, err)
		}
	}
}

// TestOddLTO checks links whose back-end objects cannot be determined.
func TestOddLTO(t *testing.T) {
	for args, want := range map[string]string{
		"-flto":                        "",
		"-flto -fno-use-linker-plugin": "it is linked with -flto and -fno-use-linker-plugin, so that members of archives may be optimised or not; link it with the plugin",
		"-Wl,--thinlto-cache-dir=x":    "it is linked with a cache of thin LTO, in which code of other builds may be; link it without",
		"-Wl,-plugin-opt,cache-dir=x":  "it is linked with a cache of thin LTO, in which code of other builds may be; link it without",
		"-Wl,--thinlto-index-only":     "it is linked with distributed thin LTO (thinlto-index-only); link it in one",
	} {
		s := parseStep(strings.Fields(args))
		if got := s.oddLTO(); got != want {
			t.Errorf("%s: %q, not %q", args, got, want)
		}
	}
}

// TestLateRecord checks the reasons why there is no object for the output of link-time optimisation.
func TestLateRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(shimObjEnv, dir)
	filetest.Tree(t, dir, map[string]string{"a.c": "int f(void) { return 1; }\n", "text": "x"})
	runIn(t, dir, []string{"gcc", "-c", "a.c"})
	runIn(t, dir, []string{"gcc", "-c", "-flto", "-fno-fat-lto-objects", "a.c", "-o", "slim"})
	for _, c := range []struct{ files, want string }{
		{"text", "link-time optimisation was done, and its objects could not be kept (" + dir + "/text: not an ELF file)"},
		{"slim", "it is linked with -r and -flto, and what runs is made of that later"},
		{"a.o a.o", "link-time optimisation was done, and its objects could not be kept: ld -r --unique: "},
	} {
		l := late{dir: dir}
		for _, name := range strings.Fields(c.files) {
			l.files = append(l.files, filepath.Join(dir, name))
		}
		if _, why, err := l.record(&step{}, "prog"); err != nil || !strings.HasPrefix(why, c.want) {
			t.Errorf("%s: %q, %v", c.files, why, err)
		}
	}
	for _, c := range []struct {
		sources []string
		want    string
	}{{[]string{"a.c"}, "link-time optimisation was done, and its objects could not be kept"}, {nil, ""}} {
		r := linkRecord{LTO: true}
		if err := r.takeLate(&step{sources: c.sources}, &late{}, "prog"); err != nil || r.WhyNotLate != c.want || r.LTO != (c.want != "") {
			t.Errorf("nothing kept of %v: %+v, %v", c.sources, r, err)
		}
	}
}

// TestRecordLinkRustLTO checks that the output of rustc's LTO over all crates is not attributed to a recorded object.
func TestRecordLinkRustLTO(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(shimObjEnv, filepath.Join(dir, "objects"))
	t.Setenv(shimRootEnv, dir)
	t.Setenv(shimRustLTOEnv, "1")
	filetest.Tree(t, dir, map[string]string{"a.c": "int main(void) { return 1; }\n"})
	args := []string{filepath.Join(dir, "a.c"), "-o", filepath.Join(dir, "prog")}
	runIn(t, dir, append([]string{"gcc"}, args...))
	s := parseStep(args)
	if err := s.recordLink(nil, "", "gcc", args, &late{}); err != nil {
		t.Fatal(err)
	}
	links, err := readBuildLinks(filepath.Join(dir, "objects"))
	if err != nil || len(links.records) != 1 || !links.records[0].LTO || links.records[0].WhyNotLate != "rustc optimises it over all crates; have it do without" {
		t.Errorf("%+v, %v", links.records, err)
	}
}
