// SPDX-License-Identifier: GPL-2.0

package codelist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readText(t *testing.T, text string) (string, [][]Group, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "codes.go")
	if err := os.WriteFile(path, []byte("package codes\n\ntype Code string\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	blocks, err := Read(path)
	return path, blocks, err
}

func TestRead(t *testing.T) {
	_, blocks, err := readText(t, `
var other = "no-code"

// Of one command.
const (
	// One, Two: a sentence
	// of two lines
	One     Code = "one"
	Two Code = "two"

	// Three: another
	Three Code = "three"
)

// Of another.
const (
	// Four: a third: with a colon
	Four Code = "four"
)
`)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Group{
		{{[]Constant{{"One", "one"}, {"Two", "two"}}, "a sentence of two lines"}, {[]Constant{{"Three", "three"}}, "another"}},
		{{[]Constant{{"Four", "four"}}, "a third: with a colon"}},
	}
	if diff := cmp.Diff(want, blocks); diff != "" {
		t.Error(diff)
	}
	if got := Constants(blocks...); len(got) != 4 || got[3] != (Constant{"Four", "four"}) {
		t.Errorf("%v", got)
	}
}

// TestReadRefuses: what the table would leave out, or say of another code, is an error.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "FILE has no codes"},
		{"const (\n\tOne Code = \"one\"\n)", "FILE:4:1: One has no comment"},
		{"const (\n\t// Two: a sentence\n\tOne Code = \"one\"\n)", `FILE:4:1: the comment of One does not begin with "One: "`},
		{"const (\n\t// One: a sentence\n\tOne Code = \"one\"\n\tTwo Code = \"two\"\n)", `FILE:4:1: the comment of One does not begin with "One, Two: "`},
		{"const (\n\t// One: a sentence\n\tOne Code = \"o\" + \"ne\"\n)", "FILE:4:1: One is no string"},
		{"const (\n\t// One: a sentence\n\tOne = 1\n)", "FILE:4:1: One is no string"},
		{"const (\n\t// One, Two: a sentence\n\tOne, Two Code = \"one\", \"two\"\n)", "FILE:4:1: One does not stand on a line of its own, with its value"},
		{"const (\n\t// One: a sentence\n\tOne Code = \"one\"\n\t// Two: a sentence\n\tTwo\n)", "FILE:4:1: Two does not stand on a line of its own, with its value"},
		{"const (\n\t// One, Two: a sentence\n\tOne Code = \"one\"\n\tTwo Code = \"one\"\n)", `FILE: Two has the code "one" of another constant`},
	} {
		path, _, err := readText(t, c.text)
		if want := strings.ReplaceAll(c.want, "FILE", path); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", c.text, err, want)
		}
	}
}
