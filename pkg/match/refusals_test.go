// SPDX-License-Identifier: GPL-2.0

package match

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lpatch/pkg/diff"
)

// Functions that are large enough to be identified by their code.
const (
	mix  = "__attribute__((noinline)) int mix(int n) { for (int i = 0; i < n; i++) limit ^= limit * 31 + i; return limit - n * 7; }\n"
	fold = "__attribute__((noinline)) int fold(int n) { for (int i = 3; i < n; i++) limit += limit / 13 + i * i; return limit ^ n << 5; }\n"
	turn = "__attribute__((noinline)) int turn(int n) { while (n > 9) { limit -= n % 11; n = n / 2 + limit; } return limit | n * 3; }\n"
)

// TestRefusals checks objects whose location is ambiguous or unknown.
func TestRefusals(t *testing.T) {
	const large = "int limit;\n"
	tests := []struct {
		name   string
		linked []string // sources of the image
		strip  string   // option of strip
		asked  []string // sources of old objects: the first one is located
		want   string
	}{
		{
			name: "data twice", linked: []string{"static int v = 5; int *a = &v;", "static int v = 5; int *b = &v;"}, asked: []string{"static int v = 5; int *a = &v;"},
			want: "1/x.o: x.c was linked 2 times into prog, and the old data fits more than one of them; no patch can tell them apart [object-ambiguous]",
		},
		{
			name: "code twice", linked: []string{large + "static " + mix + "int (*a)(int) = mix;", "extern " + large + "static " + mix + "int (*b)(int) = mix;"}, asked: []string{large + "static " + mix + "int (*a)(int) = mix;"},
			want: "1/x.o: mix: x.c was linked 2 times into prog, and the old code fits more than one of them; no patch can tell them apart [object-ambiguous]",
		},
		{
			name: "other data", linked: []string{"int v = 5;"}, asked: []string{"int v = 6;"},
			want: "1/x.o: v: the initial value of the variable in the old object is not what prog has; the old objects must be built from the target's source [target-differs]",
		},
		{
			name: "no static functions", linked: []string{large + "static " + mix + "int (*p)(int) = mix;"}, strip: "-x", asked: []string{large + "static " + mix + "int (*p)(int) = mix;"},
			want: "1/x.o: mix: prog names no static functions in its symbol table (ld or strip -x): name an unstripped build of exactly the target with --symbols [needs-symbols]",
		},
		{
			name: "no symbols", linked: []string{large + mix}, strip: "-s", asked: []string{"int f(int x) { return x; }"},
			want: "1/x.o: prog is stripped, and the functions of this object are too small to be known by their code: name an unstripped build of exactly the target with --symbols [needs-symbols]",
		},
		{
			name: "code of two objects", linked: []string{large + mix}, strip: "-s", asked: []string{strings.Replace(large+mix, "int mix", "int other", 1), large + mix},
			want: "1/x.o: prog is stripped, and the code of this old object is also that of another one, under another name, so whose it is there is not known: name an unstripped build of exactly the target with --symbols [object-ambiguous]",
		},
		{
			name: "some of the code", linked: []string{large + mix}, strip: "-s", asked: []string{large + mix + fold + turn},
			want: "1/x.o: prog is stripped, and it has some of the code of this old object, but not most; the old objects must be built from the target's source with its compiler and flags, or give symbols with --symbols [target-differs]",
		},
		{
			name: "all but one function", linked: []string{large + mix + fold}, strip: "-s", asked: []string{large + mix + fold + turn},
			want: "1/x.o: turn: prog is stripped, and the old code of the function is nowhere in it, or at several places: name an unstripped build of exactly the target with --symbols [needs-symbols]",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			im := open(t, dir, link(t, dir, tt.linked, tt.strip))
			var objs []*diff.Object
			for i, text := range tt.asked {
				objs = append(objs, object(t, dir, compile(t, dir, strconv.Itoa(i+1), text)))
			}
			if tt.strip == "-s" {
				im.Recover(objs)
			}
			_, err := Locate(im, objs[0], objs[0].Functions())
			var refusals diff.Refusals
			if !errors.As(err, &refusals) {
				t.Fatalf("not refused: %v", err)
			}
			if got := strings.ReplaceAll(refusals.Error(), dir+"/", ""); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// link builds prog from sources that all have the name x.c.
func link(t *testing.T, dir string, sources []string, strip string) string {
	t.Helper()
	args := []string{"-o", "prog", "main.c"}
	for i, text := range sources {
		args = append(args, compile(t, dir, strconv.Itoa(i+1), text))
	}
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("int main(void) { return 0; }"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "gcc", args...)
	if strip != "" {
		run(t, dir, "strip", strip, "prog")
	}
	return "prog"
}

func compile(t *testing.T, dir, below, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, below, "x.c"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, filepath.Join(dir, below), "gcc", "-O2", "-fPIE", "-ffunction-sections", "-fdata-sections", "-c", "x.c")
	return below + "/x.o"
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
