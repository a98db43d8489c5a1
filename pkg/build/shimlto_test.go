package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lpatch/pkg/filetest"
)

// TestWithoutOutputs: what takes a value is left out with it, or kept with it.
func TestWithoutOutputs(t *testing.T) {
	s := step{all: strings.Fields("-flto -MMD -MF dep.d -MT x -MQ y -MP -MFz.d -Xlinker -Map -MJ j -o prog -oprog x.c -L -M -lm -I")}
	if got, want := strings.Join(s.withoutOutputs(), " "), "-flto -Xlinker -Map x.c -L -M -lm -I"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestTakeAll: what was kept, and that an error is not "nothing".
func TestTakeAll(t *testing.T) {
	dir := t.TempDir()
	filetest.Tree(t, dir, map[string]string{"object0": "a", "object1": "", "object2": "c", "object4": "not in the row"})
	for name, link := range map[string]string{"": "", "object3": "object3"} { // the link leads to itself
		l := late{dir: dir}
		if name != "" {
			if err := os.Symlink(link, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		err := l.takeAll()
		if want := []string{filepath.Join(dir, "object0"), filepath.Join(dir, "object2")}; !slices.Equal(l.files, want) || (err != nil) != (name != "") {
			t.Errorf("%q: %v, %v", name, l.files, err)
		}
	}
}

// TestOddLTO: ways to link of which the objects of the back end are not known.
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
